"""The parts of a message as its server sees them: BODYSTRUCTURE.

RFC 9051 section 7.5.2.  Servers differ in what they leave out, so everything after
the type may be missing.
"""

from dataclasses import dataclass

from mailfs.imap.grammar.tokens import MAX_DEPTH, Malformed, Value, values

MAX_PARTS = 10_000  # of one message; a mailbox of bombs has more
MAX_OCTETS = (1 << 63) - 1

Params = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Structure:
    """One part.

    section      what BODY[section] takes for the part's body; empty for the whole of a
                 multipart message, where it is BODY[TEXT]
    type         ``text/plain``, lower case
    params       names in lower case; values as they came
    size         octets of the body, encoded as it is; 0 for a multipart
    lines        of text and of messages, None if not told
    disposition  ``attachment`` or another word, lower case; empty if there is none
    parts        of a multipart; of a message/rfc822 the one message in it
    """

    section: str
    type: str
    params: Params = ()
    id: bytes = b""
    description: bytes = b""
    encoding: str = ""
    size: int = 0
    lines: int | None = None
    envelope: "tuple[Value, ...] | None" = None
    md5: bytes = b""
    disposition: str = ""
    filename: Params = ()
    language: tuple[bytes, ...] = ()
    location: bytes = b""
    parts: "tuple[Structure, ...]" = ()

    @property
    def multipart(self) -> bool:
        """Whether it has parts rather than a body of its own."""
        return self.type.startswith("multipart/")

    def find(self, section: str) -> "Structure | None":
        """Return the part of a section."""
        if self.section == section:
            return self
        for part in self.parts:
            if found := part.find(section):
                return found
        return None


def parse(raw: bytes) -> Structure:
    """Read the octets of a BODYSTRUCTURE or BODY.  Raises Malformed."""
    found = values(raw)
    if len(found) != 1 or not isinstance(found[0], list):
        raise Malformed("not a body structure")
    return _Parser().part(found[0], "", 0)


# What Gmail gives for a multipart without parts is its subtype alone.
_MULTIPARTS = frozenset({"mixed", "alternative", "related", "report", "signed"})


class _Parser:
    """Counts what it makes."""

    def __init__(self) -> None:
        self._count = 0

    def part(self, body: "list[Value]", section: str, depth: int) -> Structure:
        """Build a part; section is its number, empty at the top."""
        self._count += 1
        if self._count > MAX_PARTS or depth > MAX_DEPTH:
            raise Malformed("too many parts")
        if not body:
            raise Malformed("empty body structure")
        word = _word(body[0])
        if isinstance(body[0], list) or (len(body) == 1 and word in _MULTIPARTS):
            return self._multipart(body, section, depth)
        return self._single(body, section or "1", depth)

    def _multipart(self, body: "list[Value]", section: str, depth: int) -> Structure:
        prefix = f"{section}." if section else ""
        count = next(
            (i for i, item in enumerate(body) if not isinstance(item, list)), len(body)
        )
        parts = tuple(
            self.part(item, f"{prefix}{i}", depth + 1)
            for i, item in enumerate(body[:count], 1)
            if isinstance(item, list) and item
        )
        rest = body[count:]
        disposition, filename = _disposition(_at(rest, 2))
        return Structure(
            section,
            f"multipart/{_word(_at(rest, 0)) or 'mixed'}",
            _params(_at(rest, 1)),
            disposition=disposition,
            filename=filename,
            language=_strings(_at(rest, 3)),
            location=_string(_at(rest, 4)),
            parts=parts,
        )

    def _single(self, body: "list[Value]", section: str, depth: int) -> Structure:
        kind = f"{_word(body[0]) or 'text'}/{_word(_at(body, 1)) or 'plain'}"
        rest = body[7:]
        lines: int | None = None
        envelope: tuple[Value, ...] | None = None
        parts: tuple[Structure, ...] = ()
        inner = _at(rest, 1)
        if kind.startswith("text/"):
            lines, rest = _count(_at(rest, 0)), rest[1:]
        elif isinstance(head := _at(rest, 0), list) and isinstance(inner, list):
            envelope = tuple(head)
            parts = (self._message(inner, section, depth),)
            lines, rest = _count(_at(rest, 2)), rest[3:]
        disposition, filename = _disposition(_at(rest, 1))
        return Structure(
            section,
            kind,
            _params(_at(body, 2)),
            _string(_at(body, 3)),
            _string(_at(body, 4)),
            _word(_at(body, 5)),
            _count(_at(body, 6)) or 0,
            lines,
            envelope,
            _string(_at(rest, 0)),
            disposition,
            filename,
            _strings(_at(rest, 2)),
            _string(_at(rest, 3)),
            parts,
        )

    def _message(self, inner: "list[Value]", section: str, depth: int) -> Structure:
        """Build the message in a message/rfc822 part; RFC 9051 section 6.4.5.1."""
        if inner and isinstance(inner[0], list):
            return self.part(inner, section, depth + 1)
        return self.part(inner, f"{section}.1", depth + 1)


def _at(items: "list[Value]", index: int) -> Value:
    return items[index] if index < len(items) else None


def _string(value: Value) -> bytes:
    return value if isinstance(value, bytes) else b""


def _word(value: Value) -> str:
    return _string(value).decode("ascii", "replace").lower()


def _strings(value: Value) -> tuple[bytes, ...]:
    if isinstance(value, list):
        return tuple(item for item in value if isinstance(item, bytes))
    return (value,) if value else ()


def _count(value: Value) -> int | None:
    text = _string(value)
    if not text.isdigit() or len(text) > 19:
        return None
    return min(int(text), MAX_OCTETS)


def _params(value: Value) -> Params:
    if not isinstance(value, list):
        return ()
    pairs = zip(value[::2], value[1::2], strict=False)
    return tuple((_word(name), _string(text)) for name, text in pairs)


def _disposition(value: Value) -> tuple[str, Params]:
    if not isinstance(value, list):
        return _word(value), ()  # some servers send the word alone
    return _word(_at(value, 0)), _params(_at(value, 1))
