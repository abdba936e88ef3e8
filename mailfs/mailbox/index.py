"""The index of a mailbox: SQLite, in the cache, everything in it can be rebuilt.

It keeps the numbers of the messages, where the store has them, and what was derived
from their octets.  Several processes may use it at once: whoever changes the listing
does so in one transaction that also counts the generation up.
"""

import hashlib
import logging
import os
import secrets
import sqlite3
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from mailfs.cache.outage import Outage
from mailfs.mailbox.kinds import Flag, Key, Listing, MessageReader
from mailfs.mailbox.view import View, order_of
from mailfs.mailbox.worker import on_strand

log = logging.getLogger(__name__)

GAP = 1 << 22  # numbers passed over where some may have been given and not saved
FULL = ".full"  # ends the name of the mark beside a file that could not be written
VERSION = 5  # of the tables and of what derive puts in them; another is rebuilt
_DERIVES_OTHERWISE = (2, 4)  # versions of these tables, but not what derive puts
WAIT = 60.0  # seconds to wait for another process's transaction
_BATCH = 1000  # rows fetched at a time, so that loading needs little memory

_TABLES = """
create table meta (name text primary key, value) without rowid;
create table message (
    number integer primary key, key, size integer, ident integer, weak integer,
    date integer, seq integer, flags integer);
create table head (
    number integer primary key, start integer, body integer, fields text);
create table body (number integer primary key, digest blob, lines integer, parts blob);
create table slice (number integer primary key, header blob, structure blob);
"""

# Tables of servers that tell clients numbers for good (see mailfs.mailbox.uid):
# the generation that last touched a message, if that was not the base; numbers that
# have gone, with the generation that removed them; messages as such clients see them.
_SERVED = """
create table if not exists touched (number integer primary key, modseq integer);
create index if not exists touched_by on touched (modseq);
create table if not exists gone (number integer primary key, modseq integer);
create table if not exists wire (
    number integer primary key, size integer, digest blob, checked integer,
    envelope blob, body blob, structure blob)
"""

_DERIVED = ("head", "body", "slice")  # tables that follow from the message
MAX_GONE = 100_000  # numbers of removed messages that are kept
CRASHED = 1 << 20  # generations that a crash of the machine may have lost

_RECENT = Flag.RECENT.value
_PUT = "insert or replace into message values (?,?,?,?,?,?,?,?)"


class WireRow(NamedTuple):
    """A message as clients of IMAP see it: with CRLF, and what they are told of it."""

    size: int  # octets
    digest: bytes
    checked: int  # 0 if the message may have been edited since
    envelope: bytes
    body: bytes
    structure: bytes


