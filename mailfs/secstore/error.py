"""What can go wrong between a secstore client and server."""

from mailfs.errors import MailfsError


class SecstoreError(MailfsError):
    """The other side said no, or something that cannot be meant."""


class SecstoreRefused(SecstoreError):
    """The other side's own words, sent after an exclamation mark."""


class WrongPassword(SecstoreError):
    """The password does not fit, or the server is not the one that knows it."""


def shown(raw: bytes) -> str:
    """Make a peer's text fit for a terminal: one line, bounded."""
    text = raw[:200].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text)
