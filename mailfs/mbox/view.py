"""A view: the messages of a mailbox under their numbers, at one moment.

Numbers start at 1, are given out in order of arrival and are never given again, not
even after a restart: the index keeps them.  A view never changes; the next one
replaces it, so whoever holds an open message keeps what it opened.
"""

from array import array
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mailfs.mbox.driver import Flag, Listing

MAX_SEQ = 99  # fileid has two digits for messages of one second; upasfs(4)
_RECENT = Flag.RECENT.value


@dataclass(frozen=True, slots=True)
class View:
    """Numbers for the rows of a listing.

    numbers     by row of the listing
    seqs        by row: position among the messages of the same second, 0 to 99
    order       rows by ascending number
    next        the number the next message will get
    vers        changes with every visible change, and only then
    mtime       when it last did, seconds since the epoch
    generation  the index's count of changes, of whoever made them
    """

    listing: Listing
    numbers: "array[int]"  # 'I'
    seqs: bytearray
    order: Sequence[int]
    next: int
    vers: int
    mtime: int
    generation: int = 0

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[int]:
        """Give the numbers in ascending order."""
        return map(self.numbers.__getitem__, self.order)

    def row(self, number: int) -> int | None:
        """Return the listing's row of a message number, None if it has gone."""
        numbers = self.numbers
        i = bisect_left(self.order, number, key=numbers.__getitem__)
        if i < len(self.order):
            row = self.order[i]
            if numbers[row] == number:
                return row
        return None

    def rows(self, numbers: Iterable[int]) -> list[int]:
        """Return the rows of those numbers that are still there, each once."""
        found = (self.row(n) for n in dict.fromkeys(numbers))
        return [row for row in found if row is not None]

    def same_rows(self, new: "View") -> int:
        """Return how many rows from the start new has just as they are here.

        It is all of them but the last, or none: mail is mostly appended, and then
        only the last row can have changed, a message that was still being delivered.
        """
        n = len(self) - 1
        a, b = self.listing, new.listing
        if n <= 0 or a.keys[:n] != b.keys[:n]:
            return 0
        same = (
            self.numbers[:n] == new.numbers[:n]
            and a.sizes[:n] == b.sizes[:n]
            and a.idents[:n] == b.idents[:n]
            and a.dates[:n] == b.dates[:n]
            and a.flags[:n] == b.flags[:n]
        )
        return n if same else 0


@dataclass(frozen=True, slots=True)
class Change:
    """What happened between two views, as message numbers."""

    new: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()
    modified: tuple[int, ...] = ()  # flags
    rewritten: tuple[int, ...] = ()  # octets too: another program edited the message

    def __bool__(self) -> bool:
        return bool(self.new or self.gone or self.modified or self.rewritten)


def order_of(numbers: "array[int]") -> Sequence[int]:
    """Return the rows by ascending number, a range where they already are."""
    if all(map(int.__lt__, numbers, numbers[1:])):
        return range(len(numbers))
    return array("I", sorted(range(len(numbers)), key=numbers.__getitem__))


def first_view(listing: Listing, now: int) -> View:
    """Number the messages of a mailbox nobody has seen before."""
    # A fresh index must not repeat the versions of one that was lost, or a client
    # would take its old knowledge for current.
    empty = View(
        _none(listing), array("I"), bytearray(), range(0), 1, now & 0x7FFFFFFF, now
    )
    view, _ = merge(empty, listing, now)
    return replace(view, vers=empty.vers, mtime=now)


def merge(old: View, listing: Listing, now: int) -> tuple[View, Change]:
    """Carry the numbers of old over to what the store holds now.

    A message keeps its number if it is found again, by identity or, between
    neighbours that were, by its weak identity.  The others get new numbers in order.
    """
    if listing is old.listing:
        return old, Change()
    pairs = pair(old.listing, listing)
    numbers = array("I", bytes(4 * len(listing)))
    fresh: list[int] = []
    for row, was in enumerate(pairs):
        if was >= 0:
            numbers[row] = old.numbers[was]
        else:
            numbers[row] = old.next + len(fresh)
            fresh.append(row)
    seqs = _seqs(old, listing, pairs, fresh)
    change = _change(old, listing, pairs, numbers, fresh)
    view = View(
        listing=listing,
        numbers=numbers,
        seqs=seqs,
        order=order_of(numbers),
        next=old.next + len(fresh),
        vers=(old.vers + bool(change)) & 0xFFFFFFFF,
        mtime=now if change else old.mtime,
        generation=old.generation,
    )
    return view, change


def without(old: View, listing: Listing, rows: Sequence[int], now: int) -> View:
    """Return the view after a driver removed rows; listing is what it answered.

    The listing may already show mail that has come since, at its end.
    """
    gone = set(rows)
    kept = [row for row in range(len(old)) if row not in gone]
    numbers = array("I", (old.numbers[row] for row in kept))
    seqs = bytearray(old.seqs[row] for row in kept)
    # Number what came meanwhile by an ordinary merge, onto the part that is known.
    known = View(
        listing=_head(listing, len(kept)),
        numbers=numbers,
        seqs=seqs,
        order=order_of(numbers),
        next=old.next,
        vers=(old.vers + len(gone)) & 0xFFFFFFFF,
        mtime=now,
        generation=old.generation,
    )
    if len(listing) == len(kept):
        return replace(known, listing=listing)
    return merge(known, listing, now)[0]


