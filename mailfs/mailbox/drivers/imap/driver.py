"""IMAP folders as mailboxes; RFC 3501, 7162, 4315, 6851.

What is known of a folder are its listing's columns and the numbers in its signature:
imapsync brings both up to date.  Octets come from the cache, and into it when they are
read.  Changes are made at once, or wait until the server can be reached.
"""

import builtins
import hashlib
import logging
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from mailfs import where
from mailfs.cache.pack import Owner
from mailfs.errors import EIO, ENONET, ENORENAME, MailfsError, Refused, reason
from mailfs.imap.account import INBOX, Account, parse
from mailfs.imap.changes import Flagged, FolderStatus
from mailfs.imap.folder import Known
from mailfs.imap.grammar.flags import Flags, System
from mailfs.imap.grammar.ranges import MAX_UID, Ranges
from mailfs.imap.session import ImapSession
from mailfs.mailbox.driver import Place, RemoteDriver
from mailfs.mailbox.drivers.imap import edit, listings
from mailfs.mailbox.drivers.imap.later import WaitingChange
from mailfs.mailbox.drivers.imap.link import Link
from mailfs.mailbox.drivers.imap.listings import SyncState, state
from mailfs.mailbox.drivers.imap.reading import MessageReading
from mailfs.mailbox.drivers.imap.replay import Replay
from mailfs.mailbox.drivers.imap.store import RemoteStore
from mailfs.mailbox.drivers.imap.sync import Sync
from mailfs.mailbox.kinds import Flag, HeaderSlice, Key, Listing, Stale, Want
from mailfs.mailbox.net import Network
from mailfs.mailbox.octets import Octets, all_of, collect, octets_of
from mailfs.mailbox.wiretext import network
from mailfs.query.tree import Leaf
from mailfs.remote.backoff import Backoff

log = logging.getLogger(__name__)

