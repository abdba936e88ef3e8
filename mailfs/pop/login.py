"""POP3's commands for logging in: AUTH, APOP, USER and PASS; RFC 1939, RFC 5034."""

import re
from base64 import b64encode

from mailfs.factotum.client import Login as Password
from mailfs.pop.account import Account
from mailfs.pop.error import LoginRefused, PopError, refusal
from mailfs.pop.wire import Pop3Wire
from mailfs.remote.keys import LoginTarget
from mailfs.remote.login import (
    About,
    Accepted,
    Answer,
    Challenge,
    Declined,
    LoginCommands,
    unusable,
)

MAX_COMMAND = 255  # octets of AUTH with an initial response; RFC 5034 section 4

# RFC 1939 section 7: a msg-id.  What is not printable could be part of an attack on
# MD5 that finds out a password octet by octet; CVE-2007-1558.
_STAMP = re.compile(rb"<[!-;=?-~]+@[!-;=?-~]+>")


def stamp(greeting: bytes) -> bytes:
    """Find APOP's challenge, brackets included; empty if the greeting has none."""
    m = _STAMP.search(greeting)
    return m[0] if m and m[0].count(b"@") == 1 else b""


def target(account: Account) -> LoginTarget:
    """Name the keys that are meant for an account."""
    return LoginTarget(account.host, ("pop", "pop3", account.name), account.user)


class Pop3Login(LoginCommands):
    """The commands on one connection.  Busy is raised, never taken for a refusal."""

    def __init__(self, wire: Pop3Wire) -> None:
        self.server = wire.server
        self._wire = wire

    def begin(self, name: str, first: bytes | None) -> tuple[Answer, bool]:
        """Send AUTH, with the initial response if the line is short enough."""
        command = b"AUTH " + name.encode()
        whole = command
        if first is not None:
            whole += b" " + (b64encode(first) or b"=")
        took = first is not None and len(whole) + 2 <= MAX_COMMAND
        return self._ask(whole if took else command), took

    def respond(self, response: bytes) -> Answer:
        """Send a response in base64."""
        return self._ask(b64encode(response))

    def cancel(self) -> None:
        """Send ``*`` and read the refusal that follows; RFC 5034 section 4."""
        self._ask(b"*")

    def password(self, login: Password) -> Answer:
        """Send USER and PASS."""
        answer = self._ask(b"USER " + self._name(login.user))
        if isinstance(answer, Accepted):
            answer = self._ask(b"PASS " + login.password.reveal())
        return answer

    def digest(self, user: str, digest: bytes) -> Answer:
        """Send APOP."""
        return self._ask(b"APOP " + self._name(user) + b" " + digest)

    def error(self, text: str) -> PopError:
        """Make an error that names the server."""
        if text.startswith(("malformed", "endless")):
            text = f"protocol error: {text}"
        return PopError(self.server, text)

    def _name(self, user: str) -> bytes:
        if not user or any(c <= " " for c in user):
            raise self.error("factotum did not return a user name")
        return user.encode()

    def _ask(self, line: bytes) -> Answer:
        self._wire.put(line)
        answer = self._wire.answer()
        if answer.startswith(b"+OK"):
            return Accepted(answer[3:].strip())
        if answer.startswith(b"+"):
            return Challenge(answer[1:].strip())
        return self._declined(answer)

    def _declined(self, line: bytes) -> Declined:
        """Judge -ERR; the code AUTH is of RFC 3206."""
        e = refusal(self.server, line, words=True)
        if not isinstance(e, PopError):
            raise e
        if e.code not in ("", "AUTH"):
            return Declined(e, About.OTHER)
        text = str(e).removeprefix(f"{e.server}: ")
        error = LoginRefused(e.server, f"login refused: {text}", code=e.code)
        if not e.code and unusable(text):
            return Declined(error, About.MECHANISM)
        return Declined(error, About.KEY)
