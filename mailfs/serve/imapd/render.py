"""Values as they are sent; RFC 9051 section 9."""

import re
from collections.abc import Iterable, Sequence

from mailfs.imap.grammar import date
from mailfs.imap.grammar.names import encode
from mailfs.mailbox.kinds import Flag
from mailfs.serve.description.string import string

_ATOM = re.compile(rb"[!#$&'+,./0-9:;<=>?@A-Z^_`a-z|}~-]+")
_FLAGS = (
    (Flag.ANSWERED, "\\Answered"),
    (Flag.FLAGGED, "\\Flagged"),
    (Flag.DELETED, "\\Deleted"),
    (Flag.SEEN, "\\Seen"),
    (Flag.DRAFT, "\\Draft"),
)
SYSTEM = {name.lower(): bit for bit, name in _FLAGS}
_SHOWN = tuple(
    " ".join(name for bit, name in _FLAGS if bits & bit) for bits in range(128)
)


def mailbox(name: str, *, utf8: bool) -> bytes:
    """Return a folder's name."""
    raw = encode(name, utf8=utf8)
    if _ATOM.fullmatch(raw) and raw.upper() != b"NIL":
        return raw
    if utf8 and not raw.isascii():
        return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return string(raw)


def flags(bits: int, words: Sequence[str] = (), *, recent: bool = False) -> str:
    """Return flags as a list in parentheses."""
    found = _SHOWN[bits & 0x7F]
    if words:
        found = " ".join((found, *words)) if found else " ".join(words)
    if recent:
        found = f"{found} \\Recent" if found else "\\Recent"
    return f"({found})"


def internal_date(epoch: int) -> str:
    """Return a date, quoted."""
    return f'"{date.show(epoch)}"'


def numbers(found: Iterable[int]) -> str:
    """Return ascending numbers as a set, consecutive ones as a range."""
    out: list[str] = []
    first = last = -1
    for number in found:
        if number == last + 1 and first >= 0:
            last = number
            continue
        if first >= 0:
            out.append(f"{first}:{last}" if last > first else f"{first}")
        first = last = number
    if first >= 0:
        out.append(f"{first}:{last}" if last > first else f"{first}")
    return ",".join(out)
