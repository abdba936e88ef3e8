"""A mailbox as a blocking thing: its store, its index, and the view they make.

One thread uses a Folder: the mailbox's worker in the server, or the process that
builds the index.
"""

import logging
import sqlite3
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from mailfs.errors import MailfsError
from mailfs.mailbox.derive import Shape
from mailfs.mailbox.driver import Driver
from mailfs.mailbox.index import Index
from mailfs.mailbox.kinds import Flag, Listing, Stale, Want
from mailfs.mailbox.message import Message
from mailfs.mailbox.octets import Stored
from mailfs.mailbox.remote import RemoteMessage
from mailfs.mailbox.view import Nowhere, View, difference, first_view, merge, without

log = logging.getLogger(__name__)

SLICES = 0.25  # seconds of fetched headers between two transactions
RETRIES = 5  # listings to try when a store changes under our hands each time
T = TypeVar("T")


class MailboxState:
    """One mailbox: a driver and an index, kept in step."""

    def __init__(
        self, driver: Driver, index: Index, clock: Callable[[], float] = time.time
    ) -> None:
        self.driver = driver
        self.index = index
        self.shape = Shape(driver.envelope, driver.blank, driver.crlf)
        self.first = 1  # the first number that was not known when we opened
        self.parted: dict[int, str] | None = None  # digests of what went, if wanted
        self._clock = clock
        self._view: View | None = None

    @property
    def view(self) -> View:
        """The latest view; open or list first."""
        assert self._view is not None
        return self._view

    def load(self) -> bool:
        """Take the view from the index; say whether it still is what the store has."""
        loaded = self.index.load(Nowhere())
        if loaded is None:
            return False
        self._view = loaded
        self.first = loaded.next
        listing = self.driver.restore(loaded.listing)
        if listing is None:
            return False
        self._view = replace(loaded, listing=listing)
        return True

    @property
    def heavy(self) -> bool:
        """Whether listing the store now is work for a process of its own."""
        return self.driver.heavy(self._view.listing if self._view else None)

    def list(self) -> View:
        """Bring the view up to date with the store."""
        old = self._view
        listing = self.driver.list(old.listing if old else None)
        if old is None or listing is not old.listing:
            self._view = self._save(old, listing)
        return self.view

    def _save(self, old: View | None, listing: Listing) -> View:
        return self._indexed(lambda: self._merge(old, listing))

    def _merge(self, old: View | None, listing: Listing) -> View:
        """Number a new listing; within a transaction, against what others made."""
        generation = self.index.generation
        if generation and (old is None or old.generation != generation):
            # Somebody else has listed meanwhile, maybe more than we saw.
            old = self.index.load(Nowhere())
            assert old is not None
            listing = self.driver.restore(old.listing) or self.driver.list(old.listing)
        now = int(self._clock())
        if old is None:
            view = replace(first_view(listing, now), generation=1)
        else:
            view, change = merge(old, listing, now)
            view = replace(view, generation=generation + 1)
            self._part(change.gone)
            if self.driver.exact or _same_octets(old, view):
                self.index.outdate(change.rewritten)
            else:
                self.index.outdate(None)
        self.index.save(old, view)
        return view

    def _part(self, gone: Iterable[int]) -> None:
        """Keep the digests of messages that go, while the index has them."""
        if self.parted is not None:
            for number in gone:
                row = self.index.body(number)
                if row is not None:
                    self.parted[number] = row[0].hex()

    def _indexed(self, step: Callable[[], T]) -> T:
        """Do step in a transaction; go on without the file if it cannot be written."""
        try:
            with self.index.transaction():
                return step()
        except sqlite3.Error as e:
            if self.index.path is None:
                raise
            log.warning("index %s: %s; kept in memory", self.index.path, e)
            self.index.close()
            self.index = Index(None, self.driver.kind, self.driver.path)
            with self.index.transaction():
                if self._view is not None:
                    self.index.save(None, self._view)
                return step()

    def delete(self, numbers: Iterable[int]) -> View:
        """Remove messages from the store; those that are not there are passed over."""
        return self.remove(numbers, self.driver.delete)

    def remove(
        self,
        numbers: Iterable[int],
        how: Callable[[Listing, Sequence[int]], Listing],
    ) -> View:
        """Have the driver remove messages in one of its ways."""
        wanted = list(numbers)

        def attempt() -> View:
            view = self.view
            rows = view.rows(wanted)
            if not rows:
                return view
            listing = how(view.listing, sorted(rows))
            return self._store(without(view, listing, rows, int(self._clock())))

        return self._retry(attempt)

    def set_flags(self, changes: Sequence[tuple[int, Flag, Flag]]) -> View:
        """Apply (number, flags to set, flags to clear), each on what is set by then."""

        def attempt() -> View:
            view = self.view
            rows = _flagged(view, changes)
            if not rows:
                return view
            listing = self.driver.set_flags(view.listing, rows)
            return self._store(merge(view, listing, int(self._clock()))[0])

        return self._retry(attempt)

    def _retry(self, attempt: Callable[[], View]) -> View:
        for _ in range(RETRIES):
            try:
                self._view = attempt()
            except Stale:
                self.list()
            else:
                return self._view
        raise MailfsError(f"{self.driver.path}: changes too fast to be changed")

    def _store(self, view: View) -> View:
        """Save a view the driver has just made true."""
        old = self.view

        def step() -> View:
            generation = self.index.generation
            if generation and old.generation != generation:
                return self._merge(None, view.listing)
            new = replace(view, generation=generation + 1)
            if self.parted is not None:
                self._part(difference(old, new).gone)
            self.index.save(old, new)
            return new

        return self._indexed(step)

    def message(self, number: int, view: View | None = None) -> Message | None:
        """Return the message a view has under a number; any thread."""
        view = view or self.view
        row = view.row(number)
        if row is None:
            return None
        l = view.listing
        octets = Stored(l.store, l.keys[row], l.sizes[row], l.idents[row])
        when = (l.dates[row], view.seqs[row])
        if self.driver.remote:
            return RemoteMessage(
                number, octets, self.shape, self.index, when, self.driver
            )
        return Message(number, octets, self.shape, self.index, when)

    # What only remote stores need.

    def unsliced(self, limit: int) -> "array[int]":
        """Return the newest messages whose header nobody has fetched."""
        return self.index.missing("slice", limit, newest=True)

    def slice(self, numbers: Iterable[int]) -> None:
        """Fetch the headers of messages into the index."""
        view = self.view
        keys = {view.listing.keys[row]: view.numbers[row] for row in view.rows(numbers)}
        rows: list[tuple[int, bytes, bytes]] = []
        since = time.monotonic()
        for one in self.driver.heads(list(keys)):
            rows.append((keys[one.key], one.header, one.structure))
            if time.monotonic() - since > SLICES:
                self._put_slices(rows)
                rows.clear()
                since = time.monotonic()
        self._put_slices(rows)

    def _put_slices(self, rows: Sequence[tuple[int, bytes, bytes]]) -> None:
        with self.index.transaction():
            self.index.put_slices(rows)

    def fetch(self, numbers: Iterable[int]) -> None:
        """Fetch whole messages into the cache."""
        l, rows = self.view.listing, self.view.rows(numbers)
        self.driver.fetch(
            [Want(l.keys[row], l.sizes[row], l.idents[row], 0, -1) for row in rows]
        )

    def close(self) -> None:
        """Release the store and the index."""
        self.driver.close()
        self.index.close()


def _flagged(
    view: View, changes: Sequence[tuple[int, Flag, Flag]]
) -> list[tuple[int, Flag]]:
    """Return (row, flags) of the messages whose flags the changes alter."""
    now: dict[int, Flag] = {}
    for number, add, drop in changes:
        row = view.row(number)
        if row is not None:
            was = now.get(row, Flag(view.listing.flags[row]) & ~Flag.RECENT)
            now[row] = (was | add) & ~drop
    return [
        (row, flags)
        for row, flags in sorted(now.items())
        if flags != Flag(view.listing.flags[row]) & ~Flag.RECENT
    ]


def _same_octets(old: View, new: View) -> bool:
    """Whether messages that are in both have the same octets for certain."""
    was, now = (v.listing.signature.partition("/")[0] for v in (old, new))
    if was == now:
        return True
    appended = len(new) > len(old)
    # The last message may have been half delivered: it counts as rewritten then.
    return appended and old.same_rows(new)[0] >= len(old) - 1
