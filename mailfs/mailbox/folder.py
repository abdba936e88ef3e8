"""The blocking side of an open mailbox: its store, its index, the view they make.

One thread uses a MailboxState: the mailbox's worker in the server, or the process that
builds the index.
"""

import logging
import sqlite3
import time
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from mailfs.errors import MailfsError
from mailfs.fulltext.store import FullText
from mailfs.mailbox.derive import Shape
from mailfs.mailbox.driver import Driver, Place
from mailfs.mailbox.index import Index, WireRow, index_path, outage_of
from mailfs.mailbox.kinds import Flag, Listing, Stale
from mailfs.mailbox.message import Message
from mailfs.mailbox.octets import Stored
from mailfs.mailbox.uidfile import UidFile, uid_path
from mailfs.mailbox.view import (
    Change,
    Nowhere,
    View,
    bare,
    difference,
    first_view,
    merge,
    renumbered,
    without,
)
from mailfs.mailbox.wiretext import digest, wiretext
from mailfs.query.tree import Leaf

log = logging.getLogger(__name__)

RETRIES = 5  # listings to try when a store changes under our hands each time
_ALL = (1 << 64) - 1
T = TypeVar("T")


class MailboxState:
    """One mailbox: a driver and an index, kept in step."""

    def __init__(
        self, driver: Driver, index: Index, clock: Callable[[], float] = time.time
    ) -> None:
        self.driver = driver
        self.index = index
        self.name = box_name(driver.path)
        self.uids = uids_of(driver.place)
        self.shape = Shape(driver.envelope, driver.blank, driver.crlf, driver.volatile)
        self.first = 1  # the first number that was not known when we opened
        # Digests of removed messages by number; gathered only if it is not None.
        self.removed_digests: dict[int, str] | None = None
        self._clock = clock
        self._view: View | None = None
        self._latest: Listing | None = None  # the driver's last, numbered or not yet
        self._fulltext: FullText | None = None
        self._speechless = False  # whether there can be no file of words
        # How many messages the file of words lacks, and the next number at that time.
        self.wordless: tuple[int, int] | None = None

    @property
    def view(self) -> View:
        """The latest view.  Raises ValueError before the first load or list."""
        if self._view is None:
            raise ValueError("not listed yet")
        return self._view

    @property
    def fulltext(self) -> FullText | None:
        """The words of the messages, beside the index; None where none can be kept."""
        path = self.index.path
        if self._fulltext is None and path is not None and not self._speechless:
            try:
                self._fulltext = FullText(path.with_suffix(".fts"))
            except (OSError, sqlite3.Error) as e:
                log.warning("full text of %s: %s; there is none", self.driver.path, e)
                self._speechless = True
        return self._fulltext

    def load(self) -> bool:
        """Take the view from the index; True if it still is what the store has."""
        self._settle()
        loaded = self._worded(self.index.load(Nowhere()))
        if loaded is None:
            return False
        self._view = loaded
        self.first = loaded.next
        self._latest = listing = self.driver.restore(loaded.listing)
        if listing is None:
            return False
        self._view = replace(loaded, listing=listing)
        return True

    def _settle(self) -> None:
        """Note which start of the machine the index is used in."""
        try:
            self.index.settle(boot())
        except sqlite3.Error as e:
            log.warning("index %s: %s", self.index.path, e)

    def _worded(self, view: View | None) -> View | None:
        """Give a view from the index its keywords, by the numbers that stay."""
        if view is None:
            return None
        known = self.uids.keywords(self.name)
        found = {n: w for n, (_, w) in known.items() if view.row(n) is not None}
        return replace(view, keywords=MappingProxyType(found))

    def _reworded(self, view: View) -> View:
        """Give a view whose numbers began anew its keywords, by identity."""
        known = self.uids.keywords(self.name)
        if not known:
            return view
        found = _placed(known, view)
        self.uids.replace_keywords(self.name, self.with_idents(found, view))
        return replace(view, keywords=MappingProxyType(found))

    @staticmethod
    def with_idents(
        words: Mapping[int, tuple[str, ...]], view: View
    ) -> dict[int, tuple[int, tuple[str, ...]]]:
        """Return (ident, keywords) by number, as the uid file has them."""
        found = {}
        for number, row in words.items():
            at = view.row(number)
            if at is not None:
                found[number] = (_signed(view.listing.idents[at]), row)
        return found

    @property
    def heavy(self) -> bool:
        """Whether listing the store now is work for a process of its own."""
        return self.driver.heavy(self._known)

    @property
    def _known(self) -> Listing | None:
        """The listing that the driver is to bring up to date."""
        if self._latest is None and self._view is not None:
            return self._view.listing
        return self._latest

    def list(self) -> View:
        """Bring the view up to date with the store."""
        old = self._view
        listing = self._relisted(self._known)
        if old is None or listing is not old.listing:
            self._view = self._save(old, listing)
        return self.view

    def catch_up(self) -> View:
        """Take over what other processes have changed in the index alone.

        That is a flag which the store has no place for.
        """
        view = self.view
        if self.index.generation in (0, view.generation):
            return view
        first = self.first
        try:
            return self.view if self.load() else self.list()
        finally:
            self.first = first

    def _relisted(self, old: Listing | None) -> Listing:
        """Have the driver list, and keep its answer.

        A server tells news once: what it told is kept even if saving it fails.
        """
        self._latest = listing = self.driver.list(old)
        return listing

    def _save(self, old: View | None, listing: Listing) -> View:
        return self._indexed(lambda: self._merge(old, listing))

    def _merge(self, old: View | None, listing: Listing) -> View:
        """Number a new listing; within a transaction, against the index's numbers."""
        generation = self.index.generation
        if generation and (old is None or old.generation != generation):
            # Another process has numbered messages that listing may lack, having been
            # made before.  Ours, brought up to date, is later than theirs for certain.
            old = self._worded(self.index.load(Nowhere()))
            listing = self._relisted(listing)
        now = int(self._clock())
        if old is None:
            view = replace(first_view(listing, now, self.index.first), generation=1)
            view = self._reworded(view)
        else:
            view, change = merge(old, listing, now)
            view, change = self._parted(view, change)
            view = replace(view, generation=generation + 1)
            edited = {n: w for n in change.rewritten if (w := view.keywords.get(n))}
            if edited:
                self.uids.set_keywords(self.name, self.with_idents(edited, view))
            self._keep_digests(change.gone)
            if self.driver.exact or _same_octets(old, view):
                self.index.outdate(change.rewritten)
            else:
                self.index.outdate(None)
        self.index.save(old, view)
        return view

    def _parted(self, view: View, change: Change) -> tuple[View, Change]:
        """Give a message that another program edited a new number, if it was told.

        Clients of IMAP take a number for the same octets for ever.
        """
        edited = []
        for number in change.rewritten:
            known = self.index.wire(number)
            if known is not None and self._edited(number, view, known):
                edited.append(number)
        if not edited:
            return view, change
        view = renumbered(view, edited)
        was = set(edited)
        return view, replace(
            change,
            gone=tuple(sorted({*change.gone, *edited})),
            new=tuple(sorted({*change.new, *range(view.next - len(was), view.next)})),
            rewritten=tuple(n for n in change.rewritten if n not in was),
        )

    def _edited(self, number: int, view: View, known: WireRow) -> bool:
        """Whether a message is not what clients know under its number."""
        message = self.message(number, view)
        assert message is not None
        try:
            text = wiretext(message.stored, self.shape)
        except (OSError, Stale):
            return True
        return digest(text) != known.digest

    def part(self, numbers: Sequence[int]) -> View:
        """Give messages whose octets have changed new numbers."""

        def step() -> View:
            generation = self.index.generation
            old = self.view
            if old.generation != generation:
                return self._merge(None, old.listing)
            there = [n for n in numbers if old.row(n) is not None]
            new = replace(
                renumbered(old, there),
                generation=generation + 1,
                vers=(old.vers + 1) & 0xFFFFFFFF,
            )
            self.index.save(old, new)
            return new

        self._view = self._indexed(step)
        return self._view

    def set_keywords(self, words: Mapping[int, tuple[str, ...]]) -> View:
        """Give messages keywords, by number; on disk when it returns."""

        def step() -> View:
            generation = self.index.generation
            old = self.view
            if old.generation != generation:
                old = self._merge(None, old.listing)
                generation = old.generation
            there = {n: w for n, w in words.items() if old.row(n) is not None}
            self.uids.set_keywords(self.name, self.with_idents(there, old))
            merged = {**old.keywords, **there}
            new = replace(
                old,
                generation=generation + 1,
                vers=(old.vers + 1) & 0xFFFFFFFF,
                keywords=MappingProxyType({n: w for n, w in merged.items() if w}),
            )
            self.index.save(old, new)
            self.index.touch(there, new.generation)
            return new

        self._view = self._indexed(step)
        return self._view

    def _keep_digests(self, gone: Iterable[int]) -> None:
        """Keep the digests of messages that go, while the index has them."""
        if self.removed_digests is not None:
            for number in gone:
                row = self.index.body(number)
                if row is not None:
                    self.removed_digests[number] = row[0].hex()

    def _indexed(self, step: Callable[[], T]) -> T:
        """Do step in a transaction; go on in memory if the file cannot be written.

        Then it is tried again in a while, and takes over what memory has.
        """
        self._recover()
        try:
            with self.index.transaction():
                done = step()
        except sqlite3.Error as e:
            if self.index.path is None:
                raise
            self.index.outage.failed(str(e))
            self.index = self.index.in_memory(self.driver.kind, self.driver.path)
            with self.index.transaction():
                if self._view is not None:
                    self.index.save(None, self._view)
                return step()
        self.index.drop_mark()
        return done

    def derived(self, put: Callable[[], None]) -> None:
        """Put into the index, in a transaction, what follows from messages."""
        self._indexed(put)

    def _recover(self, *, late: bool = False) -> None:
        """Put what is in memory back into the file, if that may go well by now."""
        memory = self.index
        if memory.lost is None or (outage_of(memory.lost.parent).closed and not late):
            return
        floor = partial(self.uids.floor, self.name)
        file = Index(memory.lost, self.driver.kind, self.name, floor)
        if file.path is None:
            return
        try:
            self._view = self._restored(file)
        except sqlite3.Error as e:
            file.outage.failed(str(e))
            file.close()
            return
        file.outage.worked()
        self.index = file
        memory.close()

    def _restored(self, file: Index) -> View | None:
        """Save the view to a file that has an earlier one; numbers stay as they are."""
        view = self._view
        if view is not None:
            with file.transaction():
                there = file.load(Nowhere())
                generation = 1
                if there is not None:
                    file.outdate(difference(there, view).rewritten)
                    generation = there.generation + 1
                    view = replace(view, next=max(view.next, there.next - file.gap))
                view = replace(view, generation=generation)
                file.save(there, view)
        file.drop_mark()
        return view

    @property
    def outage(self) -> str:
        """Why the index is in memory; empty if it is in its file."""
        lost = self.index.lost
        return "" if lost is None else outage_of(lost.parent).why

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
            self._latest = listing = how(view.listing, sorted(rows))
            return self._store(without(view, listing, rows, int(self._clock())))

        return self._retry(attempt)

    def set_flags(self, changes: Sequence[tuple[int, Flag, Flag]]) -> View:
        """Apply (number, flags to set, flags to clear), each on what is set by then."""

        def attempt() -> View:
            view = self.view
            rows = _flagged(view, changes)
            if not rows:
                return view
            self._latest = listing = self.driver.set_flags(view.listing, rows)
            return self._store(merge(view, listing, int(self._clock()))[0])

        return self._retry(attempt)

    def _retry(self, attempt: Callable[[], View]) -> View:
        for _ in range(RETRIES):
            if self._latest is not self.view.listing:
                self.list()  # what was listed last could not be saved
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
            if self.removed_digests is not None:
                self._keep_digests(difference(old, new).gone)
            self.index.save(old, new)
            return new

        return self._indexed(step)

    def message(self, number: int, view: View | None = None) -> Message | None:
        """Return the message a view has under a number; any thread."""
        view = self.view if view is None else view
        row = view.row(number)
        if row is None:
            return None
        l = view.listing
        octets = Stored(l.store, l.keys[row], l.sizes[row], l.idents[row])
        return self._message(number, octets, (l.dates[row], view.seqs[row]))

    def _message(self, number: int, octets: Stored, when: tuple[int, int]) -> Message:
        return Message(number, octets, self.shape, self.index, when)

    # A remote store's octets lie elsewhere; a local one's are at hand.

    def unsliced(self, limit: int) -> "array[int]":
        """Return the newest messages whose header has not been fetched."""
        return array("I")

    def slice(self, numbers: Iterable[int]) -> None:
        """Fetch the headers of messages into the index."""

    def fetch(self, numbers: Iterable[int]) -> None:
        """Fetch whole messages into the cache."""

    def search(
        self, leaves: Sequence[Leaf], numbers: Iterable[int]
    ) -> dict[Leaf, set[int]] | None:
        """Ask a server which messages answer each of some conditions; None if none."""
        return None

    def close(self) -> None:
        """Release the store and the index."""
        self.driver.close()
        self.release()

    def forget(self) -> None:
        """Let go of the store; only the columns of the view are left."""
        self._latest = None
        if self._view is not None:
            self._view = bare(self._view)

    def release(self) -> None:
        """Close the index; what is in memory goes to its file if that can be."""
        self._recover(late=True)
        self.index.close()
        self.uids.close()
        if self._fulltext is not None:
            self._fulltext.close()


