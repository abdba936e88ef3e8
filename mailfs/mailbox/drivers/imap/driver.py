"""IMAP folders as mailboxes; RFC 3501, 7162, 4315, 6851.

What is known of a folder are its listing's columns and the numbers in its signature:
imapsync brings both up to date.  Octets come from the cache, and into it when they are
read.  Changes are made at once, or wait until the server can be reached.
"""

import hashlib
import logging
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path

from mailfs import where
from mailfs.cache.pack import Owner
from mailfs.errors import EIO, ENONET, ENORENAME, MailfsError, Refused, reason
from mailfs.imap.account import INBOX, Account, parse
from mailfs.imap.bodies import BodyRequest
from mailfs.imap.changes import Flagged, FolderStatus
from mailfs.imap.error import ImapError
from mailfs.imap.folder import Known
from mailfs.imap.grammar.flags import Flags, System
from mailfs.imap.grammar.ranges import MAX_UID, Ranges
from mailfs.imap.session import ImapSession
from mailfs.mailbox.driver import Place, RemoteDriver
from mailfs.mailbox.drivers.imap import edit, listings
from mailfs.mailbox.drivers.imap.later import WaitingChange, WaitingChanges
from mailfs.mailbox.drivers.imap.link import Link, ServerUnreachable
from mailfs.mailbox.drivers.imap.listings import SyncState, state
from mailfs.mailbox.drivers.imap.store import RemoteStore
from mailfs.mailbox.drivers.imap.sync import Sync
from mailfs.mailbox.kinds import Flag, HeaderSlice, Key, Listing, Stale, Want
from mailfs.mailbox.net import Network
from mailfs.mailbox.octets import Octets, all_of, collect, octets_of
from mailfs.mailbox.wiretext import network

log = logging.getLogger(__name__)

