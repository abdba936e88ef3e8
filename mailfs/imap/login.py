"""Logging in, by the strongest way that server and key allow; RFC 9051 section 6.2."""

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator

from mailfs.attr import Attr, Attrs, parse, value, without
from mailfs.factotum.client import Factotum, FactotumError, NeedKey
from mailfs.factotum.sasl import MECHANISMS, Sasl, choose
from mailfs.imap.account import Account
from mailfs.imap.error import ImapError, LoginRefused
from mailfs.imap.grammar.names import astring
from mailfs.imap.greet import Greeted, binding
from mailfs.imap.wire import Status

MAX_CHALLENGE = 1 << 16  # octets of a server's challenge
MAX_STEPS = 10  # messages of the server's in one exchange; SCRAM has two

_ONE_MESSAGE = frozenset({"PLAIN", "XOAUTH2", "OAUTHBEARER"})

# NO without these may be about something else than the key; RFC 5530.
_BAD_KEY = frozenset({"AUTHENTICATIONFAILED", "EXPIRED", ""})


class Cram:
    """CRAM-MD5 with a key of proto pass, whose password this process has to see."""

    def __init__(self, keys: Factotum, template: str) -> None:
        self._login = keys.getuserpasswd(f"proto=pass {template}")

    def initial(self) -> None:
        """Say that the server speaks first."""

    def step(self, challenge: bytes) -> bytes:
        """Return the response; RFC 2195."""
        password = self._login.password.reveal()
        digest = hmac.new(password, challenge, "md5").hexdigest()
        return f"{self._login.user} {digest}".encode()

    def attrs(self) -> Attrs:
        """Return what is known of the key."""
        return (Attr("proto", "pass"), Attr("user", self._login.user))

    def again(self) -> bool:
        """Tell that nothing is gained by another try."""
        return False


