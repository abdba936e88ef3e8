"""Which octets of which message lie in which segment of the pack: a SQLite table.

Several processes use it at once.  Losing it, or any row, loses cached octets only, so
a damaged file is made afresh and what cannot be written is reported, never raised.
"""

import fcntl
import logging
import os
import secrets
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mailfs.cache.outage import Outage

log = logging.getLogger(__name__)

VERSION = 1  # of the tables; another is made afresh
WAIT = 20.0  # seconds to wait for another process's transaction
PIECE = 64 << 10  # octets of the longest piece: what one checked read costs
MAX_LENGTHS = 1_000_000  # messages whose length is remembered; 40 octets each

_TABLES = """
create table segment (id integer primary key autoincrement);
create table piece (
    owner integer, key, start integer, end integer, segment integer, offset integer,
    crc integer, primary key (owner, key, start, end)) without rowid;
create index piece_segment on piece (segment);
create table length (
    id integer primary key, owner integer, key, total integer, unique (owner, key));
"""
_FIND = (
    "select start, end, segment, offset, crc from piece "
    "where owner=? and key=? and start>? and start<? and end>? order by start"
)
T = TypeVar("T")


class CachedPiece(NamedTuple):
    """Octets [start, end) of a message, where they lie, and their CRC-32."""

    start: int
    end: int
    segment: int
    offset: int
    crc: int


Key = int | str  # a message, as its owner calls it: a uid, a UIDL


class PackRow(NamedTuple):
    """A piece with the message it belongs to."""

    owner: int
    key: Key
    piece: CachedPiece


Length = tuple[int, Key, int]  # owner, key, octets


class _Held:
    """A thread's connection; it is closed when the thread has ended."""

    def __init__(self, db: sqlite3.Connection, generation: int) -> None:
        self.db = db
        self.generation = generation

    def __del__(self) -> None:
        self.db.close()


