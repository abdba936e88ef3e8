"""The greylist: a stranger's first call is put off, and a second one believed.

A call is a peer's network, sender and recipient.  One that comes again after PAUSE and
within WINDOW has its network passed for REMEMBERED.  Kept in ``mail/grey/grey.db``.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from mailfs.serve.smtpd.net import Address, around

PAUSE = 300  # seconds before a second call counts; smtpd(8)
WINDOW = 14 * 3600  # seconds within which it has to come
REMEMBERED = 35 * 86400  # seconds a network that passed is believed
MAX_CALLS = 1_000_000  # rows; the oldest go
_SCHEMA = """
create table if not exists call (
    net text, sender text, rcpt text, first integer, primary key (net, sender, rcpt)
) without rowid;
create table if not exists passed (net text primary key, until integer) without rowid;
"""


class Greylist:
    """The calls below one root; each method opens the file, so any thread may ask."""

    def __init__(self, root: Path) -> None:
        self._file = root / "mail" / "grey" / "grey.db"

    def passes(
        self, peer: Address, sender: str, recipients: Iterable[str], now: int
    ) -> bool:
        """Note a call and say whether its peer is believed; now is in seconds.

        Raises sqlite3.Error and OSError.
        """
        self._file.parent.mkdir(parents=True, exist_ok=True)
        net = str(around(peer, 24, 64))
        with closing(sqlite3.connect(self._file, timeout=5.0)) as db, db:
            db.executescript(_SCHEMA)
            db.execute("begin immediate")
            row = db.execute("select until from passed where net=?", (net,)).fetchone()
            known = row is not None and row[0] >= now
            if not known:
                calls = [self._call(db, net, sender, rcpt, now) for rcpt in recipients]
                known = any(calls)
            if known:
                db.execute(
                    "insert or replace into passed values (?, ?)",
                    (net, now + REMEMBERED),
                )
            self._expire(db, now)
        return known

    @staticmethod
    def _call(
        db: sqlite3.Connection, net: str, sender: str, rcpt: str, now: int
    ) -> bool:
        key = (net, sender.lower(), rcpt.lower())
        row = db.execute(
            "select first from call where net=? and sender=? and rcpt=?", key
        ).fetchone()
        if row is not None and PAUSE <= now - row[0] <= WINDOW:
            return True
        # One that came too early goes on waiting from its first call; one too late,
        # or from ahead of the clock, begins anew.
        if row is None or not 0 <= now - row[0] <= WINDOW:
            db.execute("insert or replace into call values (?, ?, ?, ?)", (*key, now))
        return False

    @staticmethod
    def _expire(db: sqlite3.Connection, now: int) -> None:
        if now % 64:  # now and then is enough
            return
        db.execute("delete from call where first < ?", (now - WINDOW,))
        db.execute("delete from passed where until < ?", (now,))
        db.execute(
            "delete from call where first < (select first from call"
            " order by first desc limit 1 offset ?)",
            (MAX_CALLS,),
        )
