"""Headers and octets of a folder's messages, though the connection breaks at some.

A message at which it breaks is asked for by itself, and what cannot be had of it is
remembered: no other message has to suffer for it twice.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from mailfs.cache.pack import Owner
from mailfs.errors import reason
from mailfs.imap.bodies import BodyRequest
from mailfs.imap.error import ImapError
from mailfs.imap.grammar.ranges import Ranges
from mailfs.imap.session import ImapSession
from mailfs.mailbox.drivers.imap import asking
from mailfs.mailbox.drivers.imap.link import Link, ServerUnreachable
from mailfs.mailbox.kinds import HeaderSlice, Key, Want
from mailfs.query.tree import Leaf

log = logging.getLogger(__name__)

SHOWN = 8  # messages named in a row of ``status``
HANGUPS = 60  # connections that one batch of headers may cost
# What the tree shows of a header without reading the message.
FIELDS = (
    *("From", "To", "Cc", "Bcc", "Sender", "Reply-To", "Subject", "Date"),
    *("Message-ID", "In-Reply-To", "References", "Content-Type"),
    *("Content-Disposition", "Content-Transfer-Encoding", "Content-Description"),
)


class MessageReading:
    """The reading of one folder's messages, under one uidvalidity."""

    def __init__(
        self, path: str, line: Link, session: Callable[[], ImapSession]
    ) -> None:
        """Read over line; session selects the folder that has been listed."""
        self._path = path
        self._line = line
        self._session = session
        self._lost: frozenset[int] = frozenset()  # uids without a header
        self._unfetched: frozenset[int] = frozenset()  # uids at whose body it broke
        self.undatable: set[int] = set()  # uids at whose Date: it broke

    def keep(self, there: Iterable[int]) -> None:
        """Forget all messages but those that are still there."""
        if self._lost or self._unfetched:
            uids = frozenset(there)
            self._lost, self._unfetched = self._lost & uids, self._unfetched & uids

    def rows(self) -> list[tuple[str, str]]:
        """Name the messages that cannot be read, as a row of ``status``."""
        bad = self._lost | self._unfetched
        names = ", ".join(f"uid {uid}" for uid in sorted(bad)[:SHOWN])
        return [("unreadable", f"{len(bad)} messages: {names}")] if bad else []

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
                    self._lose(left[0], reason(e) if isinstance(e, OSError) else str(e))

    def search(
        self, leaves: Sequence[Leaf], keys: Collection[Key]
    ) -> list[set[Key]] | None:
        """Ask which messages answer each of some conditions, by SEARCH.

        None if the server has no such key, or refuses.
        """
        session = self._session()
        gmail = asking.GMAIL in session.capabilities
        found: list[set[Key]] = []
        try:
            for leaf in leaves:
                key = asking.key(leaf, gmail=gmail)
                if key is None:
                    return None
                uids = session.search(key)
                found.append({uid for uid in keys if uid in uids})
        except (OSError, ImapError) as e:
            if self._broke(e) or isinstance(e, OSError):
                raise
            log.info("%s: search: %s", self._path, e)
            return None
        return found

    def _broke(self, e: OSError | ImapError) -> bool:
        """Hang up if an error leaves the connection of no use; False if it does not."""
        if isinstance(e, ImapError):
            if e.kind:
                return False
            self._line.drop(str(e))
            return True
        if isinstance(e, ServerUnreachable):
            return False
        self._line.drop(reason(e))
        return True

    def _lose(self, uid: int, why: str) -> None:
        """Remember a message whose header cannot be had."""
        log.warning("%s: uid %d: %s", self._path, uid, why)
        self._lost = self._lost | {uid}

    def fetch(self, owner: Owner, wants: Sequence[Want]) -> None:
        """Bring octets into the cache."""
        requests = [BodyRequest(int(w.key), w.start, _count(w)) for w in wants]
        fresh = self._line.session is None
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