AGAIN = 60.0  # seconds until messages that were not listed are asked for again
LONGEST = 3600.0  # seconds between two such questions
SHOWN = 8  # messages named in a row of ``status``
MANY = 5000  # messages whose rows are better read by a process of its own


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
        self._at: _Listed | None = None  # the folder as it was listed last
        self._news = False  # heard, and not yet listed
        self._hurry = False  # the server is to be asked
        self.counts: FolderStatus | None = None  # as the account told, before opening
        name = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()
        queue = where.box(place.root, "later", place.user)
        self._replay = Replay(path, folder, Path(queue) / name[:32])
        self._later = self._replay.later
        self._reading = MessageReading(path, self.line, self._session)
        self._lacking = 0  # messages that the server counts and gives no row of
        self._unlisted = ""  # which
        self._again = Backoff(AGAIN, LONGEST, jitter=0.0)  # when they are asked for

    # What is known without the server.

    def signature(self) -> str:
        """Describe the folder without asking the server."""
        if self._news or self._at is None or not self.line.fresh or self._due():
            return "news"
        return str(self._at.state)

    def restore(self, listing: Listing) -> Listing | None:
        """Take up what the index has; the server is asked when it is listed."""
        now = state(listing.signature)
        if now is None or not isinstance(listing.keys, array):
            return None
        return replace(listing, store=self._found(now))

    def _due(self) -> bool:
        """Whether it is time to ask again for what the server did not give."""
        return min(self._pauses(), default=1.0) <= 0

    def _pauses(self) -> Iterator[float]:
        """Give the seconds until the server is to be asked again for something."""
        if self._lacking > 0:
            yield self._again.left
        if (left := self._replay.left) is not None:
            yield left

    def _found(self, now: SyncState) -> RemoteStore:
        """Note the state of a listing, and return a store for its messages."""
        if self._at is not None and self._at.state.validity != now.validity:
            self._reading = MessageReading(self.path, self.line, self._session)
        self._at = _Listed(now, self._net.pack.owner(self._named(now)))
        return RemoteStore(self._at.owner, self.fetch)

    def _named(self, now: SyncState) -> str:
        """Make the folder's identity, the same as long as its uids mean the same."""
        return f"{self.account.host}/{now.user}/{self.folder}/{now.validity}"

    def digest(self, key: Key) -> bytes:
        """Return the SHA-1 of where the message is."""
        text = f"{self._named(self._listed.state)}/{key}"
        return hashlib.sha1(
            text.encode("utf-8", "surrogateescape"), usedforsecurity=False
        ).digest()

    @property
    def _listed(self) -> "_Listed":
        """The folder as it was listed last.  Raises Stale if it never was."""
        if self._at is None:
            raise Stale(EIO)
        return self._at

    def hurry(self) -> None:
        """Have the next listing ask the server."""
        self._news = self._hurry = True

    def state(self) -> Sequence[tuple[str, str]]:
        """Return the rows of ``status`` about the connection."""
        if self._at is None and self.counts is not None:
            counts = ("messages", self.counts.messages), ("unseen", self.counts.unseen)
            return [(name, str(n)) for name, n in counts if n is not None]
        rows = [*self.line.rows(), *self._replay.rows()]
        if self._lacking > 0:
            rows.append(("unlisted", f"{self._lacking} messages: {self._unlisted}"))
        return [*rows, *self._reading.rows()]

    def _hear(self, counts: object) -> None:
        """Take what another connection was told of this folder; any thread."""
        assert isinstance(counts, FolderStatus)
        self.counts = counts
        if not self.line.connected:
            self._news = True
            if self.on_news is not None:
                self.on_news()

    # Listing.

    def heavy(self, old: Listing | None) -> bool:
        """Whether there are thousands of messages that old does not know.

        Then the connection is left to the process that is to list them.
        """
        self._open(old)
        selected = self.line.selected
        known = 0 if old is None else len(old)
        many = selected is not None and selected.exists - known > MANY
        if many:
            self.line.close()
        return many

    def lend(self) -> Callable[[], None] | None:
        """Count a connection for another process, where there is room for one soon."""
        return self.line.lend()

    def _open(self, old: Listing | None) -> ImapSession:
        return self.line.open(lambda: _known(old), readonly=self.place.readonly)

    def list(self, old: Listing | None = None) -> Listing:
        """Ask what has changed since old; one exchange where the server can do it."""
        self._news = False
        undatable = self._reading.undatable
        fresh, before = self.line.session is None, len(undatable)
        try:
            try:
                return self._list(old)
            except OSError as e:
                self.line.drop(reason(e))
                if fresh and len(undatable) == before:
                    raise
            return self._list(old)  # once more, on a new connection
        except MailfsError:
            self.line.close()  # nobody waits on it: others may have the connection
            raise

    def _list(self, old: Listing | None) -> Listing:
        session = self._open(old)
        selected, self.line.selected = self.line.selected, None
        if selected is None and self._at is not None:  # only time has passed since
            return self._listed_on(session, old)
        selected = selected or session.selected
        if selected is None:
            raise Stale(EIO)
        selected.changed += self._replay.run(session, selected.uidvalidity)
        self._lacking = 0
        known = None if old is None else state(old.signature)
        if old is None or known is None or known.validity != selected.uidvalidity:
            modseq = selected.modseq or 0
            now = SyncState(selected.uidvalidity, session.user, 1, modseq)
            return self._took(sync := self._sync(session, now), sync.whole(now))
        sync = self._sync(session, known)
        return self._took(sync, sync.since(old, known, selected))

    def _listed_on(self, session: ImapSession, old: Listing | None) -> Listing:
        """Bring the listing up to date on the connection that it was made on."""
        if self._hurry or not session.pending:
            self.line.ask(session)
        self._hurry = False
        now = self._listed.state
        told = self._replay.run(session, now.validity)
        if self._lacking > 0 and not self._again.left:
            self._lacking = 0
        sync = self._sync(session, now)
        if old is None:
            return self._took(sync, sync.whole(replace(now, uidnext=1)))
        return self._took(sync, sync.settle(listings.flagged(old, told)))

    def _sync(self, session: ImapSession, now: SyncState) -> Sync:
        return Sync(
            session,
            self._found(now),
            listings.base(self._named(now)),
            self.line.tell,
            self._lacking,
            self._reading.undatable,
        )

    def _took(self, sync: Sync, listing: Listing) -> Listing:
        """Note how a listing ended; messages it lacks are asked for again, rarely."""
        if (now := state(listing.signature)) is not None:
            self._at = _Listed(now, self._listed.owner)
        self._reading.keep(listings.uids_of(listing))
        before, self._lacking = self._lacking, sync.lacking
        if sync.restless:
            self._news = True
        if self._lacking > 0 and self._lacking != before:
            self._unlisted = _named(sync, self.line.session)
            self._again.failed()
        elif self._lacking <= 0:
            self._again.succeeded()
        return listing

    # Reading.

    def heads(self, keys: Sequence[Key]) -> Iterator[HeaderSlice]:
        """Give headers and structures, newest first."""
        return self._reading.heads(keys)

    def fetch(self, wants: Sequence[Want]) -> None:
        """Bring octets into the cache."""
        self._reading.fetch(self._listed.owner, wants)

    def search(
        self, leaves: Sequence[Leaf], keys: Collection[Key]
    ) -> "builtins.list[set[Key]] | None":
        """Ask the server by SEARCH; None if it has no such key, or refuses."""
        return self._reading.search(leaves, keys)

    def _session(self) -> ImapSession:
        """Return a session for a folder that has been listed; it still is the same.

        A connection made anew is listed first, or its uids could mean other messages.
        """
        self.line.give_way()
        if (session := self.line.session) is not None:
            return session
        before = self._listed.state
        self._news = True
        session = self._open(None)
        selected = self.line.selected
        if selected is None or selected.uidvalidity != before.validity:
            raise Stale(EIO)
        return session

    def listen(self, timeout: float, wake: int) -> bool:
        """Wait for news, by IDLE where the server has it."""
        if self._news or self._due():
            return True
        timeout = min(timeout, *self._pauses(), timeout)
        self._news = self.line.listen(max(0.0, timeout), wake) or self._due()
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
        if now is None or now.validity != self._listed.state.validity:
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
                if any(one.validity > MAX_UID for one in changes):
                    raise  # a folder that may be another when it is back
        self._later.add(changes)  # in their order, behind those that came before
        return ()

    def append(
        self, message: bytes | Octets, date: int, sender: str, flags: Flag
    ) -> None:
        """Add a message; the server has it when this returns."""
        self.check_writable()
        octets = octets_of(message)
        # A source may be slow, or end early: it is read before the server waits for it.
        text = collect(network(all_of(octets), nul=True))
        words = Flags(System(int(flags) & int(_SETTABLE)))
        if (session := self.line.session) is not None:
            session.append(self.folder, text, words, date)
            self.hurry()  # what is pending may be other news, and not this message
            return
        with self._apart() as session:
            session.append(self.folder, text, words, date)

    # The folder itself.

    @contextmanager
    def _apart(self) -> Iterator[ImapSession]:
        """Give a session of its own, for what concerns the folder as a whole."""
        self.check_writable()
        with self.line.apart() as session:
            yield session

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

    def interrupt(self) -> None:
        """End whatever the worker waits for, and connect no more; any thread."""
        self.line.interrupt()

    def rest(self) -> None:
        """Log out until the folder is looked at again."""
        self.line.close()

    def close(self) -> None:
        """Log out."""
        self._net.lines.hear(self.account, self.folder, None)
        self.line.end()


@dataclass(frozen=True, slots=True)
class _Listed:
    """A folder that has been listed: its state, and its octets in the cache."""

    state: SyncState
    owner: Owner


def _named(sync: Sync, session: ImapSession | None) -> str:
    """List the messages that have no row, as far as the server told."""
    words = [f"uid {uid}" for uid in islice(sync.unlisted, SHOWN)]
    rejected = {} if session is None else session.rejected
    words += [f"message {n}: {why}" for n, why in islice(rejected.items(), SHOWN)]
    return ", ".join(words) or "the server counts them and names none"


def _known(old: Listing | None) -> Known | None:
    now = None if old is None else state(old.signature)
    if old is None or now is None or not now.modseq:
        return None
    return Known(now.validity, now.modseq, Ranges.of(listings.uids_of(old)))