class Login:
    """One login.  eager commands are sent right behind the key, unasked.

    ir says whether an initial response may be sent with the command.
    """

    def __init__(
        self,
        found: Greeted,
        account: Account,
        keys: Factotum,
        *,
        clear: bool = False,
        ir: bool = True,
        eager: Callable[[], None] = lambda: None,
    ) -> None:
        self._wire = found.wire
        self._found = found
        self._account = account
        self._keys = keys
        self._secure = found.secure or clear
        self._ir = ir and "SASL-IR" in found.capabilities
        self._eager = eager
        self._attrs: Attrs = ()

    def run(self) -> tuple[str, Status]:
        """Return the user and the server's answer.

        Raises LoginRefused, ImapError, FactotumError (NeedKey if there is no key) and
        OSError.  A refused key is asked for again where a person can answer.
        """
        try:
            done = self._any()
        except LoginRefused as e:
            if self._keys.getkey is None or e.code not in _BAD_KEY:
                raise
            if (used := self._used()) is None:
                raise
            self._keys.refused(used)
            done = self._any()
        user = self._account.user or value(self._attrs, "user") or ""
        return user, done

    def _any(self) -> Status:
        """Try what the keys allow, best first; without any key ask for one."""
        ways = list(self._ways())
        if not ways:
            if not any(self._ways(every=True)):
                raise self._hopeless()
            # Asks a person, or tells what is missing.
            self._keys.getuserpasswd(f"proto=pass {self._template()}")
            ways = list(self._ways())
        missing: NeedKey | None = None
        for way in ways:
            try:
                return way()
            except NeedKey as e:
                missing = missing or e
        raise missing or self._hopeless()

    def _ways(self, *, every: bool = False) -> Iterator[Callable[[], Status]]:
        """Give what server and keys share, or with every what the server knows."""
        offered = self._found.capabilities
        advertised = [c[5:] for c in offered if c.startswith("AUTH=")]
        mine = self._mine()
        have = {value(key, "proto") for key in mine}
        for name in choose(
            advertised,
            tls=self._secure,
            binding=binding(self._wire.line),
            token="oauth" in have or every,
        ):
            row = MECHANISMS[name]
            if every or row.proto in have or row.token or "pass" in have:
                yield lambda name=name: self._sasl(name, advertised)  # type: ignore[misc]
        if (
            self._secure
            and "LOGINDISABLED" not in offered
            and (every or "pass" in have)
        ):
            yield self._login

    def _mine(self) -> list[Attrs]:
        """Return the keys that may be meant: for this server and user, or for any."""
        account = self._account
        return [
            key
            for key in self._listed()
            if _suits(key, "server", account.host) and _suits(key, "user", account.user)
        ]

    def _used(self) -> Attrs | None:
        """Return the key that was used, as it is listed."""
        user = value(self._attrs, "user")
        for key in self._mine():
            protos = (value(self._attrs, "proto"), "pass")
            if value(key, "user") == user and value(key, "proto") in protos:
                return tuple(a for a in key if a.value is not None and not a.private)
        return None

    def _hopeless(self) -> ImapError:
        server = self._wire.server
        if not self._secure:
            return ImapError(server, "no password is sent in clear: want imaptls")
        return ImapError(server, "no way to log in that server and key share")

    def _listed(self) -> list[Attrs]:
        """Return the public parts of the keys there are."""
        return self._keys.keys()

    def _template(self) -> str:
        """Return what selects the key; service only if a key for this host names it."""
        account = self._account
        attrs = [Attr("server", account.host)]
        if account.user is not None:
            attrs.append(Attr("user", account.user))
        for key in self._listed():
            mine = any(a.name == "server" and a.value == account.host for a in key)
            if mine and value(key, "service") in ("imap", account.service):
                attrs.append(Attr("service", value(key, "service")))
                break
        return " ".join(map(str, attrs))

    def _sasl(self, name: str, advertised: list[str]) -> Status:
        try:
            return self._exchange(name, advertised, ir=self._ir)
        except ImapError as e:
            # Some servers announce SASL-IR and then call it a syntax error.
            if not self._ir or e.kind != "BAD" or not e.permanent:
                raise
        self._ir = False
        return self._exchange(name, advertised, ir=False)

    def _exchange(self, name: str, advertised: list[str], *, ir: bool) -> Status:
        for _ in range(2):
            sasl = self._start(name, advertised)
            first = sasl.initial()
            self._attrs = sasl.attrs()
            try:
                return self._talk(sasl, name, first, ir=ir)
            except LoginRefused:
                if not sasl.again():
                    raise
        raise LoginRefused(self._wire.server, "token refused")

    def _start(self, name: str, advertised: list[str]) -> "Sasl | Cram":
        protos = {value(key, "proto") for key in self._mine()}
        if MECHANISMS[name].proto == "cram" and "cram" not in protos:
            return Cram(self._keys, self._template())
        return Sasl(
            self._keys,
            name,
            self._template(),
            binding=binding(self._wire.line),
            advertised=advertised,
        )

    def _talk(
        self, sasl: "Sasl | Cram", name: str, first: bytes | None, *, ir: bool
    ) -> Status:
        wire = self._wire
        command = b"AUTHENTICATE " + name.encode()
        if first is not None and ir:
            command += b" " + (b64encode(first) or b"=")
            first = None
            tag = wire.send(command)
            if name in _ONE_MESSAGE:  # else the server takes commands for responses
                self._eager()
        else:
            tag = wire.send(command)
        for _ in range(MAX_STEPS):
            challenge = self._challenge(tag)
            if challenge is None:
                return self._verdict(tag)
            if first is not None:
                answer, first = first, None
            else:
                answer = self._step(sasl, tag, challenge)
            wire.write(b64encode(answer))
        raise wire.reader.refuse("endless login")

    def _challenge(self, tag: bytes) -> bytes | None:
        """Return the server's next challenge; None once the command is answered."""
        wire = self._wire
        while not wire.answered(tag):
            raw = wire.response()
            if not raw.startswith(b"+"):
                wire.take(raw)
                continue
            text = raw[1:].strip()
            if len(text) > MAX_CHALLENGE:
                break
            try:
                return b64decode(text, validate=True)
            except binascii.Error:
                # Before the first response, words for people have been seen here.
                return b""
        if wire.answered(tag):
            return None
        raise wire.reader.refuse("challenge too long")

    def _step(self, sasl: "Sasl | Cram", tag: bytes, challenge: bytes) -> bytes:
        try:
            answer = sasl.step(challenge)
            self._attrs = sasl.attrs()
        except FactotumError:
            self._wire.write(b"*")  # RFC 9051 section 6.2.2: the exchange is off
            self._wire.forget([tag])
            raise
        return answer

    def _verdict(self, tag: bytes) -> Status:
        try:
            return self._wire.finish(tag)
        except ImapError as e:
            if e.kind == "BAD":  # not a word about the key
                raise
            raise self._refused(e) from e

    def _refused(self, e: ImapError) -> ImapError:
        if e.code == "REFERRAL":
            return LoginRefused(
                e.server, f"account is elsewhere: {e.detail}", code=e.code
            )
        if not e.permanent:
            return e
        return LoginRefused(e.server, f"login refused: {e.text}", code=e.code)

    def _login(self) -> Status:
        """The command LOGIN, for servers without SASL."""
        template = f"proto=pass {self._template()}"
        login = self._keys.getuserpasswd(template)
        self._attrs = (*without(parse(template), "user"), Attr("user", login.user))
        wire = self._wire
        tag = wire.send(
            b"LOGIN ",
            astring(login.user.encode()),
            b" ",
            astring(login.password.reveal()),
        )
        self._eager()
        try:
            return wire.finish(tag)
        except ImapError as e:
            raise self._refused(e) from e


def _suits(key: Attrs, name: str, want: str | None) -> bool:
    """Whether a key has a value of that name, or says nothing of it."""
    values = [a.value for a in key if a.name == name]
    return want is None or want in values or not values
