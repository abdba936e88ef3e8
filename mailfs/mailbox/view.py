"""A view: the messages of a mailbox under their numbers, at one moment.

Numbers start at 1, are given out in order of arrival and are never given again, not
even after a restart: the index keeps them.  A view never changes; the next one
replaces it, so whoever holds an open message keeps what it opened.
"""

from array import array
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from mailfs.errors import EIO
from mailfs.mailbox.kinds import Flag, Key, Listing, MessageReader, Stale

MAX_SEQ = 99  # fileid has two digits for messages of one second; upasfs(4)
_RECENT = Flag.RECENT.value


NO_KEYWORDS: Mapping[int, tuple[str, ...]] = MappingProxyType({})


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
    keywords    flags beyond Flag, by number, sorted; of gone messages too
    """

    listing: Listing
    numbers: "array[int]"  # 'I'
    seqs: bytearray
    order: Sequence[int]
    next: int
    vers: int
    mtime: int
    generation: int = 0
    keywords: Mapping[int, tuple[str, ...]] = field(default_factory=lambda: NO_KEYWORDS)

    @property
    def count(self) -> int:
        """How many messages there are; an empty view is as true as any other."""
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

    def same_rows(self, new: "View") -> tuple[int, int]:
        """Count the rows at the start, and at the end, that new has in common."""
        n, m = self.count, new.count
        columns = list(zip(_columns(self), _columns(new), strict=True))
        head = _agree(min(n, m), lambda a, b: all(x[a:b] == y[a:b] for x, y in columns))
        tail = _agree(
            min(n, m) - head,
            lambda a, b: all(x[n - b : n - a] == y[m - b : m - a] for x, y in columns),
        )
        return head, tail


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


def first_view(listing: Listing, now: int, first: int = 1) -> View:
    """Number the messages of a mailbox nobody has seen before, from first on."""
    # A fresh index must not repeat the versions of one that was lost, or a client
    # would take its old knowledge for current.
    empty = View(
        _none(listing), array("I"), bytearray(), range(0), first, now & 0x7FFFFFFF, now
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
    same = pair(old.listing, listing)
    known = old.numbers
    middle = array("I")
    fresh: list[int] = []
    for row, was in enumerate(same.middle, same.head):
        if was >= 0:
            middle.append(known[was])
        else:
            middle.append(old.next + len(fresh))
            fresh.append(row)
    numbers = known[: same.head] + middle + known[len(known) - same.tail :]
    seqs = _seqs(old, listing, same, fresh)
    change = _change(old, listing, same, numbers, fresh)
    view = View(
        listing=listing,
        numbers=numbers,
        seqs=seqs,
        order=order_of(numbers),
        next=old.next + len(fresh),
        vers=(old.vers + bool(change)) & 0xFFFFFFFF,
        mtime=now if change else old.mtime,
        generation=old.generation,
        keywords=old.keywords,
    )
    return view, change


def difference(old: View, new: View) -> Change:
    """Compare two views, whoever made the later one."""
    n, m = old.count, new.count
    columns: list[tuple[Any, Any]] = [
        (old.numbers, new.numbers),
        (old.listing.idents, new.listing.idents),
        (old.listing.flags, new.listing.flags),
    ]
    head = _agree(min(n, m), lambda i, j: all(a[i:j] == b[i:j] for a, b in columns))
    tail = _agree(
        min(n, m) - head,
        lambda i, j: all(a[n - j : n - i] == b[m - j : m - i] for a, b in columns),
    )
    was = {old.numbers[row]: row for row in range(head, n - tail)}
    fresh, modified, rewritten = [], [], []
    for row in range(head, m - tail):
        number = new.numbers[row]
        before = was.pop(number, None)
        if before is None:
            fresh.append(number)
        elif old.listing.idents[before] != new.listing.idents[row]:
            rewritten.append(number)
        elif (old.listing.flags[before] ^ new.listing.flags[row]) & ~_RECENT:
            modified.append(number)
    modified += _reworded(old, new, {*fresh, *was, *rewritten, *modified})
    return Change(
        new=tuple(sorted(fresh)),
        gone=tuple(sorted(was)),
        modified=tuple(sorted(modified)),
        rewritten=tuple(sorted(rewritten)),
    )


def renumbered(old: View, numbers: Iterable[int]) -> View:
    """Return the view with new numbers for some of its messages."""
    column = old.numbers[:]
    following = old.next
    for row in sorted(old.rows(numbers)):
        column[row] = following
        following += 1
    return replace(old, numbers=column, order=order_of(column), next=following)


def _reworded(old: View, new: View, known: set[int]) -> list[int]:
    """Return the numbers, but for known ones, whose keywords differ."""
    a, b = old.keywords, new.keywords
    if a is b:
        return []
    differ = (n for n in a.keys() | b.keys() if a.get(n) != b.get(n))
    return [n for n in differ if n not in known and new.row(n) is not None]


def without(old: View, listing: Listing, rows: Sequence[int], now: int) -> View:
    """Return the view after a driver removed rows; listing is what it answered.

    The listing may already show mail that has come since, at its end.
    """
    gone = set(rows)
    kept = [row for row in range(old.count) if row not in gone]
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
        keywords=old.keywords,
    )
    if len(listing) == len(kept):
        return replace(known, listing=listing)
    return merge(known, listing, now)[0]


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which rows of two listings are the same message.

    head rows agree from the start of both, tail rows up to their ends; middle tells,
    for each row of the new listing between, the row of the old one, or -1.
    """

    head: int
    tail: int
    middle: "array[int]"