AGAIN = 60.0  # seconds until messages that were not listed are asked for again
FIRST = 1.0  # seconds until a waiting change is tried again after a passing refusal
LONGEST = 3600.0  # seconds between two attempts of either kind
SHOWN = 8  # messages named in a row of ``status``
HANGUPS = 60  # connections that one batch of headers or bodies may cost
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
        self._replay_at = 0.0  # when waiting changes are tried again, on the clock
        self._replay_delay = 0.0
        self._refusal = ""  # why the server did not take a waiting change, for now
        self._lacking = 0  # messages that the server counts and gives no row of
        self._unlisted = ""  # which
        self._lost: dict[int, str] = {}  # uids the server hangs up at, and how
        self._undatable: set[int] = set()  # uids at whose Date: it hung up
        self._unfetched: frozenset[int] = frozenset()  # uids at whose body it hung up
        self._again_at = 0.0  # when those not listed are asked for again
        self._again_delay = 0.0
        self._dropped = 0  # changes that the server refused when it was back

    # What is known without the server.

    def signature(self) -> str:
        """Describe the folder without asking the server."""
        if self._news or self._state is None or not self.line.fresh or self._due():
            return "news"
        return str(self._state)

    def restore(self, listing: Listing) -> Listing | None:
        """Take up what the index has; the server is asked when it is listed."""
        now = state(listing.signature)
        if now is None or not isinstance(listing.keys, array):
            return None
        return replace(listing, store=self._at(now))

    def _due(self) -> bool:
        """Whether it is time to ask again for what the server did not give."""
        now = time.monotonic()
        if self._lacking > 0 and now >= self._again_at:
            return True
        return bool(self._refusal) and now >= self._replay_at

    def _at(self, now: SyncState) -> RemoteStore:
        """Make now the state, and return a store for it."""
        if self._state is not None and self._state.validity != now.validity:
            self._lost, self._unfetched, self._undatable = {}, frozenset(), set()
        self._state = now
        self._owner = self._net.pack.owner(self._named(now))
        return RemoteStore(self._owner, self.fetch)

    def _named(self, now: SyncState) -> str:
        """Make the folder's identity, the same as long as its uids mean the same."""
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
        if aside := self._later.aside:
            rows.append(("set-aside", f"{aside} changes"))
        if self._refusal:
            rows.append(("waiting-error", self._refusal))
        if self._lacking > 0:
            rows.append(("unlisted", f"{self._lacking} messages: {self._unlisted}"))
        if bad := self._lost.keys() | self._unfetched:
            names = ", ".join(f"uid {uid}" for uid in sorted(bad)[:SHOWN])
            rows.append(("unreadable", f"{len(bad)} messages: {names}"))
        return rows

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
        fresh, undatable = self.line.session is None, len(self._undatable)
        try:
            try:
                return self._list(old)
            except OSError as e:
                self.line.drop(reason(e))
                if fresh and len(self._undatable) == undatable:
                    raise
            return self._list(old)  # once more, on a new connection
        except MailfsError:
            self.line.close()  # nobody waits on it: others may have the connection
            raise

    def _list(self, old: Listing | None) -> Listing:
        session = self._open(old)
        selected, self.line.selected = self.line.selected, None
        if selected is None:  # nothing but time has passed since it was listed
            if self._hurry or not session.pending:
                self.line.ask(session)
            self._hurry = False
            selected = session.selected
            assert selected is not None
            told = self._replay(session, selected.uidvalidity)
            if self._lacking > 0 and time.monotonic() >= self._again_at:
                self._lacking = 0
            if old is not None and self._state is not None:
                old = listings.flagged(old, told)
                return self._took(
                    sync := self._sync(session, self._state), sync.settle(old)
                )
        selected.changed += self._replay(session, selected.uidvalidity)
        self._lacking = 0
        known = None if old is None else state(old.signature)
        if old is None or known is None or known.validity != selected.uidvalidity:
            modseq = selected.modseq or 0
            now = SyncState(selected.uidvalidity, session.user, 1, modseq)
            return self._took(sync := self._sync(session, now), sync.whole(now))
        sync = self._sync(session, known)
        return self._took(sync, sync.since(old, known, selected))

    def _sync(self, session: ImapSession, now: SyncState) -> Sync:
        seed = listings.base(self._named(now))
        tell, lacking = self.line.tell, self._lacking
        return Sync(session, self._at(now), seed, tell, lacking, self._undatable)

    def _took(self, sync: Sync, listing: Listing) -> Listing:
        """Note how a listing ended; messages it lacks are asked for again, rarely."""
        self._state = state(listing.signature)
        if self._lost or self._unfetched:
            there = set(listings.uids_of(listing))
            self._lost = {uid: why for uid, why in self._lost.items() if uid in there}
            self._unfetched &= there
        before, self._lacking = self._lacking, sync.lacking
        if sync.restless:
            self._news = True
        if self._lacking > 0 and self._lacking != before:
            self._unlisted = _named(sync, self.line.session)
            self._again_delay = min(max(2 * self._again_delay, AGAIN), LONGEST)
            self._again_at = time.monotonic() + self._again_delay
        elif self._lacking <= 0:
            self._again_delay = 0.0
        return listing

    # Reading.

    def heads(self, keys: Sequence[Key]) -> Iterator[HeaderSlice]:
        """Give headers and structures, newest first.

        Where the connection breaks, the message it broke at is asked for by itself,
        at last without its structure.  One that cannot be had is asked for no more:
        its body may tell.
        """
        uids = [int(key) for key in keys if key not in self._lost]
        parts = [(uids, True)] if uids else []
        broken = 0
        while parts:
            uids, structure = parts.pop()
            session = self._session()
            fetch = session.heads(uids, FIELDS, structure=structure)
            came: set[int] = set()
            try:
                for one in fetch:
                    came.add(one.uid)
                    yield HeaderSlice(one.uid, one.header, one.structure)
                if fetch.missing:  # others of them have gone
                    for uid in session.flags(Ranges.of(fetch.missing)).uids:
                        self._lose(uid, "server tells no header")
            except (OSError, ImapError) as e:
                broken += 1
                if not self._broke(e) or broken > HANGUPS:
                    raise
                left = [uid for uid in uids if uid not in came]
                if broken == 1 or len(left) > 1:
                    parts += _apart(left, fetch.suspect, halve=not came and broken > 2)
                elif structure:
                    parts.append((left, False))
                elif left:
                    self._lose(left[0], str(e))

    def _broke(self, e: OSError | ImapError) -> bool:
        """Hang up if an error leaves the connection of no use; False if it does not."""
        if isinstance(e, ImapError):
            if e.kind:
                return False
            self.line.drop(str(e))
            return True
        if isinstance(e, ServerUnreachable):
            return False
        self.line.drop(reason(e))
        return True

    def _lose(self, uid: int, why: str) -> None:
        """Remember a message whose header cannot be had."""
        log.warning("%s: uid %d: %s", self.path, uid, why)
        self._lost = {**self._lost, uid: why}

    def fetch(self, wants: Sequence[Want]) -> None:
        """Bring octets into the cache."""
        requests = [BodyRequest(int(w.key), w.start, _count(w)) for w in wants]
        owner = self._owner
        assert owner is not None
        fresh = self.line.session is None
        try:
            self._fetch(owner, requests)
        except (OSError, ImapError) as e:
            if not self._broke(e) or (fresh and len(requests) == 1):
                raise
            for request in requests:  # singly: one may be what the server cannot read
                if len(requests) > 1 and request.uid in self._unfetched:
                    continue
                self._fetch_one(owner, request, alone=len(requests) == 1)

    def _fetch_one(self, owner: Owner, request: BodyRequest, *, alone: bool) -> None:
        """Fetch one message; remember one at which the connection breaks."""
        try:
            self._fetch(owner, [request])
        except (OSError, ImapError) as e:
            if not self._broke(e):
                raise
            self._unfetched = self._unfetched | {request.uid}
            if alone:
                raise

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
        self.line.give_way()
        if (session := self.line.session) is not None:
            return session
        before = self._state
        self._news = True
        session = self._open(None)
        selected = self.line.selected
        if before is None or selected is None:
            raise Stale(EIO)
        if selected.uidvalidity != before.validity:
            raise Stale(EIO)
        return session

    def listen(self, timeout: float, wake: int) -> bool:
        """Wait for news, by IDLE where the server has it."""
        if self._news or self._due():
            return True
        now = time.monotonic()
        if self._refusal:
            timeout = min(timeout, self._replay_at - now)
        if self._lacking > 0:
            timeout = min(timeout, self._again_at - now)
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
                if any(one.validity > MAX_UID for one in changes):
                    raise  # a folder that may be another when it is back
        self._later.add(changes)  # in their order, behind those that came before
        return ()

    def _replay(self, session: ImapSession, validity: int) -> Sequence[Flagged]:
        """Make the changes that waited, in their order.

        One that the server refuses for good is dropped; a refusal that may pass leaves
        it and those behind it for later, each time longer.
        """
        told: list[Flagged] = []
        if time.monotonic() < self._replay_at:
            return told
        self._refusal = ""
        for key, run in groupby(
            self._later.waiting(), lambda one: (one.verb, one.folder)
        ):
            changes = [*run]
            try:
                told += edit.perform(session, self.folder, changes, validity)
            except MailfsError as e:
                if not edit.lasting(e):
                    self._put_off(e)
                    return told
                self._dropped += len(changes)
                text = "%s: %s of %d messages dropped: %s"
                log.warning(text, self.path, key[0], len(changes), e)
            self._later.done(len(changes))
        self._replay_at = self._replay_delay = 0.0
        return told

    def _put_off(self, e: MailfsError) -> None:
        self._refusal = str(e)
        self._replay_delay = min(max(2 * self._replay_delay, FIRST), LONGEST)
        self._replay_at = time.monotonic() + self._replay_delay

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


def _named(sync: Sync, session: ImapSession | None) -> str:
    """List the messages that have no row, as far as the server told."""
    words = [f"uid {uid}" for uid in islice(sync.unlisted, SHOWN)]
    rejected = {} if session is None else session.rejected
    words += [f"message {n}: {why}" for n, why in islice(rejected.items(), SHOWN)]
    return ", ".join(words) or "the server counts them and names none"


def _apart(
    left: list[int], suspect: int | None, *, halve: bool
) -> list[tuple[list[int], bool]]:
    """Cut what is left to ask for, the last to be asked first: suspects come late."""
    if halve or suspect not in left:
        half = len(left) // 2
        parts = [left[half:], left[:half]]
    else:
        parts = [[suspect], [uid for uid in left if uid != suspect]]
    return [(part, True) for part in parts if part]


def _count(want: Want) -> int | None:
    return None if want.end < 0 else want.end - want.start


def _known(old: Listing | None) -> Known | None:
    now = None if old is None else state(old.signature)
    if old is None or now is None or not now.modseq:
        return None
    return Known(now.validity, now.modseq, Ranges.of(listings.uids_of(old)))
