"""A cache of octets that servers sent, on disk, bounded in size.

All network mailboxes share it, in several processes at once: the server and those
that build indexes.  It is never trusted: every piece carries a CRC-32 over the
mailbox, the message, the place in it and the octets, so a process killed at any
moment, a full disk or a damaged file cost cached octets and never give wrong ones.
While the disk takes nothing the latest octets are kept in memory, and it is tried
again every half minute.
"""

import logging
import sqlite3
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from mailfs.cache.outage import Outage
from mailfs.cache.packdb import PIECE, CachedPiece, Key, Length, PackRow, Pieces
from mailfs.cache.segment import Segment, Segments

log = logging.getLogger(__name__)

LEAST = 16 << 20  # octets on disk, however low the limit: what is being read
LARGEST = 64 << 20  # octets of a segment: what eviction drops at once
SHARES = 16  # segments at least, so that eviction drops a small part
MEMORY = 32 << 20  # octets kept in memory while the disk takes none
LENGTHS = 100_000  # lengths of messages likewise; 200 octets each
SHARE = 4  # of the cache that one message may take: a fourth
_ROWS = 512  # rows of a batch written in one go
_OCTETS = 4 << 20  # or so many octets, for readers who wait for the first
_RESUME = 4  # newest segments looked at for one to go on with
_HELD = 0  # the segment number of a piece kept in memory


class _Pending(threading.local):
    """What this thread has put and not yet entered in the table."""

    def __init__(self) -> None:
        self.depth = 0
        self.rows: list[PackRow] = []
        self.lengths: list[Length] = []
        self.octets = 0


