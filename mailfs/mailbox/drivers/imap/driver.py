"""IMAP folders as mailboxes; RFC 3501, 7162, 4315, 6851.

What is known of a folder are its listing's columns and the numbers in its signature:
imapsync brings both up to date.  Octets come from the cache, and into it when they are
read.  Changes are made at once, or wait until the server can be reached.
"""

import hashlib
import logging
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from mailfs import where
from mailfs.cache.pack import Owner
from mailfs.errors import EIO, ENONET, ENORENAME, MailfsError, Refused, reason
from mailfs.imap.account import INBOX, Account, parse
from mailfs.imap.bodies import BodyRequest
from mailfs.imap.changes import Flagged, FolderStatus
from mailfs.imap.folder import Known
from mailfs.imap.grammar.flags import Flags, System
from mailfs.imap.grammar.ranges import Ranges
from mailfs.imap.session import ImapSession
from mailfs.mailbox.driver import Place, RemoteDriver
from mailfs.mailbox.drivers.imap import edit, listings
from mailfs.mailbox.drivers.imap.later import WaitingChange, WaitingChanges
from mailfs.mailbox.drivers.imap.link import Link
from mailfs.mailbox.drivers.imap.listings import SyncState, state
from mailfs.mailbox.drivers.imap.store import RemoteStore
from mailfs.mailbox.drivers.imap.sync import Sync
from mailfs.mailbox.kinds import Flag, HeaderSlice, Key, Listing, Stale, Want
from mailfs.mailbox.net import Network

log = logging.getLogger(__name__)

MANY = 5000  # messages whose rows are better read by a process of its own
# What the tree shows of a header without reading the message.
FIELDS = (
    *("From", "To", "Cc", "Bcc", "Sender", "Reply-To", "Subject", "Date"),
    *("Message-ID", "In-Reply-To", "References", "Content-Type"),
    *("Content-Disposition", "Content-Transfer-Encoding", "Content-Description"),
)


def claim(path: str, place: Place) -> "Imap | None":
    """Take ``/imap/host[/user[/folder]]``, and the same with imaps and imaptls."""
    found = parse(path)
    if found is None:
        return None
    if place.net is None:
        raise MailfsError(f"{path}: {ENONET}")
    account, folder = found
    return Imap(path, place, place.net, account, folder)


_SETTABLE = ~Flag.RECENT & Flag(0x3F)  # flags that IMAP has


