"""Keys: those there are, or asked for, and tried until the servers take them."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from mailfs.attr import Attr, Attrs, lines, parse, reveal, value
from mailfs.errors import MailfsError
from mailfs.factotum import consent, keyfile, oauth
from mailfs.factotum.keyfile import KeyFile
from mailfs.factotum.private import PrivateFactotum
from mailfs.secret import Secret
from mailfs.setup.person import Interview
from mailfs.setup.provider import OAUTH, PASSWORD, Provider
from mailfs.setup.server import MailServer
from mailfs.setup.trial import Keys, TrialRefused
from mailfs.setup.world import SetupWorld

KEY = "key"  # log in by one that is there
MAX_TRIES = 3  # passwords for one server; more lock accounts

Try = Callable[[Keys], None]
"""Log in with the keys of a factotum.  Raises Refused, MailfsError or OSError."""

_WAYS = {
    PASSWORD: "a password, or an app password of the provider's",
    OAUTH: "OAuth2: you agree in a browser, and no password is kept",
    KEY: "a key the factotum has",
}


@dataclass(slots=True)
class Logins:
    """The logins of one account.

    offers  whether a server takes OAuth2 tokens, as it says itself
    lines   the keys to keep, ``key ...``
    """

    interview: Interview
    world: SetupWorld
    trial: PrivateFactotum
    provider: Provider
    servers: tuple[MailServer, ...]
    offers: Callable[[MailServer], bool] = lambda one: False
    lines: list[Secret] = field(default_factory=list)
    _known: list[Attrs] | None = None
    _running: bool = False
    _way: str = ""

    def login(self, one: MailServer, user: str, attempt: Try) -> None:
        """Log in to a server; what was asked for on the way is in lines.

        Raises Refused if no key is taken, MailfsError or OSError.
        """
        way = self._choose(one, user)
        if way == KEY:
            try:
                attempt(self.world.keys if self._running else self.trial.keys)
            except TrialRefused as e:
                if not self.interview.again(_side(one)):
                    raise
                self.interview.say(f"{e} (as {user})")
                way = self._way = PASSWORD
            else:
                return
        if way == OAUTH:
            if not any(_suits(parse(li.text()), one, user) for li in self.lines):
                self._take(self._token(user))
            attempt(self.trial.keys)
            return
        self._password(one, user, attempt)

    def _choose(self, one: MailServer, user: str) -> str:
        """Choose the way to log in, asked once unless it serves one server only."""
        known = any(_suits(attrs, one, user) for attrs in self._listed())
        if self._way == KEY and not known:
            return PASSWORD
        if self._way:
            return self._way
        usual = KEY if known else self.provider.ways[0]
        if {"imap", "smtp"} & self.interview.secrets.keys():
            usual = PASSWORD
        told = "auth" in self.interview.given
        if not told and not self._takes_tokens(one):
            self._way = usual  # a key that is refused is followed by a password
            return usual
        ways = [PASSWORD, OAUTH] + [KEY] * known
        rows = {way: _WAYS[way] for way in ways}
        self._way = self.interview.choose("auth", "Log in by", rows, usual, hidden=True)
        return self._way

    def _takes_tokens(self, one: MailServer) -> bool:
        """Say whether OAuth2 can be chosen: of the provider it is known, or it says so.

        Where nobody chooses no server is asked.
        """
        if OAUTH in self.provider.ways:
            return True
        return self.interview.person.present and self.offers(one)

    def _listed(self) -> list[Attrs]:
        """Return the keys there are: of the factotum that runs, else of its file."""
        if self._known is None:
            self._known = []
            try:
                with self.world.keys() as agent:
                    self._known, self._running = agent.keys(), True
            except (MailfsError, OSError):
                self._known = self._filed()
        return self._known

    def _filed(self) -> list[Attrs]:
        """Give the trial what the file has, and return what that is."""
        text = KeyFile(keyfile.path(self.world.root, self.world.user)).load()
        for line in lines(text):
            with suppress(MailfsError):  # the factotum will complain of it, too
                self.trial.add(Secret(line))
        with self.trial.keys() as agent:
            return agent.keys()

    def _take(self, line: Secret) -> None:
        self.trial.add(line)
        self.lines.append(line)

    def _password(self, one: MailServer, user: str, attempt: Try) -> None:
        interview, tries = self.interview, 0
        which = _side(one)
        secret: Secret | None = None
        if self.lines and which not in interview.secrets:
            secret = _secret(self.lines[-1])  # it was good for the other server
        while True:
            tries += 1
            if secret is None:
                secret = interview.secret(which, f"Password of {user} at {one.host}")
            line = _line(one, user, secret)
            self.trial.add(line)
            try:
                attempt(self.trial.keys)
            except TrialRefused as e:
                if tries >= MAX_TRIES or not interview.again(_side(one)):
                    raise TrialRefused(f"{e} (as {user})") from e
                interview.say(f"{e} (as {user})")
                secret = None
            else:
                self.lines.append(line)
                return

    def _token(self, user: str) -> Secret:
        """Return the key of an OAuth2 consent."""
        interview, world = self.interview, self.world
        made = interview.text(
            "oauth",
            "OAuth2 provider",
            self.provider.oauth,
            lambda name: oauth.provider(name, world.fetch),
        )
        ident = interview.text("clientid", "Client ID", "", _word)
        secret = Secret(b"")
        if interview.again("client"):
            secret = interview.secret("client", "Client secret (empty if it has none)")
        client = oauth.OAuthClient(made, ident, secret)
        person = consent.ConsentPerson(
            say=interview.say,
            ask=lambda prompt: interview.person.ask(prompt, ""),
            browse=world.browse,
            fetch=world.fetch,
            random=world.random,
            sleep=world.sleep,
        )
        flows = {
            name: _FLOWS[name] for name in _FLOWS if name != "device" or made.device
        }
        usual = "loopback" if world.near else "device" if made.device else "paste"
        flow = interview.choose("flow", "Agree by", flows, usual)
        tokens = consent.FLOWS[flow](client, user, person)
        more = [
            Attr("server", one.host)
            for one in self.servers
            if one.host not in made.servers
        ]
        now = world.clock()
        return Secret(client.key(user, tokens, now, tuple(dict.fromkeys(more))))


_FLOWS = {
    "loopback": "a browser on this machine",
    "paste": "a browser anywhere, whose last address you copy here",
    "device": "a code that you type into a browser anywhere",
}


def _word(text: str) -> str:
    if not text or any(c <= " " for c in text):
        raise MailfsError("one word is wanted")
    return text


def _side(one: MailServer) -> str:
    """Name the server as passwords given beforehand do."""
    return "smtp" if one.kind == "smtp" else "imap"


def _line(one: MailServer, user: str, password: Secret) -> Secret:
    attrs = (
        Attr("proto", "pass"),
        Attr("service", one.kind),
        Attr("server", one.host),
        Attr("user", user),
        Attr("!password", password.text()),
    )
    return Secret(f"key {reveal(attrs)}")


def _secret(line: Secret) -> Secret | None:
    """Return the password in a key's line, None if it has none."""
    found = value(parse(line.text()), "!password")
    return None if found is None else Secret(found)


def _suits(key: Attrs, one: MailServer, user: str) -> bool:
    """Whether a key is for a user of a server."""
    names = [a.value for a in key if a.name == "user"]
    hosts = [a.value for a in key if a.name == "server"]
    services = [a.value for a in key if a.name == "service"]
    return (
        user in names
        and one.host in hosts
        and (not services or bool({one.kind, one.service} & set(services)))
        and value(key, "disabled") is None
    )