class Pack:
    """The cache of one directory; any thread."""

    def __init__(
        self,
        directory: Path,
        limit: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use directory, made 0700, for at most limit octets (LEAST at least)."""
        limit = max(limit, LEAST)
        self.limit = limit
        self.directory = directory
        self._segment_size = min(LARGEST, limit // SHARES)
        self._most = limit // self._segment_size
        self._segments = Segments(directory)
        self._lock = threading.Lock()  # of the current segment's end; never a wait
        self._current: Segment | None = None
        self._turn = threading.Lock()  # of beginning a segment
        self._bad: set[CachedPiece] = set()  # found damaged, not yet dropped
        self._held: OrderedDict[tuple[int, Key, int], bytes] = OrderedDict()
        self._held_octets = 0
        self._held_lengths: OrderedDict[tuple[int, Key], int] = OrderedDict()
        self._pending = _Pending()
        self._pieces: Pieces | None = None
        self.outage = Outage(log, f"cache {directory}", clock=clock)
        self._prepare()

    def _prepare(self) -> None:
        """Open the directory, if that has not been done and may go well."""
        if self._pieces is not None or self.outage.closed:
            return
        with self._turn:
            if self._pieces is not None:
                return
            try:
                self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                pieces = Pieces(self.directory / "pieces.db", self.outage)
                self._sweep(pieces)
            except (OSError, sqlite3.Error) as e:
                self.outage.failed(_said(e))
            else:
                self._pieces = pieces

    @property
    def why(self) -> str:
        """Why the disk takes nothing at present; empty if it does."""
        return self.outage.why

    @property
    def longest(self) -> int:
        """The octets of the longest message that may be put whole."""
        return (MEMORY if self.outage.why else self.limit) // SHARE

    def owner(self, name: str) -> "Owner":
        """Return the part of a mailbox: account, folder, uidvalidity."""
        return Owner(self, name)

    def close(self) -> None:
        """Release files; what other threads are reading stays readable to them."""
        self._current = None
        self._segments.close()
        if self._pieces is not None:
            self._pieces.close()

    def _sweep(self, pieces: Pieces) -> None:
        """Remove files that no table knows."""
        found = self._segments.numbers()  # before the table: it is told first
        for number in set(found) - set(pieces.segments()):
            self._segments.remove(number)

    # Reading.

    def find(self, owner: int, key: Key, start: int, end: int) -> list[CachedPiece]:
        """Return pieces that together cover octets [start, end), or nothing."""
        pieces: list[CachedPiece] = []
        if self._pieces is not None:
            pieces = self._pieces.find(owner, key, start, end)
        if self._bad:
            pieces = [p for p in pieces if p not in self._bad]
        if self._held:
            pieces += self._find_held(owner, key)
            pieces.sort()
        return list(_cover(pieces, start, end))

    def _find_held(self, owner: int, key: Key) -> list[CachedPiece]:
        with self._lock:
            return [
                CachedPiece(at, at + len(octets), _HELD, 0, 0)
                for (whose, name, at), octets in self._held.items()
                if whose == owner and name == key
            ]

    def read(
        self, owner: int, key: Key, seed: bytes, piece: CachedPiece
    ) -> bytes | None:
        """Return a piece's octets, None if they are not what was put."""
        count = piece.end - piece.start
        if piece.segment == _HELD:
            with self._lock:
                return self._held.get((owner, key, piece.start))
        try:
            octets = self._segments.get(piece.segment).read(piece.offset, count)
        except OSError as e:
            if not isinstance(e, FileNotFoundError):  # else just evicted
                log.warning("cache: segment %x: %s", piece.segment, e.strerror)
            octets = b""
        if len(octets) == count and zlib.crc32(octets, zlib.crc32(seed)) == piece.crc:
            return octets
        self._bad.add(piece)
        return None

    def length(self, owner: int, key: Key) -> int | None:
        """Return the length of a message, None if it is not known."""
        if self._held_lengths:
            with self._lock:
                held = self._held_lengths.get((owner, key))
            if held is not None:
                return held
        return None if self._pieces is None else self._pieces.length(owner, key)

    # Writing.

    def put(self, owner: int, key: Key, start: int, seed: bytes, piece: bytes) -> None:
        """Append one piece and remember to enter it in the table."""
        if self.outage.closed:
            self._hold(owner, key, start, piece)
            return
        self._prepare()
        octets = memoryview(piece)
        crc = zlib.crc32(octets, zlib.crc32(seed))
        try:
            segment, offset = self._reserve(len(octets))
            segment.write(octets, offset)
        except OSError as e:
            self.outage.failed(_said(e))
            self._hold(owner, key, start, piece)
            return
        where = CachedPiece(start, start + len(octets), segment.number, offset, crc)
        self._bad.discard(where)
        self._pending.rows.append(PackRow(owner, key, where))
        self._pending.octets += len(octets)

    def _reserve(self, count: int) -> tuple[Segment, int]:
        """Reserve count octets: the offset where nobody else writes."""
        while True:
            with self._lock:
                segment = self._current
                if segment is not None and segment.end + count <= self._segment_size:
                    offset = segment.end
                    segment.end += count
                    return segment, offset
            with self._turn:
                if self._current is segment:
                    self._current = self._begin(count)

    def _begin(self, count: int) -> Segment:
        """Return a segment with room, one left by others or a new one."""
        pieces = self._pieces
        if pieces is None:
            raise OSError(0, self.outage.why or "no directory")
        for number in pieces.segments()[: -_RESUME - 1 : -1]:
            try:
                segment = self._segments.reopen(number)
            except OSError:
                continue
            if segment.lock() and segment.end + count <= self._segment_size:
                return segment
        while True:
            new = pieces.new_segment()
            if new is None:
                raise OSError(0, self.outage.why or "no database")
            for old in pieces.segments()[: -self._most]:
                pieces.drop_segment(old)
                self._segments.remove(old)
            segment = self._segments.create(new)
            if segment.lock():
                return segment

    def _hold(self, owner: int, key: Key, start: int, octets: bytes) -> None:
        with self._lock:
            before = self._held.pop((owner, key, start), b"")
            self._held[owner, key, start] = octets
            self._held_octets += len(octets) - len(before)
            while self._held_octets > MEMORY:
                _, dropped = self._held.popitem(last=False)
                self._held_octets -= len(dropped)

    def note(self, owner: int, key: Key, total: int) -> None:
        """Remember the length of a message."""
        self._pending.lengths.append((owner, key, total))

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Enter what this thread puts in the table together, at the end at latest."""
        pending = self._pending
        pending.depth += 1
        try:
            yield
        finally:
            pending.depth -= 1
            self.settle()

    def settle(self) -> None:
        """Enter in the table what is due."""
        pending = self._pending
        due = pending.octets >= _OCTETS or len(pending.rows) >= _ROWS
        if pending.depth and not due:
            return
        rows, lengths = pending.rows, pending.lengths
        pending.rows, pending.lengths, pending.octets = [], [], 0
        bad = set(self._bad)
        if not rows and not lengths and not bad:
            return
        self._prepare()
        pieces = None if self.outage.closed and not rows else self._pieces
        if pieces is not None and pieces.put(rows, lengths, bad):
            self._bad -= bad
            self._drop_lengths(lengths)
            self.outage.worked()
            return
        with self._lock:
            current = self._current
            if rows:
                self._current = None  # it may have been evicted
            for whose, key, total in lengths:
                self._held_lengths[whose, key] = total
            while len(self._held_lengths) > LENGTHS:
                self._held_lengths.popitem(last=False)
        for row in rows:
            if current is not None and row.piece.segment == current.number:
                self._keep(row, current)

    def _drop_lengths(self, lengths: Iterable[Length]) -> None:
        """Forget what the table has by now."""
        if self._held_lengths:
            with self._lock:
                for whose, key, _ in lengths:
                    self._held_lengths.pop((whose, key), None)

    def _keep(self, row: PackRow, segment: Segment) -> None:
        """Hold in memory what was written but could not be entered."""
        piece = row.piece
        try:
            octets = segment.read(piece.offset, piece.end - piece.start)
        except OSError:
            return
        self._hold(row.owner, row.key, piece.start, octets)

    def forget(self, owner: int, keys: Iterable[Key] | None) -> None:
        """Drop what is known of some messages, of all the owner's without keys."""
        gone = None if keys is None else set(keys)
        with self._lock:
            for whose, key, start in list(self._held):
                if whose == owner and (gone is None or key in gone):
                    self._held_octets -= len(self._held.pop((whose, key, start)))
            for whose, key in list(self._held_lengths):
                if whose == owner and (gone is None or key in gone):
                    del self._held_lengths[whose, key]
        if self._pieces is not None:
            self._pieces.forget(owner, gone)


class Owner:
    """What the cache has of one mailbox; any thread."""

    def __init__(self, pack: Pack, name: str) -> None:
        self.name = name
        self.pack = pack
        raw = blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        self._id = int.from_bytes(raw, "big", signed=True)

    def _seed(self, key: Key, start: int) -> bytes:
        return f"{self.name}\0{key}\0{start}\0".encode("utf-8", "surrogateescape")

    def get(self, key: Key, start: int, end: int) -> bytes | None:
        """Return octets [start, end) of a message, None unless all are there.

        An end beyond the message's known length means that length.
        """
        while True:
            covering = self._find(key, start, end)
            if covering is None:
                return None
            read = []
            for piece in covering:
                octets = self.pack.read(
                    self._id, key, self._seed(key, piece.start), piece
                )
                if octets is None:
                    break  # out of the way: another piece may have the same octets
                low, high = max(start - piece.start, 0), end - piece.start
                read.append((piece.start + low, octets[low:high]))
            else:
                return _join(read, start)

    def has(self, key: Key, start: int, end: int) -> bool:
        """Whether get would find the octets, as far as can be told unread."""
        return self._find(key, start, end) is not None

    def _find(self, key: Key, start: int, end: int) -> list[CachedPiece] | None:
        """Return pieces that cover [start, end), None if there is a gap."""
        if start >= end:
            return []
        covering = self.pack.find(self._id, key, start, end)
        reached = covering[-1].end if covering else start
        if reached >= end:
            return covering
        total = self.length(key)
        return covering if total is not None and reached >= total else None

    def length(self, key: Key) -> int | None:
        """Tell the message's length in octets; None if it is not known."""
        return self.pack.length(self._id, key)

    def put(
        self, key: Key, start: int, octets: bytes, total: int | None = None
    ) -> None:
        """Keep octets of a message; total is its length.

        Others find them when it returns, within a batch when that ends.
        """
        for at in range(0, len(octets), PIECE):
            part = octets[at : at + PIECE]
            place = start + at
            self.pack.put(self._id, key, place, self._seed(key, place), part)
        if total is not None:
            self.pack.note(self._id, key, total)
        self.pack.settle()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Make many puts of this thread one transaction, or a few."""
        with self.pack.batch():
            yield

    def forget(self, keys: Iterable[Key] | None = None) -> None:
        """Drop some messages, all without keys."""
        self.pack.forget(self._id, keys)


def _said(e: OSError | sqlite3.Error) -> str:
    return e.strerror or str(e) if isinstance(e, OSError) else str(e)


def _cover(pieces: list[CachedPiece], start: int, end: int) -> Iterator[CachedPiece]:
    """Give pieces that follow one another without a gap from start on."""
    reached = start
    for piece in pieces:
        if piece.start > reached or reached >= end:
            return
        if piece.end > reached:
            yield piece
            reached = piece.end


def _join(read: list[tuple[int, bytes]], start: int) -> bytes:
    """Put overlapping octets together."""
    parts = []
    reached = start
    for at, octets in read:
        parts.append(octets[reached - at :])
        reached = at + len(octets)
    return b"".join(parts)