class Imap(RemoteDriver):
    """One folder of an account, over a connection of its own."""

    kind = "imap"
    crlf = True

    def __init__(
        self, path: str, place: Place, net: Network, account: Account, folder: str
    ) -> None:
        super().__init__(path, place)
        self.account = account
        self.folder = folder
        self.line = Link(account, folder, net)
        net.lines.hear(account, folder, self._hear)
        self._net = net
        self._state: SyncState | None = None  # of the latest listing
        self._news = False  # heard, and not yet listed
        self._hurry = False  # the server is to be asked
        self._owner: Owner | None = None
        self.counts: FolderStatus | None = None  # as the account told, before opening
        name = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()
        queue = where.box(place.root, "later", place.user)
        self._later = WaitingChanges(Path(queue) / name[:32])
        self._dropped = 0  # changes that the server refused when it was back

    # What is known without the server.

    def signature(self) -> str:
        """Return what is known of the folder; no question is asked."""
        if self._news or self._state is None or not self.line.fresh:
            return "news"
        return str(self._state)

    def restore(self, listing: Listing) -> Listing | None:
        """Take up what the index has; the server is asked when it is listed."""
        now = state(listing.signature)
        if now is None or not isinstance(listing.keys, array):
            return None
        return replace(listing, store=self._at(now))

    def _at(self, now: SyncState) -> RemoteStore:
        """Make now the state, and return a store for it."""
        self._state = now
        self._owner = self._net.pack.owner(self._named(now))
        return RemoteStore(self._owner, self.fetch)

    def _named(self, now: SyncState) -> str:
        """Return what tells the folder, as long as its uids mean the same."""
        return f"{self.account.host}/{now.user}/{self.folder}/{now.validity}"

    def digest(self, key: Key) -> bytes:
        """Return the SHA-1 of where the message is."""
        assert self._state is not None
        text = f"{self._named(self._state)}/{key}"
        return hashlib.sha1(
            text.encode("utf-8", "surrogateescape"), usedforsecurity=False
        ).digest()

    def hurry(self) -> None:
        """Have the next listing ask the server."""
        self._news = self._hurry = True

    def state(self) -> Sequence[tuple[str, str]]:
        """Return the rows of ``status`` about the connection."""
        if self._state is None and self.counts is not None:
            counts = ("messages", self.counts.messages), ("unseen", self.counts.unseen)
            return [(name, str(n)) for name, n in counts if n is not None]
        rows = self.line.rows()
        waiting = len(self._later)
        if waiting:
            rows.append(("waiting", f"{waiting} changes"))
        if self._dropped:
            rows.append(("dropped", f"{self._dropped} changes"))
        return rows

    def _hear(self, counts: object) -> None:
        """Take what another connection was told of this folder; any thread."""
        assert isinstance(counts, FolderStatus)
        self.counts = counts
        if self.line.session is None:
            self._news = True
            if self.on_news is not None:
                self.on_news()

    # Listing.

    def heavy(self, old: Listing | None) -> bool:
        """Whether there are thousands of messages that old does not know."""
        self._open(old)
        selected = self.line.selected
        known = 0 if old is None else len(old)
        return selected is not None and selected.exists - known > MANY

    def _open(self, old: Listing | None) -> ImapSession:
        return self.line.open(lambda: _known(old), readonly=self.place.readonly)

    def list(self, old: Listing | None = None) -> Listing:
        """Ask what has changed since old; one exchange where the server can do it."""
        self._news = False
        fresh = self.line.session is None
        try:
            return self._list(old)
        except OSError as e:
            self.line.drop(reason(e))
            if fresh:
                raise
        return self._list(old)  # once more, on a new connection

    def _list(self, old: Listing | None) -> Listing:
        session = self._open(old)
        selected, self.line.selected = self.line.selected, None
        if selected is None:  # nothing but time has passed since it was listed
            if self._hurry or not session.pending:
                self.line.ask()
            self._hurry = False
            selected = session.selected
            assert selected is not None
            if old is not None and self._state is not None:
                return self._took(self._sync(session, self._state).settle(old))
        selected.changed += self._replay(session, selected.uidvalidity)
        known = None if old is None else state(old.signature)
        if old is None or known is None or known.validity != selected.uidvalidity:
            modseq = selected.modseq or 0
            now = SyncState(selected.uidvalidity, session.user, 1, modseq)
            return self._took(self._sync(session, now).whole(now))
        return self._took(self._sync(session, known).since(old, known, selected))

    def _sync(self, session: ImapSession, now: SyncState) -> Sync:
        seed = listings.base(self._named(now))
        return Sync(session, self._at(now), seed, self.line.tell)

    def _took(self, listing: Listing) -> Listing:
        self._state = state(listing.signature)
        return listing

    # Reading.

    def heads(self, keys: Sequence[Key]) -> Iterator[HeaderSlice]:
        """Give headers and structures, newest first."""
        uids = [int(key) for key in keys]
        for one in self._session().heads(uids, FIELDS):
            yield HeaderSlice(one.uid, one.header, one.structure)

    def fetch(self, wants: Sequence[Want]) -> None:
        """Bring octets into the cache."""
        requests = [BodyRequest(int(w.key), w.start, _count(w)) for w in wants]
        owner = self._owner
        assert owner is not None
        fresh = self.line.session is None
        try:
            self._fetch(owner, requests)
        except OSError as e:
            self.line.drop(reason(e))
            if fresh:
                raise
            self._fetch(owner, requests)

    def _fetch(self, owner: Owner, requests: Sequence[BodyRequest]) -> None:
        session = self._session()
        with owner.batch():
            for uid, start, octets, whole in session.fetch(requests):
                total = start + len(octets) if whole else None
                owner.put(uid, start, octets, total)

    def _session(self) -> ImapSession:
        """Return a session for a folder that has been listed; it still is the same.

        A connection made anew is listed first, or its uids could mean other messages.
        """
        if self.line.session is None:
            before = self._state
            self._news = True
            session = self._open(None)
            selected = self.line.selected
            if before is None or selected is None:
                raise Stale(EIO)
            if selected.uidvalidity != before.validity:
                raise Stale(EIO)
            return session
        return self.line.session

    def listen(self, timeout: float, wake: int) -> bool:
        """Wait for news, by IDLE where the server has it."""
        if self._news:
            return True
        self._news = self.line.listen(timeout, wake)
        return self._news

    # Changing.

    def delete(self, listing: Listing, rows: Sequence[int]) -> Listing:
        """Move messages to the trash; from there, or without one, expunge them."""
        return self._removed(listing, rows, "delete")

    def expunge(self, listing: Listing, rows: Sequence[int]) -> Listing:
        """Remove messages for good."""
        return self._removed(listing, rows, "expunge")

    def move(self, listing: Listing, rows: Sequence[int], target: str) -> Listing:
        """Move messages to another folder of the account."""
        return self._removed(listing, rows, "move", target)

    def _removed(
        self, listing: Listing, rows: Sequence[int], verb: str, target: str = ""
    ) -> Listing:
        now, uids = self._current(listing, rows)
        self._change(
            [WaitingChange(verb, now.validity, uid, folder=target) for uid in uids],
            listing,
        )
        return listings.without(listing, uids)

    def set_flags(
        self, listing: Listing, changes: Sequence[tuple[int, Flag]]
    ) -> Listing:
        """Set and clear exactly the flags that differ; keywords stay."""
        now, uids = self._current(listing, [row for row, _ in changes])
        was = listing.flags
        pairs = [(Flag(was[row]), flags) for row, flags in changes]
        edits = [*edit.reflagged(now.validity, uids, pairs)]
        told = self._change(edits, listing)
        flags = bytearray(was)
        for row, new in changes:
            flags[row] = int(new & ~Flag.RECENT) | was[row] & int(Flag.RECENT)
        return listings.flagged(replace(listing, flags=flags), told)

    def copy(self, listing: Listing, rows: Sequence[int], target: str) -> None:
        """Copy messages to another folder of the account."""
        _, uids = self._current(listing, rows)
        self.check_writable()
        session = self._session()
        edit.transfer(session, session.copy, Ranges.of(uids), target)

    def _current(
        self, listing: Listing, rows: Sequence[int]
    ) -> tuple[SyncState, Sequence[int]]:
        """Return the state of a listing and uids of it.  Raises Stale if outdated."""
        now = state(listing.signature)
        if now is None or self._state is None or now.validity != self._state.validity:
            raise Stale(EIO)
        uids = listings.uids_of(listing)
        return now, [uids[row] for row in rows]

    def _change(
        self, changes: Sequence[WaitingChange], listing: Listing
    ) -> Sequence[Flagged]:
        """Make changes; those that cannot be made now wait until the server is back."""
        self.check_writable()
        if not changes:
            return ()
        if not len(self._later):
            try:
                session = self._open(listing)
                now = session.selected.uidvalidity if session.selected else 0
                return edit.perform(session, self.folder, changes, now)
            except OSError as e:
                self.line.drop(reason(e))
        self._later.add(changes)  # in their order, behind those that came before
        return ()

    def _replay(self, session: ImapSession, validity: int) -> Sequence[Flagged]:
        """Make the changes that waited; what the server refuses for good is dropped."""
        told = []
        waiting = self._later.waiting()
        for key, run in groupby(waiting, lambda one: (one.verb, one.folder)):
            changes = [*run]
            try:
                told += edit.perform(session, self.folder, changes, validity)
            except MailfsError as e:
                if not edit.lasting(e):
                    raise
                self._dropped += len(changes)
                text = "%s: %s of %d messages dropped: %s"
                log.warning(text, self.path, key[0], len(changes), e)
            self._later.done(len(changes))
        return told

    def append(self, message: bytes, date: int, sender: str, flags: Flag) -> None:
        """Add a message; the server has it when this returns."""
        self.check_writable()
        octets, words = network(message), Flags(System(int(flags) & int(_SETTABLE)))
        if self.line.session is not None:
            self.line.session.append(self.folder, octets, words, date)
            self._news = True
            return
        with self._apart() as session:
            session.append(self.folder, octets, words, date)

    # The folder itself.

    @contextmanager
    def _apart(self) -> Iterator[ImapSession]:
        """Give a session of its own, for what concerns the folder as a whole."""
        self.check_writable()
        self.line.close()
        session = self.line.login()
        try:
            yield session
        finally:
            session.logout()

    def make(self) -> None:
        """Create the folder on the server."""
        with self._apart() as session:
            session.create(self.folder)

    def rename(self, new: str, *, keep: bool = False) -> None:
        """Rename the folder; INBOX's messages move and it stays.

        new is a specification of the same account, or a folder of it.
        """
        target = self.sibling(new)
        if target is None:
            raise Refused(ENORENAME)
        with self._apart() as session:
            session.rename(self.folder, target)
            if keep and self.folder != INBOX:
                session.create(self.folder)

    def sibling(self, path: str) -> str | None:
        """Return the folder that path names, if it is in this account."""
        if not path.startswith("/"):
            return path
        found = parse(path)
        if found is None or found[0] != self.account:
            return None
        return found[1]

    def remove(self, *, recurse: bool = False, truncate: bool = False) -> None:
        """Delete the folder on the server, with what is in it."""
        if truncate:
            listing = self.list()
            self.expunge(listing, range(len(listing)))
            return
        with self._apart() as session:
            session.delete(self.folder)

    def close(self) -> None:
        """Log out."""
        self._net.lines.hear(self.account, self.folder, None)
        self.line.end()


def network(message: bytes) -> bytes:
    """Return text with the line ends of the network; RFC 5322 section 2.1."""
    return message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _count(want: Want) -> int | None:
    return None if want.end < 0 else want.end - want.start


def _known(old: Listing | None) -> Known | None:
    now = None if old is None else state(old.signature)
    if old is None or now is None or not now.modseq:
        return None
    return Known(now.validity, now.modseq, Ranges.of(listings.uids_of(old)))
