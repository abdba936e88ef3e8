"""Sets of messages as clients write them: ``1:3,7,*`` or ``$``; RFC 9051 section 9."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mailfs.errors import MailfsError
from mailfs.imap.grammar.ranges import MAX_UID, Ranges

MAX_PAIRS = 20_000  # of one set
_ITEM = re.compile(rb"([0-9]{1,10}|\*)(?::([0-9]{1,10}|\*))?\Z")


class BadSet(MailfsError):
    """A set that is none."""


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """Pairs (first, last) as written; None is ``*``.  saved: the set is ``$``."""

    pairs: tuple[tuple[int | None, int | None], ...] = ()
    saved: bool = False

    @classmethod
    def parse(cls, text: bytes) -> "SequenceSet":
        """Read a set.  Raises BadSet."""
        if text == b"$":
            return cls(saved=True)
        items = text.split(b",", MAX_PAIRS)
        if len(items) > MAX_PAIRS:
            raise BadSet("set of messages too long")
        return cls(tuple(map(_pair, items)))

    def ranges(self, last: int) -> Ranges:
        """Return the numbers meant, ``*`` being last."""
        pairs = []
        for first, second in self.pairs:
            a = last if first is None else first
            b = last if second is None else second
            pairs.append((min(a, b), max(a, b)))
        return Ranges((max(a, 1), b) for a, b in pairs if b > 0)

    @property
    def open_ended(self) -> bool:
        """Whether ``*`` is among the numbers."""
        return any(None in pair for pair in self.pairs)

    def most(self) -> int:
        """Return the highest number written."""
        return max((n or 0 for pair in self.pairs for n in pair), default=0)


def _pair(item: bytes) -> tuple[int | None, int | None]:
    m = _ITEM.match(item)
    if m is None:
        raise BadSet("malformed set of messages")
    first = _number(m[1])
    return first, first if m[2] is None else _number(m[2])


def _number(text: bytes) -> int | None:
    if text == b"*":
        return None
    value = int(text)
    if not 0 < value <= MAX_UID:
        raise BadSet("message number out of range")
    return value


def within(ranges: Ranges, sorted_numbers: Sequence[int]) -> Iterator[int]:
    """Give those of ascending numbers that are in ranges."""
    for first, last in ranges.pairs:
        start = bisect_left(sorted_numbers, first)
        yield from sorted_numbers[start : bisect_right(sorted_numbers, last, start)]
