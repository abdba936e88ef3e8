"""Messages with binary parts as stores can have them: in base64; RFC 3516 4.3."""

import base64
import re
from collections.abc import Iterator

from mailfs.mailbox.octets import Octets, unix
from mailfs.msg.part import Part
from mailfs.serve.description.structure import Tree

PIECE = 57 * 1024  # octets encoded at once: whole lines of 76 characters

_FIELD = re.compile(
    rb"^content-transfer-encoding[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*",
    re.IGNORECASE | re.MULTILINE,
)


def encoded(octets: Octets) -> Iterator[bytes]:
    """Give a message, its binary parts in base64, lines ending with LF."""
    tree = Tree.of(octets)
    at = 0
    for part in _binary(tree.top):
        end = tree.end(part)
        yield from _lines(octets, at, part.start)
        head = b"".join(_lines(octets, part.start, part.body))
        yield _FIELD.sub(b"Content-Transfer-Encoding: base64\n", head, count=1)
        for start in range(part.body, end, PIECE):
            piece = octets.read(start, min(start + PIECE, end))
            yield base64.encodebytes(piece)
        at = end
    yield from _lines(octets, at, len(octets))


def _binary(top: Part) -> Iterator[Part]:
    """Give the parts that say they are binary, in order."""
    for part in top.walk():
        if part.encoding == "binary" and not part.parts:
            yield part


def _lines(octets: Octets, start: int, end: int) -> Iterator[bytes]:
    """Give octets [start, end) with LF at the ends of lines."""
    return unix(octets.pieces(start, end))
