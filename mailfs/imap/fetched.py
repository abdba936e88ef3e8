"""One FETCH response taken apart as far as it is wanted; RFC 9051 section 7.5.2."""

import re
from dataclasses import dataclass

from mailfs.imap.grammar import flags as flag
from mailfs.imap.grammar.flags import Flags
from mailfs.imap.grammar.ranges import MAX_UID
from mailfs.imap.grammar.tokens import Malformed, attributes, number, values

_HEAD = re.compile(rb"(?i)\* ([0-9]{1,10}) FETCH[ \t]*(?=\()")
MAX_MODSEQ = (1 << 63) - 1  # RFC 7162 section 7


@dataclass(frozen=True, slots=True)
class Fetched:
    """A response and where in it each attribute's value lies."""

    raw: bytes
    number: int
    items: dict[bytes, tuple[int, int]]

    @property
    def uid(self) -> int | None:
        """The uid it names, if it does."""
        found = self.int(b"UID", MAX_UID)
        return found or None

    @property
    def modseq(self) -> int:
        """The modification, 0 if unnamed."""
        return self.int(b"MODSEQ", MAX_MODSEQ) or 0

    @property
    def flags(self) -> Flags | None:
        """The flags, None if unnamed."""
        where = self.items.get(b"FLAGS")
        if where is None:
            return None
        found = values(self.raw, *where)
        names = found[0] if found and isinstance(found[0], list) else []
        return flag.parse(name for name in names if isinstance(name, bytes))

    def int(self, name: bytes, most: int) -> "int | None":
        """Return a number, bare or in brackets as MODSEQ is.  Raises Malformed."""
        where = self.items.get(name)
        if where is None:
            return None
        return number(self.raw[where[0] : where[1]].strip(b"() "), most)

    def value(self, name: bytes) -> bytes | None:
        """Return an attribute's octets as they came."""
        where = self.items.get(name)
        return None if where is None else self.raw[where[0] : where[1]]


def fetched(raw: bytes) -> Fetched | None:
    """Read a response; None if it is no FETCH.

    What follows a malformed value is left out, what came before it stands.
    """
    m = _HEAD.match(raw)
    if m is None:
        return None
    items: dict[bytes, tuple[int, int]] = {}
    try:
        for name, start, end in attributes(raw, m.end()):
            items[name] = (start, end)
    except Malformed:
        _salvage(raw, items)
    return Fetched(raw, int(m[1]), items)


_UID = re.compile(rb"[( ]UID ([0-9]{1,10})(?: [A-Z]|\)\Z)")


def _salvage(raw: bytes, items: dict[bytes, tuple[int, int]]) -> None:
    """Find the uid at the end of a response whose middle is broken (iCloud)."""
    if b"UID" in items:
        return
    found = [*_UID.finditer(raw)]
    if len(found) == 1:
        items[b"UID"] = found[0].span(1)
