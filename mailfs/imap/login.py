"""IMAP's commands for logging in: AUTHENTICATE and LOGIN; RFC 9051 section 6.2."""

from base64 import b64encode
from collections.abc import Callable

from mailfs.factotum.client import Factotum
from mailfs.factotum.client import Login as Password
from mailfs.imap.account import Account
from mailfs.imap.error import ImapError, LoginRefused
from mailfs.imap.grammar.names import astring
from mailfs.imap.greet import Greeted
from mailfs.imap.wire import ImapWire
from mailfs.remote import login as remote
from mailfs.remote.binding import endpoint
from mailfs.remote.keys import LoginTarget
from mailfs.remote.login import (
    About,
    Accepted,
    Answer,
    Challenge,
    Declined,
    LoginCommands,
    Offer,
)

_ONE_MESSAGE = frozenset({"PLAIN", "XOAUTH2", "OAUTHBEARER"})

# NO without these may be about something else than the key; RFC 5530.
_BAD_KEY = frozenset({"AUTHENTICATIONFAILED", "EXPIRED", ""})
_MECHANISM_CODES = frozenset({"CANNOT", "CLIENTBUG", "PRIVACYREQUIRED"})


class ImapLogin(LoginCommands):
    """The commands on one connection.

    eager commands are sent right behind a key that is one message, unasked; ir says
    whether an initial response may be sent with the command.
    """

    def __init__(
        self, wire: ImapWire, *, ir: bool, eager: Callable[[], None] = lambda: None
    ) -> None:
        self.server = wire.server
        self._wire = wire
        self._ir = ir
        self._eager = eager
        self._tag = b""

    def begin(self, name: str, first: bytes | None) -> tuple[Answer, bool]:
        """Send AUTHENTICATE, with the initial response if the server takes it."""
        command = b"AUTHENTICATE " + name.encode()
        if first is None or not self._ir:
            self._tag = self._wire.send(command)
            return self._answer(), False
        self._tag = self._wire.send(command + b" " + (b64encode(first) or b"="))
        if name in _ONE_MESSAGE:  # else the server takes commands for responses
            self._eager()
        answer = self._answer()
        if not isinstance(answer, Declined) or not _syntax(answer.error):
            return answer, True
        # Some servers announce SASL-IR and then call it a syntax error.
        self._ir = False
        return self.begin(name, first)

    def respond(self, response: bytes) -> Answer:
        """Send a response in base64."""
        self._wire.write(b64encode(response))
        return self._answer()

    def cancel(self) -> None:
        """Send ``*`` and leave the answer to be read later."""
        self._wire.write(b"*")
        self._wire.forget([self._tag])

    def password(self, login: Password) -> Answer:
        """Send LOGIN, for servers without SASL."""
        wire = self._wire
        self._tag = wire.send(
            b"LOGIN ",
            astring(login.user.encode()),
            b" ",
            astring(login.password.reveal()),
        )
        self._eager()
        return self._answer()

    def error(self, text: str) -> ImapError:
        """Make an error that names the server."""
        return ImapError(self.server, text)

    def _answer(self) -> Answer:
        """Read up to a challenge or the command's own answer."""
        wire = self._wire
        while not wire.answered(self._tag):
            raw = wire.response()
            if raw.startswith(b"+"):
                return Challenge(raw[1:].strip())
            wire.take(raw)
        try:
            return Accepted(wire.finish(self._tag).text.encode())
        except ImapError as e:
            return self._declined(e)

    def _declined(self, e: ImapError) -> Declined:
        """Judge NO or BAD; raise one that will pass by itself."""
        if not e.permanent:
            raise e
        if e.code == "REFERRAL":
            text = f"account is elsewhere: {e.detail}"
        else:
            text = f"login refused: {e.text}"
        error = LoginRefused(e.server, text, kind=e.kind, code=e.code)
        if e.kind == "BAD" or e.code in _MECHANISM_CODES:
            return Declined(error, About.MECHANISM)
        if not e.code and remote.unusable(e.text):
            return Declined(error, About.MECHANISM)
        return Declined(error, About.KEY if e.code in _BAD_KEY else About.OTHER)


def _syntax(error: Exception) -> bool:
    return isinstance(error, ImapError) and error.kind == "BAD"


def login(
    found: Greeted,
    account: Account,
    keys: Factotum,
    *,
    clear: bool = False,
    ir: bool = True,
    eager: Callable[[], None] = lambda: None,
) -> str:
    """Log in and return the user.

    clear allows a password on a line that others may listen to; ir and eager are as
    for ImapLogin.  Raises LoginRefused, ImapError, FactotumError (NeedKey if there is
    no key) and OSError.
    """
    offered = found.capabilities
    commands = ImapLogin(found.wire, ir=ir and "SASL-IR" in offered, eager=eager)
    target = LoginTarget(account.host, ("imap", account.service), account.user)
    offer = Offer(
        sorted(c[5:] for c in offered if c.startswith("AUTH=")),
        found.secure or clear,
        endpoint(found.wire.line.tls),
        password="LOGINDISABLED" not in offered,
        clear="imaptls",
    )
    return remote.login(commands, target, keys, offer).user