def pair(old: Listing, new: Listing) -> Pairing:
    """Find the messages of old again in new."""
    a, b = old.idents, new.idents
    n, m = len(a), len(b)
    head = _agree(min(n, m), lambda i, j: a[i:j] == b[i:j])
    tail = _agree(min(n, m) - head, lambda i, j: a[n - j : n - i] == b[m - j : m - i])
    middle = array("i", b"\xff" * (4 * (m - head - tail)))
    if middle and head + tail < n:
        _pair_middle(old, new, middle, head, tail)
    return Pairing(head, tail, middle)


def _agree(most: int, same: Callable[[int, int], bool]) -> int:
    """Return the largest count up to most such that same holds from 0 to it.

    same(a, b) tells whether rows [a, b) agree.
    """
    low, high = 0, most
    while low < high:
        mid = (low + high + 1) // 2
        if same(low, mid):
            low = mid
        else:
            high = mid - 1
    return low


def _columns(view: View) -> tuple[Sequence[object], ...]:
    """Make the index's columns of a view, by row."""
    l = view.listing
    return (
        view.numbers,
        l.keys,
        l.sizes,
        l.idents,
        l.weaks,
        l.dates,
        view.seqs,
        l.flags,
    )


def _pair_middle(
    old: Listing, new: Listing, middle: "array[int]", head: int, tail: int
) -> None:
    """Pair the rows of old between head and tail with those of new."""
    places: defaultdict[int, deque[int]] = defaultdict(deque)
    for was in range(head, len(old) - tail):
        places[old.idents[was]].append(was)
    free = set(range(head, len(old) - tail))
    for i, ident in enumerate(new.idents[head : head + len(middle)]):
        rows = places.get(ident)
        if rows:
            middle[i] = was = rows.popleft()
            free.discard(was)
    # Of messages that another program edited, pair those whose weak identity is as
    # common among the unpaired of both sides, in order; any other guess could give a
    # number to a different message.
    left: defaultdict[int, list[int]] = defaultdict(list)
    for was in sorted(free):
        if old.weaks[was]:
            left[old.weaks[was]].append(was)
    came: defaultdict[int, list[int]] = defaultdict(list)
    for i, was in enumerate(middle):
        if was < 0 and new.weaks[head + i]:
            came[new.weaks[head + i]].append(i)
    for weak, places_new in came.items():
        rows_old = left.get(weak, ())
        if len(rows_old) == len(places_new):
            for was, i in zip(rows_old, places_new, strict=True):
                middle[i] = was


def _seqs(old: View, listing: Listing, same: Pairing, fresh: list[int]) -> bytearray:
    """Keep the sequence numbers of known messages and number the fresh ones."""
    if listing.seqs is not None:
        return listing.seqs
    known = old.seqs
    middle = bytearray(known[was] if was >= 0 else 0 for was in same.middle)
    seqs = known[: same.head] + middle + known[len(known) - same.tail :]
    dates = listing.dates
    used: dict[int, int] = {}
    if fresh and known:
        # Of the dates that fresh messages have, mostly no other message has any.
        coming = Counter(dates[row] for row in fresh)
        shared = coming.keys() & set(old.listing.dates)
        for row, date in enumerate(old.listing.dates) if shared else ():
            if date in shared:
                used[date] = max(used.get(date, -1), known[row])
    for row in fresh:
        date = dates[row]
        used[date] = seq = min(used.get(date, -1) + 1, MAX_SEQ)
        seqs[row] = seq
    return seqs


def _change(
    old: View,
    listing: Listing,
    same: Pairing,
    numbers: "array[int]",
    fresh: list[int],
) -> Change:
    was, n, m = old.listing, old.count, len(listing)
    modified = _reflagged(was.flags, listing.flags, numbers, same.head, 0, 0)
    modified += _reflagged(
        was.flags, listing.flags, numbers, same.tail, n - same.tail, m - same.tail
    )
    rewritten: list[int] = []
    gone = set(range(same.head, n - same.tail))
    for row, before in enumerate(same.middle, same.head):
        if before < 0:
            continue
        gone.discard(before)
        if listing.idents[row] != was.idents[before]:
            rewritten.append(numbers[row])
        else:
            modified += _reflagged(was.flags, listing.flags, numbers, 1, before, row)
    return Change(
        new=tuple(numbers[row] for row in fresh),
        gone=tuple(sorted(old.numbers[i] for i in gone)),
        modified=tuple(sorted(modified)),
        rewritten=tuple(sorted(rewritten)),
    )


def _reflagged(  # two columns, and where to compare them
    was: bytearray,
    now: bytearray,
    numbers: "array[int]",
    count: int,
    before: int,
    row: int,
) -> list[int]:
    """Return the numbers of those count messages whose flags differ."""
    a, b = was[before : before + count], now[row : row + count]
    if a == b:
        return []
    return [
        numbers[row + i]
        for i, (x, y) in enumerate(zip(a, b, strict=True))
        if (x ^ y) & ~_RECENT
    ]


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


class Nowhere(MessageReader):
    """A store that has nothing: of no mailbox, or of one read from the index."""

    def read(self, key: Key, size: int, ident: int, start: int, end: int) -> bytes:
        """Raise Stale."""
        raise Stale(EIO)


# What a mailbox shows that has not been opened.
NOTHING = View(
    listing=Listing(
        signature="",
        settled=True,
        keys=array("Q"),
        sizes=array("Q"),
        idents=array("Q"),
        weaks=array("Q"),
        dates=array("q"),
        flags=bytearray(),
        store=Nowhere(),
    ),
    numbers=array("I"),
    seqs=bytearray(),
    order=range(0),
    next=1,
    vers=0,
    mtime=0,
)


def bare(view: View) -> View:
    """Return a view of which no message can be read: it holds no descriptor."""
    listing = replace(view.listing, store=Nowhere(), settled=False)
    return replace(view, listing=listing)
