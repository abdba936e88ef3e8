"""What answers have to be: each function returns one in its form or refuses it."""

import os
import pwd
from contextlib import suppress
from pathlib import Path

from mailfs.errors import UsageError, reason
from mailfs.send.address import valid
from mailfs.setup import host

MAX_NAME = 64  # characters of a mailbox's name
RESERVED = frozenset({"ctl", "event", "outbox"})
NONE = "none"


def full_name() -> str:
    """Return our user's name as the password file has it, maybe empty."""
    with suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_gecos.partition(",")[0].strip()
    return ""


def address(text: str) -> str:
    """Return a mail address.  Raises UsageError."""
    local, _, domain = text.rpartition("@")
    placed = "." in domain.strip(".") or domain == "localhost"
    odd = not _plain(text) or any(c in '<>",!:;\\' for c in text)
    odd = odd or not (host.is_name(domain) or domain == "localhost")
    if not local or not placed or odd or not valid(text):
        raise UsageError(f"{text or 'nothing'}: not a mail address")
    return text


def person(text: str) -> str:
    """Return a person's name.  Raises UsageError."""
    if not text.isprintable():
        raise UsageError("a name has no control characters")
    return text


def _plain(text: str) -> bool:
    """Whether text is one word that prints, no white space of any kind in it."""
    return bool(text) and text.isprintable() and not any(c.isspace() for c in text)


def word(text: str) -> str:
    """Return one word without a slash, as a login name is.  Raises UsageError."""
    if not _plain(text) or "/" in text:
        raise UsageError(f"{text or 'nothing'}: not a name")
    return text


def mailbox(text: str) -> str:
    """Return a name for a mailbox.  Raises UsageError."""
    bad = not text.isprintable() or "/" in text or "=" in text or text.startswith("#")
    if (
        text != text.strip()
        or not text
        or bad
        or len(text) > MAX_NAME
        or text in RESERVED
    ):
        raise UsageError(f"{text or 'nothing'}: not a name for a mailbox")
    return text


def mountpoint(text: str) -> str:
    """Return a directory that is there or can be made, empty for NONE.

    It is absolute; ~ stands for the home.  Raises UsageError.
    """
    if text == NONE:
        return ""
    if not text or not text.isprintable():
        raise UsageError("a directory is wanted, or none")
    path = Path(text).expanduser()
    if not path.is_absolute():
        raise UsageError(f"{text}: want a directory from / or ~ on, or {NONE}")
    try:
        there = path.is_dir() or (not os.path.lexists(path) and path.parent.is_dir())
    except OSError as e:
        raise UsageError(f"{text}: {reason(e)}") from e
    if not there:
        raise UsageError(f"{text}: neither a directory nor a name for a new one")
    return str(path)


def folder(text: str) -> str:
    """Return the name of a server's folder, empty for NONE.  Raises UsageError."""
    if text == NONE:
        return ""
    if not text or not text.isprintable() or text.startswith("/"):
        raise UsageError(f"{text or 'nothing'}: not the name of a folder (or {NONE})")
    return text


def full_host(text: str) -> str:
    """Return a host's full name, empty for NONE.  Raises UsageError."""
    if text == NONE:
        return ""
    if "." not in text or not text.isascii() or not host.is_name(text):
        raise UsageError(f"{text}: not a full name, as gnot.example.org (or {NONE})")
    return text.lower()
