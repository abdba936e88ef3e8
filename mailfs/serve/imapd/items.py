"""The items of FETCH; RFC 9051 section 9, RFC 3516, RFC 7162, RFC 8474."""

import re
from dataclasses import dataclass, field
from enum import Enum

from mailfs.serve.imapd.cursor import BadCommand, Cursor

MAX_ITEMS = 200  # of one FETCH
MAX_PARTS = 100  # numbers in a section
_PART = re.compile(rb"[1-9][0-9]{0,9}(?:\.[1-9][0-9]{0,9})*")


class Text(Enum):
    """What of a part, or of the message, a section is."""

    WHOLE = ""
    HEADER = "HEADER"
    FIELDS = "HEADER.FIELDS"
    NOT_FIELDS = "HEADER.FIELDS.NOT"
    TEXT = "TEXT"
    MIME = "MIME"


@dataclass(frozen=True, slots=True)
class Section:
    """A place in a message: numbers of parts, then what of it; none is all of it."""

    parts: tuple[int, ...] = ()
    text: Text = Text.WHOLE
    fields: tuple[bytes, ...] = ()  # as written
    spelled: bytes = b""  # as it is echoed


@dataclass(frozen=True, slots=True)
class Octets:
    """BODY[...] and its like.

    name      as the answer calls it, the section included
    start     of a partial fetch, None for all
    count     octets of that
    decoded   BINARY: without transfer encoding
    length    BINARY.SIZE: only how many octets
    """

    name: bytes
    section: Section
    start: int | None = None
    count: int = 0
    peek: bool = False
    decoded: bool = False
    length: bool = False


@dataclass(frozen=True, slots=True)
class Items:
    """A FETCH: names of what is short, then octets."""

    names: tuple[str, ...] = ()
    octets: tuple[Octets, ...] = field(default=())

    @property
    def marks_seen(self) -> bool:
        """Whether it marks messages as seen."""
        return any(not one.peek and not one.length for one in self.octets)


_PLAIN = frozenset(
    {
        "BODY",
        "BODYSTRUCTURE",
        "EMAILID",
        "ENVELOPE",
        "FLAGS",
        "INTERNALDATE",
        "MODSEQ",
        "RFC822.SIZE",
        "THREADID",
        "UID",
    }
)
_MACROS = {
    "ALL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"),
    "FAST": ("FLAGS", "INTERNALDATE", "RFC822.SIZE"),
    "FULL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"),
}
_OLD = {
    "RFC822": Octets(b"RFC822", Section()),
    "RFC822.HEADER": Octets(b"RFC822.HEADER", Section(text=Text.HEADER), peek=True),
    "RFC822.TEXT": Octets(b"RFC822.TEXT", Section(text=Text.TEXT)),
}
_NAME = re.compile(rb"[A-Za-z0-9.]+")


def parse(cursor: Cursor) -> Items:
    """Read the items of a FETCH.  Raises BadCommand."""
    names: dict[str, None] = {}
    octets: list[Octets] = []
    if not cursor.take(b"("):
        _item(cursor, names, octets, macro=True)
        return Items(tuple(names), tuple(octets))
    while True:
        _item(cursor, names, octets, macro=False)
        if len(names) + len(octets) > MAX_ITEMS:
            raise BadCommand("too many items")
        if cursor.take(b")"):
            return Items(tuple(names), tuple(octets))
        cursor.space()


def _item(
    cursor: Cursor, names: dict[str, None], octets: list[Octets], *, macro: bool
) -> None:
    name = cursor.match(_NAME, "an item").decode("ascii").upper()
    if cursor.peek() == b"[":
        octets.append(_octets(cursor, name))
    elif name in _PLAIN:
        names[name] = None
    elif name in _OLD:
        octets.append(_OLD[name])
    elif macro and name in _MACROS:
        names.update(dict.fromkeys(_MACROS[name]))
    else:
        raise BadCommand(f"unknown item {name}")


def _octets(cursor: Cursor, name: str) -> Octets:
    kind, _, more = name.partition(".")
    binary = kind == "BINARY"
    if kind not in ("BODY", "BINARY") or more not in ("", "PEEK", "SIZE"):
        raise BadCommand(f"unknown item {name}")
    length = more == "SIZE"
    if length and not binary:
        raise BadCommand(f"unknown item {name}")
    section = _section(cursor, binary=binary)
    start, count = None, 0
    shown = f"{kind}{'.SIZE' if length else ''}[".encode() + section.spelled + b"]"
    if cursor.take(b"<"):
        if length:
            raise BadCommand("BINARY.SIZE takes no range")
        start = cursor.number((1 << 63) - 1)
        cursor.expect(b".")
        count = cursor.number((1 << 63) - 1)
        if not count:
            raise BadCommand("empty range")
        cursor.expect(b">")
        shown += b"<%d>" % start
    return Octets(shown, section, start, count, more == "PEEK", binary, length)


def _section(cursor: Cursor, *, binary: bool) -> Section:
    cursor.expect(b"[")
    spelled = b""
    parts: tuple[int, ...] = ()
    if cursor.peek().isdigit():
        spelled = cursor.match(_PART, "a part")
        parts = tuple(map(int, spelled.split(b".")))
        if len(parts) > MAX_PARTS:
            raise BadCommand("section too deep")
        if not cursor.take(b"."):
            cursor.expect(b"]")
            return Section(parts, Text.WHOLE, (), spelled)
        spelled += b"."
    if cursor.take(b"]"):
        if spelled:
            raise BadCommand("malformed section")
        return Section()
    if binary:
        raise BadCommand("BINARY takes part numbers only")
    word = cursor.match(_NAME, "a section").decode("ascii").upper()
    try:
        text = Text(word)
    except ValueError:
        raise BadCommand("unknown section") from None
    if text is Text.MIME and not parts:
        raise BadCommand("MIME is of a part")
    spelled += word.encode()
    fields: list[bytes] = []
    if text in (Text.FIELDS, Text.NOT_FIELDS):
        cursor.space()
        fields = cursor.astrings()
        if not fields:
            raise BadCommand("want names of fields")
        spelled += b" (" + b" ".join(map(_astring, fields)) + b")"
    cursor.expect(b"]")
    return Section(parts, text, tuple(fields), spelled)


_ATOM = re.compile(rb"[!#$&'+,./0-9:;<=>?@A-Z\[^_`a-z|}~-]+")


def _astring(name: bytes) -> bytes:
    """Return a field's name as it is echoed."""
    if _ATOM.fullmatch(name):
        return name
    if any(c < 32 or c > 126 for c in name):
        return b"{%d}\r\n" % len(name) + name
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
