"""What a server's BODYSTRUCTURE tells of a message nobody has read; RFC 3501."""

from typing import NamedTuple

from mailfs.imap.grammar import structure
from mailfs.imap.grammar.structure import Structure
from mailfs.imap.grammar.tokens import Malformed
from mailfs.mailbox.message import Outline

LINE = 78  # octets of a line of base64, its end included; RFC 2045 section 6.8
AROUND = 4  # lines before a part: boundary, two fields, empty line


class Skeleton(NamedTuple):
    """The parts of a message without its octets.

    outline  how many parts there are, and in each how many
    sizes    octets of the leaves' stored bodies, depth first
    lines    newlines in the body: those of a text without parts exactly, else what the
             parts' own lines and sizes come to
    """

    outline: Outline
    sizes: tuple[int, ...]
    lines: int


def skeleton(raw: bytes) -> Skeleton | None:
    """Read a BODYSTRUCTURE as it came; None if there is none, or it makes no sense."""
    if not raw:
        return None
    try:
        top = structure.parse(raw)
    except Malformed:
        return None
    return Skeleton(_outline(top), tuple(_sizes(top)), _lines(top))


def _outline(one: Structure) -> Outline:
    return tuple(map(_outline, one.parts))


def _sizes(one: Structure) -> list[int]:
    if not one.parts:
        return [one.size]
    return [size for part in one.parts for size in _sizes(part)]


def _lines(one: Structure) -> int:
    if one.lines is not None:
        return one.lines
    if one.parts:
        return sum(_lines(part) + AROUND for part in one.parts)
    return -(-one.size // LINE)
