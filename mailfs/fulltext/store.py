"""The file of words: FTS5 without contents or places, by message number.

What a message was when its words were taken is told by its identity: a row counts only
for a message that has the same.  Numbers are never given twice, so words of messages
that have gone stay until the file is made afresh; they name nothing that is there.
Words cannot be taken back singly either: a message that another program rewrote is
marked, and is read whenever something is sought.

Everything here can be rebuilt.  Several processes may use the file at once.
"""

import hashlib
import logging
import sqlite3
import threading
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from mailfs.fulltext.document import Document, marked
from mailfs.query import fulltext
from mailfs.query.tree import (
    Attached,
    Identifier,
    MailingList,
    Text,
    Thread,
)

log = logging.getLogger(__name__)

VERSION = 1  # of the tables, and of how words are cut; another is rebuilt
WAIT = 60.0  # seconds to wait for another process's transaction
MAX_LEFT = 10_000  # rows of messages that have gone, beyond as many as are there
_BATCH = 5000  # rows fetched at a time

_TABLES = """
create table doc (
    number integer primary key, ident integer, stale integer, attached integer,
    digest blob, messageid text, root text, listid text);
create virtual table words using fts5(word,
    content='', columnsize=0, detail=none, tokenize='ascii');
"""
_PUT = "insert into doc values (?,?,?,?,?,?,?,?)"

Asked = Text | Identifier | MailingList | Thread | Attached
"""The parts of a query that are asked of the file."""


