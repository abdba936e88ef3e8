"""One login for IMAP, POP3 and SMTP, by the strongest way that server and key allow.

The order: OAuth2 where there is a token, SCRAM bound to TLS, SCRAM, CRAM-MD5, APOP,
then what shows the password, which only a line nobody can listen to may carry.  RFC
4422, RFC 4954, RFC 5034, RFC 9051 section 6.2.
"""

import binascii
import enum
import re
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mailfs.attr import Attr, Attrs, parse, value, without
from mailfs.errors import MailfsError
from mailfs.factotum.client import (
    Factotum,
    FactotumError,
    KeyRefused,
    NeedKey,
    RpcPhase,
)
from mailfs.factotum.client import Login as Password
from mailfs.factotum.sasl import MECHANISMS, NONE, Binding, Mechanism, Sasl, choose
from mailfs.remote import keys as choosing
from mailfs.remote.hidden import Hidden
from mailfs.remote.keys import KeyChoice, LoginTarget

MAX_STEPS = 10  # messages of the server's in one exchange; SCRAM has two
MAX_CHALLENGE = 1 << 16  # octets of one, in base64; the largest known have a thousand
# Words of servers that announce what they cannot do, in the answer to a wrong key too.
_UNUSABLE = re.compile(
    r"(?i)mechanism|not (supported|implemented|available|enabled|allowed|permitted)"
    r"|(un|in)(supported|recogni[sz]ed)|unknown (command|auth)|command (is )?unknown"
    r"|unimplemented|disabled|auth\w* type"
)
UNPROVEN = "server did not prove that it knows the password"


class About(enum.Enum):
    """What a refused login is about."""

    KEY = enum.auto()  # the key is wrong; a person may type another
    MECHANISM = enum.auto()  # the server cannot do it: the next may serve
    OTHER = enum.auto()  # neither helps


@dataclass(frozen=True, slots=True)
class Challenge:
    """The server wants a message; text is its own, in base64 as a rule."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server says that we are logged in; text is what it said beside."""

    text: bytes = b""


@dataclass(frozen=True, slots=True)
class Declined:
    """The server refuses; error tells a person why."""

    error: MailfsError
    about: About


Answer = Challenge | Accepted | Declined


def unusable(text: str) -> bool:
    """Judge by a server's words whether a mechanism, and not the key, is refused.

    For refusals without a code that tells.
    """
    return _UNUSABLE.search(text) is not None


