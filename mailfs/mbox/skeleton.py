"""What a server's BODYSTRUCTURE tells of a message nobody has read; RFC 3501."""

from typing import NamedTuple

from mailfs.mbox.message import Outline

LINE = 78  # octets of a line of base64, its end included; RFC 2045 section 6.8
AROUND = 4  # lines before a part: boundary, two fields, empty line


class Skeleton(NamedTuple):
    """The parts of a message without its octets.

    outline  how many parts there are, and in each how many
    sizes    octets of the leaves' stored bodies, depth first
    lines    newlines in the body: exact for a message without parts, where it is
             text; else what the parts' lines and sizes come to
    """

    outline: Outline
    sizes: tuple[int, ...]
    lines: int


def skeleton(raw: bytes) -> Skeleton | None:
    """Read a BODYSTRUCTURE as it came; None if there is none, or it makes no sense."""
    return None