def pair(old: Listing, new: Listing) -> "array[int]":
    """Return for each row of new the row of old that is the same message, or -1."""
    n, m = len(old), len(new)
    pairs = array("i", b"\xff" * (4 * m))
    head = n if n <= m and new.idents[:n] == old.idents else _common(old, new)
    pairs[:head] = array("i", range(head))
    tail = _common_tail(old, new, head)
    if tail:
        pairs[m - tail :] = array("i", range(n - tail, n))
    if head + tail < min(n, m) or (head + tail < m and head + tail < n):
        _pair_middle(old, new, pairs, head, n - tail, m - tail)
    return pairs


def _common(old: Listing, new: Listing) -> int:
    """Return how many rows agree from the start."""
    a, b = old.idents, new.idents
    low, high = 0, min(len(a), len(b))
    while low < high:
        mid = (low + high + 1) // 2
        if a[low:mid] == b[low:mid]:
            low = mid
        else:
            high = mid - 1
    return low


def _common_tail(old: Listing, new: Listing, head: int) -> int:
    a, b = old.idents, new.idents
    n, m = len(a), len(b)
    low, high = 0, min(n, m) - head
    while low < high:
        mid = (low + high + 1) // 2
        if a[n - mid : n - low] == b[m - mid : m - low]:
            low = mid
        else:
            high = mid - 1
    return low


def _pair_middle(
    old: Listing, new: Listing, pairs: "array[int]", start: int, n: int, m: int
) -> None:
    """Pair rows [start, n) of old with [start, m) of new."""
    places: defaultdict[int, deque[int]] = defaultdict(deque)
    for was in range(start, n):
        places[old.idents[was]].append(was)
    free = set(range(start, n))
    for row in range(start, m):
        rows = places.get(new.idents[row])
        if rows:
            pairs[row] = was = rows.popleft()
            free.discard(was)
    # Of messages that another program edited, pair those whose weak identity is as
    # common among the unpaired of both sides, in order; any other guess could give a
    # number to a different message.
    left: defaultdict[int, list[int]] = defaultdict(list)
    for was in free:
        if old.weaks[was]:
            left[old.weaks[was]].append(was)
    came: defaultdict[int, list[int]] = defaultdict(list)
    for row in range(start, m):
        if pairs[row] < 0 and new.weaks[row]:
            came[new.weaks[row]].append(row)
    for weak, rows_new in came.items():
        rows_old = sorted(left.get(weak, ()))
        if len(rows_old) == len(rows_new):
            for was, row in zip(rows_old, rows_new, strict=True):
                pairs[row] = was


def _seqs(
    old: View, listing: Listing, pairs: "array[int]", fresh: list[int]
) -> bytearray:
    """Keep the sequence numbers of known messages and number the fresh ones."""
    if listing.seqs is not None:
        return listing.seqs
    seqs = bytearray(len(listing))
    for row, was in enumerate(pairs):
        if was >= 0:
            seqs[row] = old.seqs[was]
    if not fresh:
        return seqs
    dates = listing.dates
    wanted = {dates[row] for row in fresh}
    used: dict[int, int] = {}
    for row, date in enumerate(dates):
        if pairs[row] >= 0 and date in wanted:
            used[date] = max(used.get(date, -1), seqs[row])
    for row in fresh:
        date = dates[row]
        used[date] = seq = min(used.get(date, -1) + 1, MAX_SEQ)
        seqs[row] = seq
    return seqs


def _change(
    old: View,
    listing: Listing,
    pairs: "array[int]",
    numbers: "array[int]",
    fresh: list[int],
) -> Change:
    was_there = old.listing
    seen = bytearray(len(old))
    modified: list[int] = []
    rewritten: list[int] = []
    for row, was in enumerate(pairs):
        if was < 0:
            continue
        seen[was] = 1
        if listing.idents[row] != was_there.idents[was]:
            rewritten.append(numbers[row])
        elif (listing.flags[row] ^ was_there.flags[was]) & ~_RECENT:
            modified.append(numbers[row])
    gone = (
        [old.numbers[i] for i, there in enumerate(seen) if not there]
        if len(old) > len(listing) - len(fresh)
        else []
    )
    return Change(
        new=tuple(numbers[row] for row in fresh),
        gone=tuple(sorted(gone)),
        modified=tuple(sorted(modified)),
        rewritten=tuple(sorted(rewritten)),
    )


def _head(listing: Listing, rows: int) -> Listing:
    return replace(
        listing,
        keys=listing.keys[:rows],
        sizes=listing.sizes[:rows],
        idents=listing.idents[:rows],
        weaks=listing.weaks[:rows],
        dates=listing.dates[:rows],
        flags=listing.flags[:rows],
        seqs=None if listing.seqs is None else listing.seqs[:rows],
    )


def _none(listing: Listing) -> Listing:
    return _head(listing, 0)
