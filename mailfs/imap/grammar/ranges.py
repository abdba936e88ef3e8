"""Sets of message numbers and uids as ranges; sequence-set of RFC 9051 section 9."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from mailfs.errors import MailfsError

MAX_UID = (1 << 32) - 1  # nz-number of RFC 9051; no uid is larger
_SET = re.compile(rb"[0-9]{1,10}(?::[0-9]{1,10})?(?:,[0-9]{1,10}(?::[0-9]{1,10})?)*")


class BadRanges(MailfsError):
    """A set that is none."""


class Ranges:
    """An immutable set of uids.

    Kept as sorted, disjoint, never adjacent pairs (first, last), so 100,000
    consecutive uids cost as much as one.
    """

    __slots__ = ("_starts", "pairs")

    pairs: tuple[tuple[int, int], ...]

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self.pairs = tuple(_merge(sorted(pairs)))
        self._starts = [first for first, _ in self.pairs]

    @classmethod
    def of(cls, uids: Iterable[int]) -> "Ranges":
        """Return the set of some uids, in any order."""
        return cls(_runs(sorted(uids)))

    @classmethod
    def parse(cls, text: bytes | str) -> "Ranges":
        """Read ``1:3,7``; either end of a range may come first.

        Raises BadRanges for anything else: ``*`` means nothing without its mailbox.
        """
        raw = text.encode() if isinstance(text, str) else text
        if not raw:
            return cls()
        if _SET.fullmatch(raw) is None:
            raise BadRanges("malformed set of messages")
        pairs = []
        for item in raw.split(b","):
            first, _, last = item.partition(b":")
            a = int(first)
            b = int(last or first)
            if not 0 < min(a, b) <= max(a, b) <= MAX_UID:
                raise BadRanges("message number out of range")
            pairs.append((min(a, b), max(a, b)))
        return cls(pairs)

    def __str__(self) -> str:
        return ",".join(f"{a}:{b}" if b > a else f"{a}" for a, b in self.pairs)

    def __repr__(self) -> str:
        return f"Ranges({str(self)!r})"

    def __len__(self) -> int:
        return sum(b - a + 1 for a, b in self.pairs)

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def __iter__(self) -> Iterator[int]:
        for a, b in self.pairs:
            yield from range(a, b + 1)

    def __contains__(self, uid: object) -> bool:
        if not isinstance(uid, int):
            return False
        at = bisect_right(self._starts, uid) - 1
        return at >= 0 and uid <= self.pairs[at][1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and self.pairs == other.pairs

    def __hash__(self) -> int:
        return hash(self.pairs)

    def __or__(self, other: "Ranges") -> "Ranges":
        return Ranges(self.pairs + other.pairs)

    def __sub__(self, other: "Ranges") -> "Ranges":
        return Ranges(_without(self.pairs, other.pairs))

    def __and__(self, other: "Ranges") -> "Ranges":
        return self - (self - other)

    def chunks(self, octets: int) -> Iterator["Ranges"]:
        """Cut into sets whose text has at most so many octets each."""
        part: list[tuple[int, int]] = []
        size = 0
        for a, b in self.pairs:
            more = len(f"{a}:{b}")
            if part and size + more + 1 > octets:
                yield Ranges(part)
                part, size = [], 0
            part.append((a, b))
            size += more + 1
        if part:
            yield Ranges(part)

    def split(self, count: int) -> Iterator["Ranges"]:
        """Cut into sets of at most so many uids each, lowest first."""
        part: list[tuple[int, int]] = []
        room = count
        for first, last in self.pairs:
            at = first
            while at <= last:
                end = min(last, at + room - 1)
                part.append((at, end))
                room -= end - at + 1
                at = end + 1
                if not room:
                    yield Ranges(part)
                    part, room = [], count
        if part:
            yield Ranges(part)


def _runs(uids: list[int]) -> Iterator[tuple[int, int]]:
    """Turn a sorted list into pairs."""
    if not uids:
        return
    first = last = uids[0]
    for uid in uids:
        if uid > last + 1:
            yield first, last
            first = uid
        last = uid
    yield first, last


def _merge(pairs: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join what overlaps or touches; pairs are sorted."""
    if not pairs:
        return
    first, last = pairs[0]
    for a, b in pairs:
        if a > last + 1:
            yield first, last
            first, last = a, b
        else:
            last = max(last, b)
    yield first, last


def _without(
    pairs: tuple[tuple[int, int], ...], holes: tuple[tuple[int, int], ...]
) -> Iterator[tuple[int, int]]:
    at = 0
    for first, last in pairs:
        while at < len(holes) and holes[at][1] < first:
            at += 1
        start, i = first, at
        while i < len(holes) and holes[i][0] <= last:
            if holes[i][0] > start:
                yield start, holes[i][0] - 1
            start = max(start, holes[i][1] + 1)
            i += 1
        if start <= last:
            yield start, last
