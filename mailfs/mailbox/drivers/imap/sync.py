"""Bringing a listing up to date with an IMAP folder, whatever its server can do.

A server with QRESYNC tells in one answer what has changed since; with CONDSTORE it is
asked for changed flags and the set of uids; any other for flags and uids of all.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from mailfs.imap.changes import Flagged, FolderStatus
from mailfs.imap.columns import FetchedColumns
from mailfs.imap.folder import Selected
from mailfs.imap.grammar.ranges import Ranges
from mailfs.imap.session import ImapSession
from mailfs.mailbox.drivers.imap import listings
from mailfs.mailbox.drivers.imap.listings import SyncState
from mailfs.mailbox.kinds import Listing, MessageReader
from mailfs.msg import date, header

MAX_UNDATED = 5000  # messages whose Date: is asked for at a time, the newest
ROUNDS = 20  # answers to wait for a folder to come to rest


class Sync:
    """One folder that a session has selected."""

    def __init__(
        self,
        session: ImapSession,
        store: MessageReader,
        seed: int,
        tell: Callable[[Mapping[str, FolderStatus]], None],
        lacking: int = 0,
        undatable: set[int] | None = None,
    ) -> None:
        """Make listings with store; seed tells the folder from others.

        tell takes what the server says of other folders meanwhile.  lacking is by how
        many messages EXISTS is known to differ from the rows that can be had.
        undatable are uids whose Date: is not asked for; where the connection breaks
        over it, those that were asked for are added.
        """
        self._undatable = set() if undatable is None else undatable
        self.lacking = lacking
        self.unlisted = Ranges()  # uids that the server names and gives no row of
        self.restless = False  # whether the server told news without end
        self._tell = tell
        self._session = session
        self._store = store
        self._seed = seed

    def whole(self, now: SyncState) -> Listing:
        """List everything."""
        return self.settle(self._rows(self._session.columns("1:*"), now))

    def since(self, old: Listing, known: SyncState, selected: Selected) -> Listing:
        """Find what has changed since old, of which known is what it was made from."""
        now = replace(known, user=self._session.user, modseq=selected.modseq or 0)
        listing = replace(old, signature=str(now), store=self._store)
        if not selected.resynced:
            return self.settle(self._compared(listing, known.modseq))
        listing = listings.without(listing, selected.vanished)
        listing = listings.flagged(listing, selected.changed)
        if not 0 < selected.uidnext <= known.uidnext:
            listing = self._more(listing)
        return self.settle(listing)

    def settle(self, listing: Listing) -> Listing:
        """Take in what the server told meanwhile, until there is no more of it."""
        compared = False
        for _ in range(ROUNDS):
            listing = _numbered(listing)
            news = self._session.changes()
            if news.folders:
                self._tell(news.folders)
            if news.unsure:
                listing = self._compared(listing, 0)
                compared = True
                continue
            listing = listings.without(listing, news.vanished)
            listing = listings.flagged(listing, news.flagged)
            if news.grown:
                listing = self._more(listing)
            elif len(listing) + self.lacking == news.exists:
                return listing
            elif compared and not news:
                self.lacking = news.exists - len(listing)
                return listing
            else:
                listing = self._compared(listing, 0)
                compared = True
        self.restless = True
        return listing

    def _rows(self, columns: FetchedColumns, now: SyncState) -> Listing:
        self._date(columns)
        return listings.listing(columns, self._seed, now, self._store)

    def _date(self, columns: FetchedColumns) -> None:
        """Give messages whose INTERNALDATE is none the moment their Date: names."""
        undated = {
            uid: i
            for i, uid in enumerate(columns.uids)
            if not columns.dates[i] and uid not in self._undatable
        }
        if not undated:
            return
        asked = list(undated)[-MAX_UNDATED:]
        self._undatable.update(asked)
        for head in self._session.heads(asked, ("Date",), structure=False):
            said = header.scan(head.header).raw(b"date")
            found = date.parse(said) if said is not None else None
            if found is not None and head.uid in undated:
                columns.dates[undated[head.uid]] = found.epoch
        self._undatable.difference_update(asked)

    def _more(self, listing: Listing) -> Listing:
        """Add what has arrived."""
        now = listings.state_of(listing)
        columns = self._session.columns(f"{now.uidnext}:*")
        return listings.joined(listing, self._rows(columns, now))

    def _compared(self, listing: Listing, modseq: int) -> Listing:
        """Compare uids, and the flags that were changed since modseq."""
        session = self._session
        there = session.uids()
        have = Ranges.of(listings.uids_of(listing))
        listing = listings.without(listing, have - there)
        if listings.state_of(listing).modseq == 0:
            modseq = 0
        told = session.flags(since=modseq)
        listing = listings.flagged(listing, map(Flagged, told.uids, told.flags))
        missing = there - have
        if missing:
            more = self._rows(session.columns(missing), listings.state_of(listing))
            listing = listings.joined(listing, more)
        self.unlisted = there - Ranges.of(listings.uids_of(listing))
        return listing


def _numbered(listing: Listing) -> Listing:
    """Note in the signature which uid comes next."""
    now = listings.state_of(listing)
    uids = listings.uids_of(listing)
    following = uids[-1] + 1 if uids else 1
    if following <= now.uidnext:
        return listing
    return replace(listing, signature=str(replace(now, uidnext=following)))