def box_name(path: str) -> str:
    """Name the mailbox at a path as the index and the uid file do."""
    return str(Path(path).absolute())


def uids_of(place: Place) -> UidFile:
    """Return the uid file of a place's user."""
    return UidFile(uid_path(place.root, place.user))


def index_of(driver: Driver, cache: Path) -> Index:
    """Open the index of a driver's mailbox, in the cache."""
    name = box_name(driver.path)
    floor = partial(uids_of(driver.place).floor, name)
    return Index(index_path(cache, name), driver.kind, name, floor)


@lru_cache(maxsize=1)
def boot() -> str:
    """Read the boot id of the machine; empty if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _signed(ident: int) -> int:
    """Return an identity as SQLite has it."""
    return ident - (1 << 64) if ident >> 63 else ident


def _placed(
    known: Mapping[int, tuple[int, tuple[str, ...]]], view: View
) -> dict[int, tuple[str, ...]]:
    """Place keywords by the numbers that the messages of those identities have now."""
    words = {ident & _ALL: row for ident, row in known.values()}
    idents = enumerate(view.listing.idents)
    return {view.numbers[row]: words[ident] for row, ident in idents if ident in words}


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
    appended = new.count > old.count
    # The last message may have been half delivered: it counts as rewritten then.
    return appended and old.same_rows(new)[0] >= old.count - 1
