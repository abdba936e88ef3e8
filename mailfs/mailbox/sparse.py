"""The MIME structure of a long message on a server, read without its long parts.

A server tells how many octets each part has, but not where it lies.  So the octets
between the long parts are read: where one begins is known when its header has been
read, and where it ends follows from its size.  What is read around the holes must be
the boundary that belongs there; otherwise the server miscounts, and nothing is said.
"""

from collections.abc import Sequence

from mailfs.mailbox.octets import Octets
from mailfs.msg import part
from mailfs.msg.part import Part

WINDOW = 16 << 10  # octets read at a time; holds most headers and short texts
HOLE = 48 << 10  # octets; a part that has more left is jumped over
EDGE = 1 << 10  # octets read again before the end of a hole
MAX_READS = 256  # windows; a message of more pieces is read whole


def layout(octets: Octets, sizes: Sequence[int]) -> Part | None:
    """Return the parts of a message; sizes are those of its leaves, in order.

    None if what is found does not agree with them.
    """
    size = len(octets)
    text = bytearray()
    holes: list[tuple[int, int]] = []  # where in text octets are left out, how many
    skipped = 0
    for _ in range(MAX_READS):
        at = len(text) + skipped
        if at >= size:
            return _placed(part.parse(text), holes, sizes)
        text += octets.read(at, min(at + max(WINDOW, len(text)), size))
        if len(text) + skipped <= at:
            return None  # shorter than the server said
        end = _end_of_last(part.parse(text), holes, sizes)
        if end is None:
            return None
        at = len(text) + skipped
        if end - EDGE - at > HOLE:
            holes.append((len(text), end - EDGE - at))
            skipped += end - EDGE - at
    return None


def _leaves(tree: Part) -> list[Part]:
    return [one for one in tree.walk() if not one.parts]


def _end_of_last(
    tree: Part, holes: Sequence[tuple[int, int]], sizes: Sequence[int]
) -> int | None:
    """Compute the end of the leaf that is open at the end of the text.

    0 while its header may go on.  None for inset messages, whose octets are not those
    of the message, and if there are more leaves than there should be.
    """
    if any(one.inset for one in tree.walk()):
        return None
    leaves = _leaves(tree)
    last = leaves[-1]
    if last.body >= tree.end or last.type.startswith("multipart/"):
        return 0
    if len(leaves) > len(sizes):
        return None
    return _moved(last.body, holes) + sizes[len(leaves) - 1]


def _moved(at: int, holes: Sequence[tuple[int, int]]) -> int:
    return at + sum(count for where, count in holes if where <= at)


def _placed(
    tree: Part, holes: Sequence[tuple[int, int]], sizes: Sequence[int]
) -> Part | None:
    """Move the offsets to where they are in the message, and check the sizes."""
    if not holes:
        return tree
    for one in tree.walk():
        one.start = _moved(one.start, holes)
        one.body = _moved(one.body, holes)
        one.end = _moved(one.end, holes)
    leaves = _leaves(tree)
    if len(leaves) != len(sizes):
        return None
    for leaf, size in zip(leaves, sizes, strict=True):
        # The line end before a boundary is the boundary's to the server (RFC 2046
        # section 5.1.1), and the part's to the tree.
        if not 0 <= leaf.end - leaf.body - size <= len(b"\r\n"):
            return None
    return tree
