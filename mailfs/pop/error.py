"""What a POP3 server refused, and how its words reach a person."""

import errno
import re

from mailfs.errors import MailfsError

MAX_TEXT = 300  # characters of a server's words that are shown

_CODE = re.compile(r"\[([A-Za-z0-9/\-]{1,40})\]\s*(.*)")
# RFC 2449 section 8, RFC 3206: what will pass by itself.
_TEMPORARY = frozenset({"IN-USE", "LOGIN-DELAY", "SYS/TEMP"})
# Servers without response codes say so in words only.
_WORDS = re.compile(
    r"(?i)\b(lock(ed)?|in use|busy|try again|too many|temporar(y|ily)|already open)\b"
)


class PopError(MailfsError):
    """A refusal by the server, or an answer that makes no sense.

    code  the response code in upper case, ``AUTH``, or empty; RFC 2449 section 8
    """

    def __init__(self, server: str, text: str, *, code: str = "") -> None:
        super().__init__(f"{server}: {text}")
        self.server = server
        self.code = code


class LoginRefused(PopError):
    """No key that we have opens the maildrop."""


class Busy(OSError):
    """The server cannot serve us now and will later: the maildrop is in use."""

    def __init__(self, server: str, text: str, *, code: str = "") -> None:
        super().__init__(errno.EAGAIN, f"{server}: {text}")
        self.code = code


class HungUp(ConnectionResetError):
    """The server ended the connection between two answers, or within one."""


class Ambiguous(ConnectionResetError):
    """It cannot be told where a message ends while other answers may follow."""


def refusal(server: str, line: bytes, *, words: bool = False) -> PopError | Busy:
    """Return the error for a line that begins with -ERR.

    words says that what has no code may be judged by the server's words, as it must
    be at login, where a locked maildrop and a wrong password look the same.
    """
    text = shown(line.removeprefix(b"-ERR"))
    m = _CODE.match(text)
    code, text = (m[1].upper(), m[2]) if m else ("", text)
    text = text or code.lower() or "refused"
    if code in _TEMPORARY or (words and not code and _WORDS.search(text)):
        return Busy(server, text, code=code)
    return PopError(server, text, code=code)


def broken(server: str, why: str, number: int = errno.ECONNRESET) -> OSError:
    """Make the error for a connection that is of no more use; number is its errno."""
    return OSError(number, f"{server}: {why}")


def shown(text: bytes) -> str:
    """Return a server's words as one printable line of bounded length."""
    words = text[: 4 * MAX_TEXT].decode(errors="replace")
    line = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    return line if len(line) <= MAX_TEXT else line[:MAX_TEXT] + "..."
