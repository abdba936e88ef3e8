"""The conversation from the first question to the mail that arrives.

Nothing is written before every server has been logged in to and every change has been
shown; then each file is replaced whole.  A run that is ended anywhere is finished by
the next one, which offers what is there as answers.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from mailfs.attr import parse, show
from mailfs.errors import UsageError
from mailfs.factotum import keeper
from mailfs.factotum.private import PrivateFactotum
from mailfs.imap.account import ALL
from mailfs.ndb import install
from mailfs.setup import answer, keep, plan, provider, servers, trial
from mailfs.setup.change import FileChange
from mailfs.setup.launch import Launch
from mailfs.setup.login import Logins
from mailfs.setup.person import Interview
from mailfs.setup.plan import Sending, Settings
from mailfs.setup.present import Present, present
from mailfs.setup.server import MailServer
from mailfs.setup.servers import Certificates, Places
from mailfs.setup.text import DOMAIN, LOCAL
from mailfs.setup.world import SetupWorld
from mailfs.site import site as sites
from mailfs.site.site import Site
from mailfs.smtp.options import DEFAULT

INBOX = "inbox"


@dataclass(slots=True)
class Warlock:
    """One run; done is what it has changed, for who is interrupted.

    overwrite  replace without asking what a person wrote
    rehearse   show what would be written, and end there
    """

    world: SetupWorld
    interview: Interview
    overwrite: bool = False
    rehearse: bool = False
    done: list[str] = field(default_factory=list)

    def run(self) -> int:
        """Do all; return the exit status: 1 if the test mail did not arrive."""
        world, interview = self.world, self.interview
        site = self._site()
        now = present(site)
        name, address = _who(interview, now, world.user)
        found = servers.find(interview, world, address)
        certificates = Certificates(world, interview)
        places = servers.ask(interview, certificates, now, found, address)
        if not (places.incoming or places.outgoing or places.direct):
            raise UsageError("no server to read from and none to send to")
        with PrivateFactotum(world.fetch) as private:
            used = tuple(one for one in (places.incoming, places.outgoing) if one)

            def offers(one: MailServer) -> bool:
                return trial.offers_oauth(one, site, certificates.vouch)

            logins = Logins(interview, world, private, found.provider, used, offers)
            settings = self._settled(
                site, now, Settings(name, address), places, logins, certificates.vouch
            )
            kept = self._keeping(logins)
            if not self._agreed(settings, certificates, kept, logins):
                return 0
            self._write(settings, certificates, kept, logins)
            launch = Launch(world, interview, settings, kept, logins, self.done)
            return launch.run()

    def _site(self) -> Site:
        return sites.here(self.world.root, self.world.user)

    # Questions

    def _settled(
        self,
        site: Site,
        now: Present,
        told: Settings,
        places: Places,
        logins: Logins,
        vouch: Callable[..., None],
    ) -> Settings:
        """Log in everywhere, and ask the rest."""
        mailbox = spec = sent = ""
        sending: Sending | None = None
        user = places.before.user if places.before else places.found.user
        if places.incoming is not None:
            user = self._user("user", places.incoming, user or told.address)
            sent = self._try_reading(places.incoming, user, logins, vouch)
            mailbox, spec = self._mailbox(now, places, places.incoming, user, told)
        if places.outgoing is not None:
            words = self._try_sending(
                site, now, places.outgoing, told, logins, vouch, user
            )
            sending = self._sending(now, places.outgoing, words, told, places)
        elif places.direct:
            words = tuple(trial.words(DEFAULT))
            sending = self._sending(now, None, words, told, places)
        copies = self._copies(now, places, user, sent) if sending else None
        return Settings(told.name, told.address, mailbox, spec, sending, copies)

    def _copies(self, now: Present, places: Places, user: str, sent: str) -> str | None:
        """Ask where copies of what is sent go; None for where they go by now.

        sent is the server's own folder for that, the usual answer of a person.
        """
        interview, one = self.interview, places.incoming
        kept = places.found.provider.copies or now.copies
        asks = interview.person.present and not kept
        if one is None or one.kind != "imap":
            return None
        if "sent" not in interview.given and not asks:
            return None
        asked = "Folder for a copy of what you send"
        usual = sent or answer.NONE
        folder = interview.text("sent", asked, usual, answer.folder)
        return one.mailbox(user, folder) if folder else ""

    def _user(self, key: str, one: MailServer, usual: str) -> str:
        return self.interview.text(key, f"User name at {one.host}", usual, answer.word)

    def _try_reading(
        self, one: MailServer, user: str, logins: Logins, vouch: Callable[..., None]
    ) -> str:
        """Log in to read; return the folder of what was sent, empty if none."""
        told: list[trial.Reading] = []

        def attempt(keys: trial.Keys) -> None:
            told.append(trial.read(one, user, keys, self.world.root, vouch))

        logins.login(one, user, attempt)
        self.interview.say(f"{one.host}: logged in as {user}: {told[-1].told}")
        return told[-1].sent

    def _try_sending(
        self,
        site: Site,
        now: Present,
        one: MailServer,
        told: Settings,
        logins: Logins,
        vouch: Callable[..., None],
        reader: str,
    ) -> tuple[str, ...]:
        """Return smtp's options once the server has taken them.

        reader is who logs in to read, and so is likely to log in to send.
        """
        user = ""
        if one.service != "smtp":
            known = now.smtp.user if now.address == told.address else ""
            user = self._user("smtp_user", one, known or reader or told.address)
        options = trial.options(one, user, told.domain)
        wanted: list[bool] = []

        def attempt(keys: trial.Keys) -> None:
            wanted.append(trial.send(one, options, keys, site, vouch))

        if not user or not trial.wants_login(one, options, site, vouch):
            options = trial.options(one, "", told.domain)
            attempt(self.world.keys)
            self.interview.say(f"{one.host}: takes mail without a login")
        else:
            logins.login(one, user, attempt)
            self.interview.say(f"{one.host}: logged in as {user}")
        return tuple(trial.words(options))

    def _mailbox(
        self, now: Present, places: Places, one: MailServer, user: str, told: Settings
    ) -> tuple[str, str]:
        """Name the mailbox, and its path."""
        if places.before is not None:
            usual = places.before.name
        elif "mbox" not in now.names:
            usual = "mbox"
        else:
            usual = told.domain.partition(".")[0]
        ask = self.interview.text
        name = ask("mailbox", "Name of the mailbox", usual, answer.mailbox)
        folder = ""
        if one.kind == "imap":
            every = places.before is not None and places.before.every
            which = self.interview.choose(
                "folders",
                "Which folders",
                {INBOX: "the inbox", "all": "all, each a mailbox of its own"},
                "all" if every else INBOX,
            )
            folder = "" if which == INBOX else ALL
        return name, one.mailbox(user, folder)

    def _sending(
        self,
        now: Present,
        gateway: MailServer | None,
        words: tuple[str, ...],
        told: Settings,
        places: Places,
    ) -> Sending:
        public = places.found.provider is not provider.OWN
        rows = {
            LOCAL: f"a mailbox here (yours: {told.address})",
            DOMAIN: f"somebody at {told.domain}",
        }
        usual = now.bare or (LOCAL if public or gateway is None else DOMAIN)
        bare = self.interview.choose("bare", "A name without @ means", rows, usual)
        name = os.uname().nodename
        dom = now.dom or (name if "." in name else "none")
        asked = "Full name of this machine"
        dom = self.interview.text("dom", asked, dom, answer.full_host)
        later = self.interview.given.pop("later", "no") == "yes"
        return Sending(gateway, words, bare, dom, later)

    # Keys

    def _keeping(self, logins: Logins) -> keep.Kept:
        """Choose the keeper of keys; nowhere new if there are no new ones."""
        world = self.world
        if not logins.lines:
            self.interview.given.pop("keys", None)
            where = keep.FILE if keep.filed(world.root, world.user) else keep.NONE
            return keep.choose(where, world.root, world.user, self._secstore)
        filed = keep.filed(world.root, world.user)
        usual = keep.FILE if filed else keep.usual()
        where = self.interview.choose("keys", "Keep the keys in", keep.ROWS, usual)
        return keep.choose(where, world.root, world.user, self._secstore)

    def _secstore(self) -> keeper.Keeper:
        host = self.interview.text(
            "secstore",
            "Secstore",
            os.environ.get("secstore", ""),  # noqa: SIM112  # as the manuals name it
            answer.word,
        )
        password = self.interview.secret("secstore", "Secstore password")
        return keep.secstore(host, self.world.user, password)

    # Writing

    def _agreed(
        self,
        told: Settings,
        certificates: Certificates,
        kept: keep.Kept,
        logins: Logins,
    ) -> bool:
        """Show what will be written, and ask."""
        say = self.interview.say
        if not self.rehearse:
            install.install(self.world.root, self.world.user)
        changes = plan.changes(self._site(), told)
        for change in changes:
            for line in change.diff():
                say(line)
        for file, line in certificates.lines:
            say(f"to {file}: {line}")
        for secret in logins.lines:
            attrs = parse(secret.text().removeprefix("key "))
            say(f"to {kept.shown}: key {show(attrs)}")
        if self.rehearse:
            return False
        if self.interview.person.present:
            return self.interview.confirm("Write this?", usual=True)
        for change in changes:
            if change.overwrites and not self.overwrite:
                raise UsageError(f"{change.path}: lines would go: say --overwrite")
        return True

    def _write(
        self,
        told: Settings,
        certificates: Certificates,
        kept: keep.Kept,
        logins: Logins,
    ) -> None:
        """Put everything into force, what is needed first first."""
        self.done += certificates.write()
        for line in logins.lines:
            kept.put(line)
            self.done.append(f"a key in {kept.shown}")
        for change in plan.changes(self._site(), told):
            if self._may(change):
                change.apply()
                self.done.append(str(change.path))
        if told.sending is not None:
            plan.verify(self._site(), told.sending)

    def _may(self, change: FileChange) -> bool:
        """Whether a change may be made: one that takes a line away is asked about."""
        if not change.overwrites or self.overwrite:
            return True
        asked = f"Replace lines of {change.path} (kept in {change.kept.name})?"
        return self.interview.confirm(asked, usual=True)


def _who(interview: Interview, now: Present, login: str) -> tuple[str, str]:
    address = interview.text("address", "Mail address", now.address, answer.address)
    usual = now.name if now.address in ("", address) else ""
    usual = usual or answer.full_name() or login
    name = interview.text("name", "Your name", usual, answer.person)
    return name, address
