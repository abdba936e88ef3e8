"""What a server refused, and how its words reach a person."""

import errno
import re

from mailfs.errors import MailfsError

MAX_TEXT = 300  # characters of a server's words that are shown

# Codes (RFC 5530, RFC 9051 section 7.1) after which the same request may well succeed
# later; what has no code is judged by its kind.
_TEMPORARY = frozenset(
    {"UNAVAILABLE", "INUSE", "SERVERBUG", "LIMIT", "EXPUNGEISSUED", "THROTTLED"}
)
_BACKOFF = re.compile(r"(?i)(throttl|too many|try again|temporar|back ?off)")
_MILLISECONDS = re.compile(r"(?i)backoff time: ?(\d{1,9}) ?milliseconds")


class ImapError(MailfsError):
    """A refusal by the server, or an answer that makes no sense.

    kind       NO or BAD; empty if the server's answer made no sense
    code       the response code in upper case, ``AUTHENTICATIONFAILED``, or empty
    detail     what stood behind the code
    permanent  whether the same request would be refused again
    backoff    seconds the server wants to be left alone; 0 if it named none
    """

    def __init__(
        self,
        server: str,
        text: str,
        *,
        kind: str = "",
        code: str = "",
        detail: str = "",
        permanent: bool = True,
        backoff: float = 0.0,
    ) -> None:
        super().__init__(f"{server}: {text}")
        self.server = server
        self.text = text
        self.kind = kind
        self.code = code
        self.detail = detail
        self.permanent = permanent
        self.backoff = backoff


class LoginRefused(ImapError):
    """No key that we have opens the account."""


def refusal(
    server: str, kind: str, code: str, text: str, detail: bytes = b""
) -> ImapError:
    """Return the error for a tagged NO or BAD.

    Office 365 throttles by a BAD that tells for how long, others by words only.
    """
    slow = _BACKOFF.search(text) is not None
    said = _MILLISECONDS.search(text)
    words = shown(text) or code.lower() or kind.lower()
    return ImapError(
        server,
        words,
        kind=kind,
        code=code,
        detail=shown(detail),
        permanent=not slow and code not in _TEMPORARY,
        backoff=int(said[1]) / 1000 if said else 0.0,
    )


def broken(server: str, why: str, number: int = errno.ECONNRESET) -> OSError:
    """Make the error for a connection that is of no more use; number is its errno."""
    return OSError(number, f"{server}: {why}")


def shown(text: bytes | str) -> str:
    """Return a server's words as one printable line of bounded length."""
    if isinstance(text, bytes):
        text = text[: 4 * MAX_TEXT].decode(errors="replace")
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_TEXT else line[:MAX_TEXT] + "..."