class FullText:
    """One mailbox's words.  Each thread gets a connection of its own."""

    def __init__(self, path: Path) -> None:
        """Open the file at path; made afresh if it is not ours to read.

        Raises OSError or sqlite3.Error if none can be made.
        """
        self.path = path
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._lock = threading.Lock()  # of what follows and the list of connections
        self._known: tuple[array[int], array[int]] = (array("I"), array("q"))
        self._current = False  # whether that is all we have written
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            if self._db.execute("pragma user_version").fetchone()[0] == VERSION:
                return
        except sqlite3.DatabaseError as e:
            log.warning("full text %s: %s; made afresh", path, e)
        self.begin()

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for db in self._open:
                db.close()
            self._open.clear()
        self._local = threading.local()

    def __del__(self) -> None:
        for db in getattr(self, "_open", ()):
            db.close()

    def begin(self) -> None:
        """Make the file afresh, empty."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        db = self._db
        db.execute("pragma journal_mode=wal")
        with self.transaction():
            if db.execute("pragma user_version").fetchone()[0] != VERSION:
                for statement in _TABLES.split(";\n"):
                    db.execute(statement)
                db.execute(f"pragma user_version={VERSION}")
        self._current = False

    @property
    def _db(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = sqlite3.connect(
                self.path, timeout=WAIT, isolation_level=None, check_same_thread=False
            )
            with self._lock:
                self._open.append(db)
            self._local.db = db
            db.execute("pragma synchronous=off")  # what is lost is built again
            db.execute("pragma cache_size=-8192")
        return db

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the right to write; the block's writes become visible all or none."""
        db = self._db
        db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._current = False
            db.execute("rollback")
            raise
        db.execute("commit")

    def put(self, docs: Iterable[tuple[int, int, Document]]) -> None:
        """Add messages: number, identity as 64 bits, document; within a transaction."""
        db = self._db
        for number, ident, doc in docs:
            words = marked(doc)
            digest = _digest(words)
            row = db.execute("select digest from doc where number=?", (number,))
            known = row.fetchone()
            if known is not None:
                stale = known[0] != digest
                db.execute(
                    "update doc set ident=?, stale=stale or ? where number=?",
                    (_signed(ident), stale, number),
                )
                self._current = False
                continue
            db.execute(
                _PUT,
                (
                    number,
                    _signed(ident),
                    0,
                    doc.attached,
                    digest,
                    doc.messageid,
                    doc.root,
                    doc.listid,
                ),
            )
            db.execute("insert into words(rowid, word) values (?,?)", (number, words))
            self._note(number, _signed(ident))

    def optimize(self) -> None:
        """Merge what was added in pieces; the file gets smaller and faster."""
        with self.transaction():
            self._db.execute("insert into words(words) values ('optimize')")
        self._db.execute("vacuum")
        self._db.execute("pragma wal_checkpoint(truncate)")

    def bloated(self, count: int) -> bool:
        """Whether most rows are of messages that have gone, count being there."""
        rows = self._db.execute("select count(*) from doc").fetchone()[0]
        return int(rows) > 2 * count + MAX_LEFT

    def unknown(self, numbers: Sequence[int], idents: "array[int]") -> list[int]:
        """Return the messages whose words are not here, or no longer theirs.

        idents are unsigned 64 bits, in the order of numbers.
        """
        signed = array("q", idents.tobytes())
        known, stand = self._rows()
        if known == numbers and stand == signed:
            return []
        same = _agreeing(known, numbers, stand, signed)
        missing: list[int] = []
        if any(a > b for a, b in pairwise(numbers[same:])):
            found = dict(zip(known, stand, strict=True))
            pairs = zip(numbers, signed, strict=True)
            return [number for number, ident in pairs if found.get(number) != ident]
        at, end = same, len(known)
        for number, ident in zip(numbers[same:], signed[same:], strict=True):
            while at < end and known[at] < number:
                at += 1
            if at == end or known[at] != number or stand[at] != ident:
                missing.append(number)
        return missing

    def _rows(self) -> "tuple[array[int], array[int]]":
        """Return numbers and identities of the rows that count, by number."""
        db = self._db
        version = db.execute("pragma data_version").fetchone()[0]  # others' writes
        with self._lock:
            if not self._current or getattr(self._local, "seen", None) != version:
                numbers, idents = array("I"), array("q")
                cursor = db.execute(
                    "select number, ident from doc where not stale order by number"
                )
                while batch := cursor.fetchmany(_BATCH):
                    n, ident = zip(*batch, strict=True)
                    numbers.extend(n)
                    idents.extend(ident)
                self._known = (numbers, idents)
                self._current = True
                self._local.seen = version
            return self._known

    def _note(self, number: int, ident: int) -> None:
        """Add a row to those that are known; the newest come at the end."""
        with self._lock:
            numbers, idents = self._known
            if numbers and number <= numbers[-1]:
                self._current = False
            elif self._current:
                numbers.append(number)
                idents.append(ident)

    def numbers(self, asked: Asked) -> set[int]:
        """Return the messages whose rows answer, and for a phrase all that may."""
        match asked:
            case Text():
                query = "select rowid from words where words match ?"
                found = self._db.execute(query, (fulltext.match(asked),))
            case Identifier(value):
                query = "select number from doc where messageid=?"
                found = self._db.execute(query, (value,))
            case Thread(value):
                query = (
                    "with r as (select root from doc where messageid=:value union"
                    " select :value) select number from doc"
                    " where root in r or messageid in r"
                )
                found = self._db.execute(query, {"value": value})
            case MailingList(value):
                query = "select number from doc where instr(listid, ?)"
                found = self._db.execute(query, (value,))
            case Attached():
                found = self._db.execute("select number from doc where attached")
        return {number for (number,) in found}

    def root(self, messageid: str) -> str | None:
        """Return the root of the thread of a message; None if it is not known."""
        query = "select root from doc where messageid=?"
        row = self._db.execute(query, (messageid,)).fetchone()
        return None if row is None else str(row[0])


def _agreeing(
    known: "array[int]",
    numbers: Sequence[int],
    stand: "array[int]",
    idents: "array[int]",
) -> int:
    """Return how many rows at the start are alike."""
    low, high = 0, min(len(known), len(numbers))
    while low < high:
        mid = (low + high + 1) // 2
        if known[low:mid] == numbers[low:mid] and stand[low:mid] == idents[low:mid]:
            low = mid
        else:
            high = mid - 1
    return low


def _signed(ident: int) -> int:
    """Return 64 bits as SQLite's integer."""
    return ident - (1 << 64) if ident >> 63 else ident


def _digest(words: str) -> bytes:
    """Make the key that tells two messages' words apart."""
    return hashlib.blake2b(words.encode(), digest_size=12).digest()