class Pieces:
    """The table, for any number of threads: each gets a connection of its own."""

    def __init__(self, path: Path, outage: Outage | None = None) -> None:
        """Open or make the file; outage is told what cannot be written.

        Raises OSError and sqlite3.OperationalError.
        """
        self._path = path
        self._outage = outage or Outage(log, f"cache {path}")
        self._lock = threading.Lock()  # of the two below, and of making the file
        self._generation = 0  # counts the files that were given up as damaged
        self._open: weakref.WeakSet[_Held] = weakref.WeakSet()
        self._local = threading.local()
        self._prepare()

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for held in self._open:
                held.db.close()
            self._open.clear()
            self._generation += 1

    def _connect(self) -> sqlite3.Connection:
        held: _Held | None = getattr(self._local, "held", None)
        if held is None or held.generation != self._generation:
            generation = self._generation
            db = sqlite3.connect(
                self._path, timeout=WAIT, isolation_level=None, check_same_thread=False
            )
            held = _Held(db, generation)
            # A crash of the machine may lose rows; a row whose octets were lost with
            # it is found out by its CRC.
            db.execute("pragma synchronous=normal")
            with self._lock:
                self._open.add(held)
            self._local.held = held
        return held.db

    def _prepare(self) -> None:
        with open(self._path.with_name("lock"), "w", opener=_private) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one process at a time; gone with it
            # sqlite3 would make it readable to all; what it adds is made like it.
            os.close(_private(self._path, os.O_RDWR | os.O_CREAT))
            try:
                version = self._version()
            except sqlite3.DatabaseError as e:
                if type(e) is not sqlite3.DatabaseError:
                    raise
                version = -1
            if version == VERSION:
                return
            if version:
                self._discard()
            self._begin()

    def _version(self) -> int:
        return int(self._connect().execute("pragma user_version").fetchone()[0])

    def _discard(self) -> None:
        """Remove the file; threads leave it when they next look for one."""
        with self._lock:
            self._generation += 1
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _begin(self) -> None:
        """Make the tables."""
        db = self._connect()
        db.execute("pragma journal_mode=wal")
        db.execute("begin immediate")
        for statement in _TABLES.split(";"):
            db.execute(statement)
        # Segments of a database that was given up must not be taken for ours.
        first = secrets.randbits(32) << 28
        db.execute("insert into segment values (?)", (first,))
        db.execute("delete from segment")
        db.execute(f"pragma user_version={VERSION}")
        db.execute("commit")

    def _try(self, step: Callable[[sqlite3.Connection], T], failed: T) -> T:
        """Do step; answer failed where the file is damaged or cannot be used."""
        try:
            return step(self._connect())
        except sqlite3.DatabaseError as e:
            damaged = type(e) is sqlite3.DatabaseError  # not one of its kinds
            if damaged:
                log.warning("cache %s: %s; made afresh", self._path, e)
            else:
                self._outage.failed(str(e))
        if damaged:
            try:
                self._prepare_again()
            except (sqlite3.Error, OSError) as e:
                self._outage.failed(str(e))
        return failed

    def _prepare_again(self) -> None:
        """Give up a file that turned out damaged."""
        self._discard()
        self._prepare()

    def _change(self, step: Callable[[sqlite3.Connection], T], failed: T) -> T:
        """Do step within a transaction."""

        def whole(db: sqlite3.Connection) -> T:
            db.execute("begin immediate")
            try:
                done = step(db)
                db.execute("commit")
            except BaseException:
                if db.in_transaction:  # a full disk has rolled it back already
                    db.execute("rollback")
                raise
            return done

        return self._try(whole, failed)

    def find(self, owner: int, key: Key, start: int, end: int) -> list[CachedPiece]:
        """Return the pieces that have any of octets [start, end), by their start."""
        args = (owner, key, start - PIECE, end, start)
        return self._try(
            lambda db: list(map(CachedPiece._make, db.execute(_FIND, args))), []
        )

    def length(self, owner: int, key: Key) -> int | None:
        """Return the length of a message, None if it is not known."""
        query = "select total from length where owner=? and key=?"
        row: Any = self._try(
            lambda db: db.execute(query, (owner, key)).fetchone(), None
        )
        return None if row is None else int(row[0])

    def put(
        self,
        rows: Sequence[PackRow],
        lengths: Sequence[Length],
        bad: Iterable[CachedPiece],
    ) -> bool:
        """Add rows and lengths, drop bad pieces.

        False if it could not be done, for want of a row's segment too.
        """
        used = {row.piece.segment for row in rows}

        def step(db: sqlite3.Connection) -> bool:
            gone = [(p.segment, p.offset) for p in bad]
            db.executemany("delete from piece where segment=? and offset=?", gone)
            held = used & set(_segments(db))  # less what was evicted meanwhile
            db.executemany(
                "insert or replace into piece values (?,?,?,?,?,?,?)",
                [(r.owner, r.key, *r.piece) for r in rows if r.piece.segment in held],
            )
            db.executemany(
                "insert or replace into length (owner, key, total) values (?,?,?)",
                lengths,
            )
            return held == used

        return self._change(step, False)

    def forget(self, owner: int, keys: Iterable[Key] | None) -> None:
        """Drop what is known of some messages, of all the owner's without keys."""
        condition = "owner=?" if keys is None else "owner=? and key=?"
        rows: list[tuple[Key, ...]] = [(owner,)]
        if keys is not None:
            rows = [(owner, key) for key in keys]

        def step(db: sqlite3.Connection) -> bool:
            db.executemany(f"delete from piece where {condition}", rows)  # noqa: S608
            db.executemany(f"delete from length where {condition}", rows)  # noqa: S608
            return True

        self._change(step, False)

    def segments(self) -> list[int]:
        """Return the numbers of the segments, oldest first."""
        return self._try(_segments, [])

    def new_segment(self) -> int | None:
        """Add a segment; its number was never used before.  None if it cannot be."""
        query = "insert into segment default values"
        return self._change(lambda db: db.execute(query).lastrowid, None)

    def drop_segment(self, number: int) -> None:
        """Remove a segment and all pieces in it."""

        def step(db: sqlite3.Connection) -> bool:
            db.execute("delete from piece where segment=?", (number,))
            db.execute("delete from segment where id=?", (number,))
            old = "id < (select max(id) from length) - ?"
            db.execute(f"delete from length where {old}", (MAX_LENGTHS,))  # noqa: S608
            return True

        self._change(step, False)


def _private(path: str | Path, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _segments(db: sqlite3.Connection) -> list[int]:
    return [number for (number,) in db.execute("select id from segment order by id")]
