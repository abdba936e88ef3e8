"""Work cut into commands, some of them under way at once.

One command for all would be quickest and could be neither watched nor given up; one
after another waits a round trip for each.  So a few are kept in flight, and they grow.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from mailfs.imap.grammar.ranges import Ranges

MAX_SET = 4000  # octets of a set of uids in a command; servers take 8192 in a line


@dataclass(slots=True)
class Batching:
    """Sizes of the sets, in messages: the first, the largest, and how many at once."""

    first: int
    largest: int
    flights: int = 3

    def cut(self, uids: Ranges, *, newest: bool = False) -> Iterator[Ranges]:
        """Cut a set into commands' worth, each twice as large as the one before."""
        size = self.first
        if newest:
            yield from self._from_end(uids)
            return
        left = uids
        while left:
            part = next(left.split(size))
            part = next(part.chunks(MAX_SET))
            yield part
            left = left - part
            size = min(self.largest, size * 2)

    def _from_end(self, uids: Ranges) -> Iterator[Ranges]:
        pairs = list(uids.pairs)
        size = self.first
        while pairs:
            part: list[tuple[int, int]] = []
            room = size
            octets = 0
            while pairs and room and octets < MAX_SET - 24:
                a, b = pairs.pop()
                take = min(room, b - a + 1)
                if take < b - a + 1:
                    pairs.append((a, b - take))
                part.append((b - take + 1, b))
                octets += len(f"{a}:{b},")
                room -= take
            yield Ranges(part)
            size = min(self.largest, size * 2)
