"""BODY and BODYSTRUCTURE of a message, and its parts' places; RFC 9051 section 7.5.2.

All octets are those of the message as the network has it (mailfs.mailbox.wiretext).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mailfs.mailbox.octets import Memory, Octets
from mailfs.msg import header, param, part
from mailfs.msg.header import MAX_BLOCK, Header
from mailfs.msg.part import Part
from mailfs.serve.description.envelope import envelope, text
from mailfs.serve.description.string import nstring, string

MESSAGES = ("message/rfc822", "message/global")
_COMMA = re.compile(rb"[\s,]+")


@dataclass(frozen=True, slots=True)
class Tree:
    """The parts of a message, and the octets their offsets count in."""

    octets: Octets
    top: Part

    @classmethod
    def of(cls, octets: Octets) -> "Tree":
        """Find the parts of a message."""
        source = octets.data if isinstance(octets, Memory) else octets
        return cls(octets, part.parse(source))

    def header(self, one: Part) -> Header:
        """Return a part's header block; offsets in it count from its start."""
        end = min(one.body, one.start + MAX_BLOCK)
        return header.scan(self.octets.read(one.start, end))

    def end(self, one: Part) -> int:
        """Return a part's end; the line end before a boundary is the boundary's."""
        if self.octets.read(one.end, one.end + 2) == b"--":
            before = self.octets.read(max(one.body, one.end - 2), one.end)
            if before.endswith(b"\n"):
                return one.end - (2 if before == b"\r\n" else 1)
        return one.end

    def lines(self, one: Part) -> int:
        """Return the number of lines in a part's body, the last one whole or not."""
        end = self.end(one)
        count = sum(p.count(b"\n") for p in self.octets.pieces(one.body, end))
        if end > one.body and self.octets.read(end - 1, end) != b"\n":
            count += 1
        return count

    def find(self, numbers: tuple[int, ...]) -> Part | None:
        """Return the part with those numbers, the message for none; None if none is.

        A message that is no multipart is its own part 1; RFC 9051 section 6.4.5.1.
        """
        at, message = self.top, True
        for number in numbers:
            if not message and not parts_of(at):
                below = inner(at)
                if below is None:
                    return None
                at = below
            children = parts_of(at)
            if children and number <= len(children):
                at = children[number - 1]
            elif children or number != 1:
                return None
            message = False
        return at


def inner(one: Part) -> Part | None:
    """Return the message in a message/rfc822 part, None if it is another."""
    if one.type in MESSAGES and one.parts and not one.inset:
        return one.parts[0]
    return None


def parts_of(one: Part) -> list[Part]:
    """Return the parts of a multipart; none for any other part."""
    return one.parts if one.type.startswith("multipart/") else []


def structure(tree: Tree, *, extended: bool) -> bytes:
    """Return BODYSTRUCTURE of a message, or with fewer words BODY."""
    return _Renderer(tree, extended=extended).body(tree.top)


_EMPTY = b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 0 0'


class _Renderer:
    """Writes parts.  They are nested no deeper than msg.part's MAX_DEPTH."""

    def __init__(self, tree: Tree, *, extended: bool) -> None:
        self._tree = tree
        self._extended = extended

    def body(self, one: Part) -> bytes:
        head = self._tree.header(one)
        _, pairs = param.pairs(head.raw(b"content-type"))
        kind, _, subtype = one.type.partition("/")
        if kind == "multipart":
            return self._multipart(one, head, subtype, pairs)
        fields = [
            string(kind.upper().encode()),
            string(subtype.upper().encode()),
            _parameters(self._defaulted(one, head, pairs)),
            nstring(text(head, b"content-id")),
            nstring(text(head, b"content-description")),
            string((one.encoding or "7bit").upper().encode()),
            b"%d" % (self._tree.end(one) - one.body),
        ]
        if one.type in MESSAGES:
            fields += self._message(one)
        if kind == "text":
            fields.append(b"%d" % self._tree.lines(one))
        if self._extended:
            fields.append(nstring(text(head, b"content-md5")))
            fields += _extension(head)
        return b"(" + b" ".join(fields) + b")"

    @staticmethod
    def _defaulted(
        one: Part, head: Header, pairs: list[tuple[str, bytes]]
    ) -> list[tuple[str, bytes]]:
        """Return the parameters; RFC 2045 section 5.2 gives untyped text a charset."""
        if one.type == "text/plain" and head.raw(b"content-type") is None:
            return [("charset", b"us-ascii")]
        return pairs

    def _multipart(
        self, one: Part, head: Header, subtype: str, pairs: list[tuple[str, bytes]]
    ) -> bytes:
        empty = _EMPTY + (b" NIL NIL NIL NIL)" if self._extended else b")")
        children = b"".join(map(self.body, one.parts)) or empty
        fields = [children, string(subtype.upper().encode())]
        if self._extended:
            fields += [_parameters(pairs), *_extension(head)]
        return b"(" + b" ".join(fields) + b")"

    def _message(self, one: Part) -> list[bytes]:
        """Return envelope, body and lines of the message in a part."""
        below = inner(one)
        lines = b"%d" % self._tree.lines(one)
        if below is None:
            nothing = Header(b"", 0, 0, 0)
            empty = _EMPTY + (b" NIL NIL NIL NIL)" if self._extended else b")")
            return [envelope(nothing), empty, lines]
        return [envelope(self._tree.header(below)), self.body(below), lines]


def _parameters(pairs: list[tuple[str, bytes]]) -> bytes:
    if not pairs:
        return b"NIL"
    words = (
        string(name.upper().encode("latin-1")) + b" " + string(value)
        for name, value in pairs
    )
    return b"(" + b" ".join(words) + b")"


def _extension(head: Header) -> Iterator[bytes]:
    """Give disposition, language and location."""
    word, pairs = param.pairs(head.raw(b"content-disposition"))
    yield b"(%s %s)" % (string(word), _parameters(pairs)) if word else b"NIL"
    languages = _COMMA.split((text(head, b"content-language") or b"").strip())
    found = [string(language) for language in languages if language]
    yield b"(" + b" ".join(found) + b")" if found else b"NIL"
    yield nstring(text(head, b"content-location"))