class Index:
    """One mailbox's tables.  Each thread gets a connection of its own."""

    def __init__(
        self,
        path: Path | None,
        kind: str,
        name: str,
        floor: "Callable[[str], int] | None" = None,
    ) -> None:
        """Open the index at path, made afresh if it is not ours to read.

        With no path, or where none can be written, it is kept in memory.  kind and
        name say whose index it is: one made for another mailbox is not used.  floor
        gives the number that the next message gets at least, by born.
        """
        self._floor = floor or (lambda born: 0)
        self._owner = f"{kind} {name}".encode("utf-8", "surrogateescape")
        self._local = threading.local()
        self._strand = SimpleNamespace()
        self._open: list[sqlite3.Connection] = []
        self._lock = threading.Lock()  # of the list of connections only
        self.path = path
        self.lost: Path | None = None  # the file that could not be written
        self.first = 1  # the number to begin with
        self.interrupted = False
        self._saved = False
        if path is not None:
            self.outage = outage_of(path.parent)
            there = path.exists()
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._prepare()
                self.interrupted = self._mark_path.exists()
            except (OSError, sqlite3.OperationalError) as e:
                self.outage.failed(str(e))
                self.close()
                if there:
                    self.first = GAP
                    self.interrupt()
                self.lost, self.path, path = self.path, None, None
        if path is None:
            # One connection for all threads; sqlite3 serialises them itself.
            self._memory = self._dial(":memory:")
            self._memory.executescript(_TABLES + _SERVED)
            self._mark(self._memory)

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for db in self._open:
                db.close()
            self._open.clear()
        self._local = threading.local()
        self._strand = SimpleNamespace()

    def __del__(self) -> None:
        """Close what nobody closed: an opening that was cut short has no owner."""
        for db in getattr(self, "_open", ()):
            db.close()

    @property
    def _mark_path(self) -> Path:
        assert self.path is not None
        return self.path.with_name(self.path.name + FULL)

    @property
    def gap(self) -> int:
        """Numbers passed over: they may have been given, and are not in the file."""
        return 2 * GAP if self.interrupted else 0

    def interrupt(self) -> None:
        """Mark the file: numbers may be given that it does not have.

        A mark takes no room.  Where none can be made the file is removed.
        """
        try:
            self._mark_path.touch(0o600)
        except OSError:
            self.close()
            with suppress(OSError):
                self._remove()

    def drop_mark(self) -> None:
        """Drop the mark once all numbers that were given are in the file."""
        if self.interrupted and self._saved:
            self._mark_path.unlink(missing_ok=True)
            self.interrupted = False

    def in_memory(self, kind: str, name: str) -> "Index":
        """Give up the file, for now, and return an empty index in memory."""
        self.interrupt()
        self.close()
        other = Index(None, kind, name, self._floor)
        other.lost = self.path
        return other

    def discard(self) -> None:
        """Close it and remove its file: nothing was put into it."""
        self.close()
        if self.path is not None:
            self._remove()

    @property
    def _db(self) -> sqlite3.Connection:
        if self.path is None:
            return self._memory
        # Of the threads of a strand one at a time does something.
        local = self._strand if on_strand() else self._local
        db: sqlite3.Connection | None = getattr(local, "db", None)
        if db is None:
            db = self._dial(str(self.path))
            local.db = db
        return db

    def _dial(self, name: str) -> sqlite3.Connection:
        db = sqlite3.connect(
            name, timeout=WAIT, isolation_level=None, check_same_thread=False
        )
        with self._lock:
            self._open.append(db)
        # A crash of the machine may lose the last transactions, not the file: what
        # they held is found again in the store.
        db.execute("pragma synchronous=normal")
        db.execute("pragma cache_size=-2048")
        return db

    def _prepare(self) -> None:
        try:
            if self._usable():
                self._serve(self._db)
                return
        except sqlite3.DatabaseError as e:
            if isinstance(e, sqlite3.OperationalError):
                raise
            log.warning("index %s: %s; made afresh", self.path, e)
        self._begin()

    def _begin(self) -> None:
        """Make the file afresh."""
        self.close()
        self._remove()
        db = self._db
        db.execute("pragma journal_mode=wal")
        with self.transaction():
            if not self._owner_of(db):  # else another process was first
                for statement in (_TABLES + _SERVED).split(";"):
                    db.execute(statement)
                self._mark(db)

    def _usable(self) -> bool:
        """Whether the file is an index of this mailbox; its rows show when read."""
        assert self.path is not None
        if not self.path.exists() or not self.path.stat().st_size:
            return False
        return self._owner_of(self._db) == self._owner

    def _owner_of(self, db: sqlite3.Connection) -> bytes:
        version = db.execute("pragma user_version").fetchone()[0]
        if version in _DERIVES_OTHERWISE:
            with self.transaction():  # the numbers are kept
                self.outdate(None)
                db.execute(f"pragma user_version={VERSION}")
        elif version != VERSION:
            return b""
        owner = self._meta(db).get("owner", b"")
        return owner if isinstance(owner, bytes) else str(owner).encode()

    def _remove(self) -> None:
        assert self.path is not None
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def _mark(self, db: sqlite3.Connection) -> None:
        db.execute(f"pragma user_version={VERSION}")
        db.execute("insert into meta values ('owner', ?)", (self._owner,))
        db.execute("insert into meta values ('born', ?)", (secrets.token_hex(8),))

    def _serve(self, db: sqlite3.Connection) -> None:
        """Give an index of before what servers of numbers need."""
        if "born" in self._meta(db):
            return
        with self.transaction():
            for statement in _SERVED.split(";"):
                db.execute(statement)
            born = secrets.token_hex(8)
            db.execute("insert or ignore into meta values ('born', ?)", (born,))

    @property
    def born(self) -> str:
        """What tells this numbering from any other: another index has another."""
        return str(self._meta(self._db).get("born", ""))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the right to write; the block's writes become visible all or none."""
        db = self._db
        db.execute("begin immediate")
        try:
            yield
        except BaseException:
            db.execute("rollback")
            raise
        db.execute("commit")

    @staticmethod
    def _meta(db: sqlite3.Connection) -> dict[str, str | int]:
        return dict(db.execute("select name, value from meta"))

    @property
    def generation(self) -> int:
        """How often the listing has been changed, by anyone; 0 if there is none."""
        row = self._db.execute(
            "select value from meta where name='generation'"
        ).fetchone()
        return int(row[0]) if row else 0

    def load(self, store: MessageReader) -> View | None:
        """Read the view back, with store in its listing, None if there is none.

        A file that turns out to be damaged is made afresh.
        """
        try:
            return self._load(store)
        except (sqlite3.DatabaseError, TypeError, OverflowError, KeyError) as e:
            if isinstance(e, sqlite3.OperationalError) or self.path is None:
                raise
            log.warning("index %s: %s; made afresh", self.path, e)
            self._begin()
            return None

    def _load(self, store: MessageReader) -> View | None:
        db = self._db
        meta = self._meta(db)
        if "generation" not in meta:
            return None
        numbers, seqs, flags = array("I"), bytearray(), bytearray()
        sizes, idents, weaks = array("Q"), array("q"), array("q")
        dates = array("q")
        keys: array[int] | list[str] = array("Q") if meta["offsets"] else []
        cursor = db.execute(
            "select number, key, size, ident, weak, date, seq, flags from message"
            + (" order by key" if meta["offsets"] else " order by number")
        )
        while batch := cursor.fetchmany(_BATCH):
            n, key, size, ident, weak, date, seq, flag = zip(*batch, strict=True)
            numbers.extend(n)
            keys.extend(key if meta["offsets"] else map(_str, key))
            sizes.extend(size)
            idents.extend(ident)
            weaks.extend(weak)
            dates.extend(date)
            seqs.extend(seq)
            flags.extend(flag)
        listing = Listing(
            signature=str(meta["signature"]),
            settled=bool(meta["settled"]),
            keys=keys,
            sizes=sizes,
            idents=array("Q", idents.tobytes()),
            weaks=array("Q", weaks.tobytes()),
            dates=dates,
            flags=flags,
            store=store,
            seqs=bytearray(seqs) if meta["seqs"] else None,
        )
        return View(
            listing=listing,
            numbers=numbers,
            seqs=seqs,
            order=order_of(numbers),
            next=max(int(meta["next"]), self._floor(str(meta["born"]))) + self.gap,
            vers=int(meta["vers"]),
            mtime=int(meta["mtime"]),
            generation=int(meta["generation"]),
        )

    def save(self, old: View | None, new: View) -> None:
        """Write what differs between two views; within a transaction."""
        db = self._db
        head, tail = (0, 0) if old is None else old.same_rows(new)
        known = {}
        if old is not None:
            known = {row[0]: row for row in _rows(old, head, old.count - tail)}
        rows = _rows(new, head, new.count - tail)
        if old is None:
            db.executemany(_PUT, rows)
        else:
            changed, touched = _changed(rows, known)
            db.executemany(_PUT, changed)
            self.touch(touched, new.generation)
            self._forget(known)
            self._bury(known, new.generation)
        listing = new.listing
        db.executemany(
            "insert or replace into meta values (?,?)",
            [
                ("generation", new.generation),
                ("signature", listing.signature),
                ("settled", int(listing.settled)),
                ("offsets", int(isinstance(listing.keys, array))),
                ("seqs", int(listing.seqs is not None)),
                ("next", new.next),
                ("vers", new.vers),
                ("mtime", new.mtime),
            ],
        )

        self._saved = True

    def _forget(self, numbers: Iterable[object]) -> None:
        gone = [(n,) for n in numbers]
        for table in ("message", *_DERIVED):
            self._db.executemany(f"delete from {table} where number=?", gone)

    def touch(self, numbers: Iterable[object], generation: int) -> None:
        """Note that a generation has changed messages; within a transaction."""
        self._db.executemany(
            "insert or replace into touched values (?,?)",
            [(n, generation) for n in numbers],
        )

    def _bury(self, numbers: Iterable[object], generation: int) -> None:
        gone = [(n, generation) for n in numbers]
        if not gone:
            return
        db = self._db
        db.executemany("insert or replace into gone values (?,?)", gone)
        for table in ("touched", "wire"):
            db.executemany(f"delete from {table} where number=?", [g[:1] for g in gone])
        old = db.execute(
            "select modseq from gone order by modseq desc limit 1 offset ?", (MAX_GONE,)
        ).fetchone()
        if old is not None:
            db.execute("delete from gone where modseq<=?", old)
            db.execute("insert or replace into meta values ('buried', ?)", old)

    def settle(self, boot: str) -> None:
        """Begin new generations if the machine may have crashed since the last one.

        boot tells this start of the machine from all others.  What was written last
        may be lost, and what clients were told of it must not be told of other things.
        """
        db = self._db
        if self._meta(db).get("boot") == boot:
            return
        with self.transaction():
            meta = self._meta(db)
            if meta.get("boot") == boot:
                return
            put = "insert or replace into meta values (?,?)"
            if "boot" in meta and "generation" in meta:
                generation = int(meta["generation"]) + CRASHED
                db.execute("delete from touched")
                names = ("generation", "base", "buried")
                db.executemany(put, [(name, generation) for name in names])
            db.execute(put, ("boot", boot))

    def modseqs(self, since: int = 0) -> dict[int, int]:
        """Return the generations, above since, that last touched messages.

        A message that is not among them was touched by base at the latest.
        """
        query = "select number, modseq from touched where modseq>?"
        return dict(self._db.execute(query, (since,)))

    @property
    def base(self) -> int:
        """The generation that counts for messages which none has touched since."""
        return int(self._meta(self._db).get("base", 1))

    def gone(self, since: int) -> list[int] | None:
        """Return the numbers removed after a generation, None if not all are known."""
        if since < int(self._meta(self._db).get("buried", 0)):
            return None
        query = "select number from gone where modseq>? order by number"
        return [number for (number,) in self._db.execute(query, (since,))]

    def wire(self, number: int) -> WireRow | None:
        """Return a message as clients of IMAP see it, None if that is not known."""
        query = (
            "select size, digest, checked, envelope, body, structure from wire "
            "where number=?"
        )
        row = self._row(query, number)
        return None if row is None else WireRow(*row)

    def sizes(self) -> dict[int, int]:
        """Return the sizes of messages, as clients see them, that are known."""
        return dict(self._db.execute("select number, size from wire where checked"))

    def put_wires(self, rows: Sequence[tuple[int, WireRow]]) -> None:
        """Add messages, of those that are still there, as clients see them."""
        self._put("wire", [(number, *row) for number, row in rows])

    def outdate(self, numbers: Iterable[int] | None) -> None:
        """Drop what was derived from those messages, from all without an argument."""
        gone = None if numbers is None else [(n,) for n in numbers]
        for table in _DERIVED:
            if gone is None:
                self._db.execute(f"delete from {table}")
            else:
                self._db.executemany(f"delete from {table} where number=?", gone)
        if gone is None:
            self._db.execute("update wire set checked=0")

    def head(self, number: int) -> tuple[int, int, str] | None:
        """Return (start, body, fields) of a message's header as derive made it."""
        query = "select start, body, fields from head where number=?"
        row: tuple[int, int, str] | None = self._row(query, number)
        return row

    def body(self, number: int) -> tuple[bytes, int, bytes] | None:
        """Return (digest, lines, parts) of a message as derive made them."""
        query = "select digest, lines, parts from body where number=?"
        row: tuple[bytes, int, bytes] | None = self._row(query, number)
        return row

    def slice(self, number: int) -> tuple[bytes, bytes] | None:
        """Return (header, structure) of a message as a server told them."""
        query = "select header, structure from slice where number=?"
        row: tuple[bytes, bytes] | None = self._row(query, number)
        return row

    def _row(self, query: str, number: int) -> Any:
        """Return one row; None too where the file is damaged: it can be derived."""
        try:
            return self._db.execute(query, (number,)).fetchone()
        except sqlite3.DatabaseError as e:
            log.warning("index %s: %s", self.path, e)
            return None

    def missing(
        self, table: str, limit: int = -1, *, newest: bool = False
    ) -> "array[int]":
        """Return the numbers of messages that table, head, body or slice, lacks.

        They ascend; with a limit no more than so many.  With newest they descend.
        """
        order = "desc" if newest else "asc"
        return array(
            "I",
            (
                number
                for (number,) in self._db.execute(
                    f"select number from message m where not exists "
                    f"(select 1 from {table} t where t.number = m.number) "
                    f"order by number {order} limit {limit}"
                )
            ),
        )

    def put_heads(self, rows: Sequence[tuple[int, int, int, str]]) -> None:
        """Add (number, start, body, fields) for messages that are still there."""
        self._put("head", rows)

    def put_bodies(self, rows: Sequence[tuple[int, bytes, int, bytes]]) -> None:
        """Add (number, digest, lines, parts) for messages that are still there."""
        self._put("body", rows)

    def put_slices(self, rows: Sequence[tuple[int, bytes, bytes]]) -> None:
        """Add (number, header, structure) for messages that are still there."""
        self._put("slice", rows)

    def _put(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        if not rows:
            return
        places = ",".join("?" * len(rows[0]))
        self._db.executemany(
            f"insert or replace into {table} select {places} "
            f"where exists (select 1 from message where number=?)",
            [(*row, row[0]) for row in rows],
        )


Row = tuple[int | str | bytes, ...]


def _changed(
    rows: Iterable[Row], known: dict[int | str | bytes, Row]
) -> tuple[list[Row], list[int | str | bytes]]:
    """Return rows that differ from the known ones, and what of them clients can see.

    Leaves in known those that are not among the rows.
    """
    changed, touched = [], []
    for row in rows:
        was = known.pop(row[0], None)
        if was == row:
            continue
        changed.append(row)
        if was is None or was[3] != row[3] or (int(was[7]) ^ int(row[7])) & ~_RECENT:
            touched.append(row[0])
    return changed, touched


def _rows(view: View, start: int, end: int) -> Iterator[Row]:
    """Give rows [start, end) of a view's listing as rows of the message table."""
    l, part = view.listing, slice(start, end)
    return zip(
        view.numbers[part],
        map(_text, l.keys[part]),
        l.sizes[part],
        # SQLite's integers are signed, identities are not: the same 64 bits.
        array("q", l.idents[part].tobytes()),
        array("q", l.weaks[part].tobytes()),
        l.dates[part],
        view.seqs[part],
        l.flags[part],
        strict=True,
    )


def _text(key: Key) -> Key | bytes:
    """Return a key as SQLite can have it: octets that are no UTF-8 as a blob."""
    if isinstance(key, int) or key.isascii():
        return key
    try:
        key.encode()
    except UnicodeEncodeError:
        return os.fsencode(key)
    return key


def _str(key: int | str | bytes) -> Any:
    """Return the key that _text gave."""
    return os.fsdecode(key) if isinstance(key, bytes) else key


def index_path(cache: Path, name: str) -> Path:
    """Name the path of a mailbox's index; name tells the mailbox from others."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    return cache / "index" / f"{digest[:32]}.db"


_outages: dict[Path, Outage] = {}


def outage_of(directory: Path) -> Outage:
    """Find the state of the disk that all indexes of a directory share."""
    return _outages.setdefault(directory, Outage(log, f"indexes in {directory}"))