class LoginCommands(ABC):
    """One protocol's commands for logging in, on one connection.

    Errors of the connection, and refusals that will pass, are raised.
    """

    server: str  # named in errors

    @abstractmethod
    def begin(self, name: str, first: bytes | None) -> tuple[Answer, bool]:
        """Begin a SASL mechanism; True if first, the initial response, was sent."""

    @abstractmethod
    def respond(self, response: bytes) -> Answer:
        """Answer a challenge."""

    @abstractmethod
    def cancel(self) -> None:
        """Take an exchange back, so that the connection is of further use."""

    @abstractmethod
    def password(self, login: Password) -> Answer:
        """Log in by the protocol's own command that shows the password."""

    def digest(self, user: str, digest: bytes) -> Answer:
        """Log in by APOP."""
        raise NotImplementedError

    @abstractmethod
    def error(self, text: str) -> MailfsError:
        """Make the protocol's error for a login that failed on our side."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server and the connection to it allow.

    mechanisms  SASL's, upper case
    secure      whether nobody on the way can listen
    password    whether LoginCommands.password may be used
    apop        APOP's challenge, brackets included; empty without
    sasl        False: nothing but APOP is wanted
    clear       the forms a user could write in order to get a secure line, for errors
    """

    mechanisms: Sequence[str]
    secure: bool
    binding: Binding = NONE
    password: bool = True
    apop: bytes = b""
    sasl: bool = True
    clear: str = ""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Who is logged in, by which mechanism."""

    user: str
    mechanism: str


@dataclass(frozen=True, slots=True)
class _Way:
    name: str
    protos: tuple[str, ...]  # of keys that open it, the preferred first
    run: Callable[["KeyChoice", str], Answer]
    token: bool = False


class Login:
    """One login; see login."""

    def __init__(
        self, commands: LoginCommands, target: LoginTarget, keys: Factotum, offer: Offer
    ) -> None:
        self._commands = commands
        self._target = target
        self._keys = keys
        self._offer = offer
        self._used: Attrs = ()
        self._hidden = Hidden()
        self._proven = False  # whether the server has seen proof of the password

    def run(self) -> LoggedIn:
        """Log in; a refused key is asked for again where a person can answer.

        A server may repeat what it was sent; no error shows the secrets in that.
        """
        try:
            return self._run()
        except (MailfsError, OSError) as e:
            self._hidden.scrub(e)
            raise

    def _run(self) -> LoggedIn:
        try:
            name = self._any()
        except _KeyDeclined as e:
            if self._keys.getkey is None or not self._delete_used():
                raise e.error from None
            try:
                name = self._any()
            except _KeyDeclined as again:
                raise again.error from None
        return LoggedIn(self._target.user or value(self._used, "user") or "", name)

    def _any(self) -> str:
        """Try each way there is a key for, best first; the name of what worked."""
        ways = list(self._ways())
        if not ways:
            raise self._hopeless()
        listed: Sequence[Attrs] = self._keys.keys()
        if not any(self._choice(way, listed) for way in ways):
            listed = self._ask_person(listed, ways)
        missing: NeedKey | None = None
        declined: MailfsError | None = None
        for way in ways:
            choice = self._choice(way, listed)
            if choice is None:
                continue
            try:
                error = self._try(way, choice)
            except NeedKey as e:
                if isinstance(e, KeyRefused) and not way.token:
                    raise  # the server has seen the password, and so have we its no
                missing = missing or e
                continue
            if error is None:
                return way.name
            declined = declined or error
        raise declined or missing or self._hopeless()

    def _choice(self, way: _Way, listed: Sequence[Attrs]) -> KeyChoice | None:
        return choosing.find(listed, self._target, way.protos, token=way.token)

    def _ask_person(
        self, listed: Sequence[Attrs], ways: Sequence[_Way]
    ) -> Sequence[Attrs]:
        """Have a person add a key; without one, raise what is missing."""
        template = choosing.wanted(listed, self._target)
        proto = "apop" if not self._offer.sasl else "pass"
        if proto == "apop":
            self._keys.respond(self._offer.apop, f"proto=apop role=client {template}")
        else:
            self._keys.getuserpasswd(f"proto=pass {template}")
        return self._keys.keys()

    def _try(self, way: _Way, choice: KeyChoice) -> MailfsError | None:
        """Log in one way; the server's refusal if the next may be tried."""
        self._proven = False
        answer = way.run(choice, way.name)
        if not isinstance(answer, Declined):
            return None
        if answer.about is About.MECHANISM or (
            # Before it saw any proof a server cannot say a word about the key.
            answer.about is About.KEY and not self._proven
        ):
            return answer.error
        if answer.about is About.KEY:
            raise _KeyDeclined(answer.error)
        raise answer.error

    def _ways(self) -> Iterator[_Way]:
        offer = self._offer
        names = (
            choose(
                offer.mechanisms, tls=offer.secure, binding=offer.binding, token=True
            )
            if offer.sasl
            else []
        )
        rows = {name: MECHANISMS[name] for name in names}
        for name, row in rows.items():
            if row.token or not row.clear:
                yield self._way(name, row)
        if offer.apop:
            yield _Way("APOP", ("apop",), self._apop)
        for name, row in rows.items():
            if row.clear and not row.token:
                yield self._way(name, row)
        if offer.sasl and offer.secure and offer.password:
            yield _Way("password", ("pass",), self._password)

    def _way(self, name: str, row: Mechanism) -> _Way:
        if row.token:
            return _Way(name, ("oauth",), self._sasl, token=True)
        return _Way(name, (row.proto, "pass"), self._sasl)

    def _sasl(self, choice: KeyChoice, name: str) -> Answer:
        row = MECHANISMS[name]
        for _ in range(2):  # a token that has just ended is worth another try
            sasl = Sasl(
                self._keys,
                name,
                choice.template,
                binding=self._offer.binding,
                advertised=self._offer.mechanisms,
                by_password=choice.proto == "pass" and row.proto == "cram",
            )
            answer = self._exchange(sasl, name)
            if not isinstance(answer, Declined) or not (row.token and sasl.again()):
                break
        return answer

    def _exchange(self, sasl: Sasl, name: str) -> Answer:
        """Carry one exchange to its end: accepted and proven, or declined."""
        row = MECHANISMS[name]
        first = sasl.initial()
        self._used = sasl.attrs()
        self._hide(first or b"")
        answer, took = self._commands.begin(name, first)
        sent = int(took)
        held = None if took else first
        for _ in range(MAX_STEPS):
            if not isinstance(answer, Challenge):
                break
            if held is not None:
                response, held = held, None
            else:
                response = self._step(sasl, row, answer.text)
            self._hide(response)
            answer = self._commands.respond(response)
            sent += 1
        else:
            self._commands.cancel()
            raise self._commands.error("endless login")
        self._proven = sent > row.proof
        if isinstance(answer, Accepted):
            self._prove(sasl, answer.text)
        return answer

    def _step(self, sasl: Sasl, row: Mechanism, text: bytes) -> bytes:
        try:
            response = sasl.step(self._decode(row, text))
        except RpcPhase:
            self._commands.cancel()
            raise self._commands.error("challenge out of turn") from None
        except BaseException:
            self._commands.cancel()
            raise
        self._used = sasl.attrs()
        return response

    def _decode(self, row: Mechanism, text: bytes) -> bytes:
        if len(text) > MAX_CHALLENGE:
            raise self._commands.error("challenge too long")
        try:
            return b64decode(text, validate=True)
        except binascii.Error:
            if row.proto == "login":  # a prompt for people: what it asks is known
                return text
            raise self._commands.error("malformed challenge") from None

    def _prove(self, sasl: Sasl, text: bytes) -> None:
        """Refuse a success that came before the server's own proof; RFC 5802."""
        if not sasl.complete:
            for word in text.split():  # RFC 4422 section 3.6: data with the outcome
                try:
                    final = b64decode(word, validate=True)
                except binascii.Error:
                    continue
                if final.startswith((b"v=", b"e=")):
                    sasl.step(final)
                    break
        if not sasl.complete:
            raise self._commands.error(UNPROVEN)

    def _apop(self, choice: KeyChoice, name: str) -> Answer:
        template = f"proto=apop role=client {choice.template}"
        user, digest = self._keys.respond(self._offer.apop, template)
        self._used = (*without(parse(template), "user"), Attr("user", user))
        self._proven = True
        return self._commands.digest(user, digest)

    def _password(self, choice: KeyChoice, name: str) -> Answer:
        template = f"proto=pass {choice.template}"
        login = self._keys.getuserpasswd(template)
        self._used = (*without(parse(template), "user"), Attr("user", login.user))
        self._proven = True
        self._hide(login.password.reveal())
        return self._commands.password(login)

    def _hide(self, octets: bytes) -> None:
        self._hidden.add(octets, user=value(self._used, "user") or "")

    def _delete_used(self) -> bool:
        """Delete the refused key, so that it is asked for; False if it is not there."""
        user, protos = value(self._used, "user"), (value(self._used, "proto"), "pass")
        for proto in protos:
            for key in choosing.usable(self._keys.keys(), self._target, token=True):
                if value(key, "proto") != proto or value(key, "user") != user:
                    continue
                try:
                    self._keys.refused((Attr("proto", proto), *choosing.selecting(key)))
                except FactotumError:
                    continue
                return True
        return False

    def _hopeless(self) -> MailfsError:
        if not self._offer.secure:
            text = "no password is sent in clear"
            want = self._offer.clear
            return self._commands.error(f"{text}: want {want}" if want else text)
        if not self._offer.mechanisms:
            return self._commands.error("no way to log in that server and key share")
        names = " ".join(self._offer.mechanisms)
        return self._commands.error(f"No supported AUTH method in {names}")


class _KeyDeclined(Exception):
    """The server has seen proof and refuses the key."""

    def __init__(self, error: MailfsError) -> None:
        super().__init__(str(error))
        self.error = error


def login(
    commands: LoginCommands, target: LoginTarget, keys: Factotum, offer: Offer
) -> LoggedIn:
    """Log in by the best of what server, key and connection allow.

    A mechanism that is announced but refused as unusable is followed by the next.  A
    success counts only after the server's proof, where the mechanism has one.  Raises
    the protocol's error for a refusal, FactotumError (NeedKey without a key), OSError.
    """
    return Login(commands, target, keys, offer).run()
