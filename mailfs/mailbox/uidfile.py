"""What clients of IMAP and POP3 have been told of numbers: beside the mail, durable.

A client may keep (uidvalidity, uid) for ever, and takes it for the same octets.  The
numbers themselves are in the index, which lies in the cache: it may be removed, or a
crash of the machine may set it back.  So here is, for each mailbox, which numbering
(Index.born) its uidvalidity stands for, and the first number that nobody has been told
yet: no message gets a lower one.  It is ROOT/mail/box/USER/uids.db, SQLite, and on disk
before anything of it is told.

Keywords are here too, for stores that have no place for them, and what a folder is for
and whether it is subscribed.
"""

import sqlite3
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NAME = "uids.db"
WAIT = 60.0  # seconds to wait for another process's transaction
VERSION = 1

_TABLES = """
create table if not exists mailbox (
    path text primary key, born text, validity integer, told integer, recent integer);
create table if not exists keyword (
    path text, number integer, ident integer, words text,
    primary key (path, number)) without rowid;
create table if not exists last (validity integer);
create table if not exists folder (
    name text primary key, special text, subscribed integer);
"""

_FLOOR = "select born, told from mailbox where path=?"


def uid_path(root: Path, user: str) -> Path:
    """Name the path of a user's file."""
    return root / "mail" / "box" / user / NAME


@dataclass(frozen=True, slots=True)
class Claim:
    """What is told of a mailbox: its uidvalidity, and where the recent ones begin."""

    validity: int
    told: int  # the first number that no client knows
    recent: int  # the first number that no client was told as recent


class UidFile:
    """One user's file; safe in any thread."""

    def __init__(self, path: Path) -> None:
        """Make nothing yet: the file is there once a client has been told a number."""
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; it is opened again when it is used again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _db(self) -> sqlite3.Connection:
        """Return the connection; the lock is held."""
        if self._connection is None:
            self.path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
            db = sqlite3.connect(
                self.path, timeout=WAIT, isolation_level=None, check_same_thread=False
            )
            db.execute("pragma journal_mode=wal")
            db.execute("pragma synchronous=full")
            for statement in _TABLES.split(";"):
                db.execute(statement)
            with suppress(OSError):
                self.path.chmod(0o600)
            self._connection = db
        return self._connection

    def floor(self, path: str, born: str) -> int:
        """Return the number that the next message of a numbering gets at least."""
        if not self.path.exists():
            return 0
        with self._lock:
            row = self._db().execute(_FLOOR, (path,)).fetchone()
        return int(row[1]) if row is not None and row[0] == born else 0

    def claim(self, path: str, born: str, told: int, now: int) -> Claim:
        """Note that numbers below told are about to be told; on disk when it returns.

        A numbering that is not known gets a new uidvalidity, greater than any before,
        whatever the clock says.  now is in seconds since the epoch.
        """
        query = "select born, validity, told, recent from mailbox where path=?"
        with self._lock:
            db = self._db()
            row = db.execute(query, (path,)).fetchone()
            if row is not None and row[0] == born and row[2] >= told:
                return Claim(*row[1:])
            db.execute("begin immediate")
            try:
                row = db.execute(query, (path,)).fetchone()
                if row is not None and row[0] == born:
                    found = Claim(row[1], max(row[2], told), row[3])
                else:
                    found = Claim(_validity(db, now), told, 1)
                db.execute(
                    "insert or replace into mailbox values (?,?,?,?,?)",
                    (path, born, found.validity, found.told, found.recent),
                )
            except BaseException:
                db.execute("rollback")
                raise
            db.execute("commit")
            return found

    def take_recent(self, path: str, number: int) -> None:
        """Note that messages below number were told as recent."""
        with self._lock:
            self._db().execute(
                "update mailbox set recent=max(recent, ?) where path=?", (number, path)
            )

    def forget(self, path: str) -> None:
        """Forget a mailbox that was removed: another there is another."""
        if self.path.exists():
            with self._lock:
                db = self._db()
                db.execute("update mailbox set born='' where path=?", (path,))
                db.execute("delete from keyword where path=?", (path,))

    def keywords(self, path: str) -> dict[int, tuple[int, tuple[str, ...]]]:
        """Return (ident, keywords) of a mailbox's messages that have any, by number."""
        if not self.path.exists():
            return {}
        query = "select number, ident, words from keyword where path=?"
        with self._lock:
            rows = self._db().execute(query, (path,)).fetchall()
        return {number: (ident, tuple(words.split())) for number, ident, words in rows}

    def set_keywords(
        self, path: str, words: Mapping[int, tuple[int, tuple[str, ...]]]
    ) -> None:
        """Give messages (ident, keywords), by number; on disk when it returns."""
        self._write_keywords(path, words, anew=False)

    def replace_keywords(
        self, path: str, words: Mapping[int, tuple[int, tuple[str, ...]]]
    ) -> None:
        """Give a mailbox's messages these keywords, and no others any."""
        self._write_keywords(path, words, anew=True)

    def _write_keywords(
        self,
        path: str,
        words: Mapping[int, tuple[int, tuple[str, ...]]],
        *,
        anew: bool,
    ) -> None:
        with self._lock:
            db = self._db()
            db.execute("begin immediate")
            try:
                if anew:
                    db.execute("delete from keyword where path=?", (path,))
                _put(db, path, words)
            except BaseException:
                db.execute("rollback")
                raise
            db.execute("commit")

    def folders(self) -> dict[str, tuple[str, bool]]:
        """Return (special use, subscribed) by the names of folders that have either."""
        if not self.path.exists():
            return {}
        with self._lock:
            rows = self._db().execute("select * from folder").fetchall()
        return {name: (special, bool(subscribed)) for name, special, subscribed in rows}

    def set_folder(self, name: str, special: str, subscribed: bool) -> None:
        """Note what a folder is for, and whether it is subscribed."""
        with self._lock:
            self._db().execute(
                "insert or replace into folder values (?,?,?)",
                (name, special, int(subscribed)),
            )


def _put(
    db: sqlite3.Connection,
    path: str,
    words: Mapping[int, tuple[int, tuple[str, ...]]],
) -> None:
    gone: Iterable[int] = (number for number, (_, row) in words.items() if not row)
    db.executemany(
        "delete from keyword where path=? and number=?", [(path, n) for n in gone]
    )
    db.executemany(
        "insert or replace into keyword values (?,?,?,?)",
        [(path, n, ident, " ".join(row)) for n, (ident, row) in words.items() if row],
    )


def _validity(db: sqlite3.Connection, now: int) -> int:
    """Return a uidvalidity that no mailbox has had; within a transaction."""
    row = db.execute("select max(validity) from last").fetchone()
    validity = max(now & 0xFFFFFFFF, int(row[0] or 0) + 1, 1)
    db.execute("delete from last")
    db.execute("insert into last values (?)", (validity,))
    return validity
