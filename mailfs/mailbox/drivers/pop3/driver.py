"""POP3: a maildrop on a server; RFC 1939, upasfs(4).

Every look at the maildrop is a short session.  Messages are known by their unique ids
and fetched whole, once, into the cache; a listing fetches none.  Flags are kept here,
below ROOT/mail/box/USER/flags, for the server has no place for them.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from mailfs.errors import ENONET, MailfsError
from mailfs.mailbox.driver import Driver, Place, RemoteDriver
from mailfs.mailbox.drivers.pop3.link import Link3
from mailfs.mailbox.drivers.pop3.listings import (
    arrival,
    empty,
    keys_of,
    picked,
    state_of,
)
from mailfs.mailbox.drivers.pop3.roster import (
    Roll,
    Roster,
    fits,
    fits_header,
    is_digest,
    of_header,
)
from mailfs.mailbox.drivers.pop3.store import PopStore
from mailfs.mailbox.flagfile import FlagEntry, FlagFile
from mailfs.mailbox.kinds import Flag, HeaderSlice, Key, Listing, Stale, Want
from mailfs.mailbox.octets import Octets, collect
from mailfs.poll import readable
from mailfs.pop import session as pop
from mailfs.pop.account import Account, parse
from mailfs.pop.error import Ambiguous, PopError
from mailfs.pop.session import Pop3Session

POLL = 60.0  # seconds between listings; upasfs(4)
FEW = 64  # new messages whose headers come with the listing that finds them
BATCH = 200  # headers fetched before they are handed on
MANY = 100  # headers after which others get their turn at the maildrop
HELD = 256  # refused messages that are remembered

T = TypeVar("T")


class _Flags(FlagFile):
    """Flags of a maildrop; there is nothing beside which the file could lie."""

    @property
    def path(self) -> str:
        """Where the file is, or would be made."""
        return self.apart


class Pop3(RemoteDriver):
    """One maildrop."""

    kind = "pop3"
    crlf = True
    poll = POLL

    def __init__(
        self,
        path: str,
        place: Place,
        account: Account,
        line: Link3,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(path, place)
        assert place.net is not None
        self.named = account.maildrop
        self.line = line
        self._clock = clock
        self._wall = wall
        self._store = PopStore(place.net.pack.owner(self.named), self.fetch)
        self._flags = _Flags(self.named, place)
        self._roll = Roll(self._keep)
        self._listed: Roster | None = None  # who was there when last we listed
        self._state = ""  # signature of the last listing, without that of the flags
        self._due = False  # it is time to list again
        self._next = clock() + self.poll
        self._alone = False  # messages must be asked for one by one
        self._heads: dict[Key, bytes] = {}  # that came with the listing

    # Listing.

    def signature(self) -> str:
        """Return the last listing's signature, another if it is time for a new one."""
        return "due" if self._due else self._signature()

    def _signature(self) -> str:
        return f"{self._state}/{self._flags.signature()}"

    def heavy(self, old: Listing | None) -> bool:
        """Never: a hundred thousand lines are read in a moment."""
        return False

    def restore(self, listing: Listing) -> Listing | None:
        """Give a listing the cache to read from, and the flags as they are now.

        It counts as current until it is time to ask the server, which may be away.
        """
        self._state = self._state or listing.signature.partition("/")[0]
        if listing.signature.partition("/")[2] != self._flags.signature():
            return self._flagged(listing)
        return replace(listing, store=self._store)

    def list(self, old: Listing | None = None) -> Listing:
        """List the maildrop, or only the flags where nothing else is to be done.

        Messages that are known stay where they are, new ones follow, whatever the
        order in which the server has them.
        """
        if old is not None and self._only_flags(old):
            return self._flagged(old)
        try:
            found = self._talk(lambda session: self._look(session, old))
        finally:
            self._due = False
            self._next = self._clock() + self.line.pause(self.poll)
        self._state = found.signature.partition("/")[0]
        return found

    def _only_flags(self, old: Listing) -> bool:
        state, _, flags = old.signature.partition("/")
        same = state == self._state and not self._due
        return same and flags != self._flags.signature()

    def _flagged(self, old: Listing) -> Listing:
        """Return old with the flags as they are now."""
        signature = self._flags.read()
        flags = self._overlay(old.keys)
        state = old.signature.partition("/")[0]
        return replace(
            old, signature=f"{state}/{signature}", flags=flags, store=self._store
        )

    def _overlay(self, keys: "Sequence[Key]") -> bytearray:
        entries = self._flags.entries
        recent = int(Flag.RECENT)
        if not entries:
            return bytearray([recent]) * len(keys)
        return bytearray(
            entries[key].merged(0) | recent if key in entries else recent
            for key in map(str, keys)
        )

    def _look(self, session: Pop3Session, old: Listing | None) -> Listing:
        found = self._roll.call(session)
        same = found is self._listed
        if same and old is not None and old.signature == self._signature():
            return old
        self._listed = found
        keys = keys_of(old)
        known = set(keys)
        fresh = [key for key in found.numbers if key not in known]
        self._taste(session, found, fresh, first=old is None)
        signature = self._flags.read()
        kept = [row for row, key in enumerate(keys) if key in found.numbers]
        listing = empty(self._store) if old is None else picked(old, kept)
        self._add(listing, found, fresh)
        state = state_of(listing)
        if old is not None and old.signature == f"{state}/{signature}":
            return replace(old, store=self._store)
        return replace(
            listing,
            signature=f"{state}/{signature}",
            flags=self._overlay(listing.keys),
            store=self._store,
        )

    def _keep(self, key: str, octets: Octets) -> None:
        if not self._store.whole(key):
            self._store.keep(key, len(octets), octets.pieces(0, len(octets)))

    def _taste(
        self, session: Pop3Session, found: Roster, fresh: Sequence[str], *, first: bool
    ) -> None:
        """Fetch headers of new messages, if they are few.

        A server that gives an old unique id to a new message is found out here: what
        the cache has under that id is dropped.
        """
        known = [] if first else [k for k in fresh if self._store.owner.has(k, 0, 1)]
        wanted = list(fresh) if len(fresh) <= FEW else known
        self._heads = {}
        if not wanted or not session.top:
            return
        keys = {found.numbers[key]: key for key in wanted}
        for number, head in session.headers(list(keys)):
            self._heads[keys[number]] = head
        for key in known:
            octets = self._header(key)
            head = self._heads.get(key, b"")
            if octets is None or of_header(octets) != of_header(head):
                self._store.forget([key])

    def _add(self, listing: Listing, found: Roster, fresh: Sequence[str]) -> None:
        """Put new messages at the end of a listing that nobody has seen yet."""
        dates, keys = listing.dates, keys_of(listing)
        last, now = dates[-1] if dates else 0, int(self._wall())
        for key in fresh:
            # The server does not tell when a message came; the header may.
            last = max(last, min(arrival(self._heads.get(key), now), now))
            dates.append(last)
            keys.append(key)
            listing.sizes.append(found.sizes[key])
            listing.idents.append(self._ident(key))
            listing.weaks.append(0)

    def _ident(self, key: str) -> int:
        named = f"{self.named}\0{key}".encode("utf-8", "surrogateescape")
        return int.from_bytes(hashlib.blake2b(named, digest_size=8).digest(), "big")

    # Talking to the server.

    def _talk(self, job: Callable[[Pop3Session], T]) -> T:
        """Do job in a session; once more if one that was kept turns out dead."""
        kept = self.line.session is not None
        while True:
            session = self.line.open()
            try:
                return job(session)
            except Ambiguous:
                if self._alone:
                    raise
                self._alone = True
                self.line.drop()
            except OSError as e:
                if not kept:
                    self.line.failed(e)
                    raise
                kept = False
                self.line.drop()

    # Reading.

    def digest(self, key: Key) -> bytes:
        """Return the SHA-1 of server, user and unique id."""
        named = f"{self.named}/{key}".encode("utf-8", "surrogateescape")
        return hashlib.sha1(named, usedforsecurity=False).digest()

    def fetch(self, wants: Sequence[Want]) -> None:
        """Bring messages into the cache, whole; POP3 has no other way."""
        keys = {str(want.key): want.size for want in wants}
        for key in keys:
            self._store.refused.pop(key, None)
        if not all(map(self._store.whole, keys)):
            self._talk(lambda session: self._retrieve(session, keys))

    def _retrieve(self, session: Pop3Session, sizes: dict[str, int]) -> None:
        wanted = [key for key in sizes if not self._store.whole(key)]
        numbers = self._roll.numbers(session, wanted)
        keys = {n: key for key, n in numbers.items()}
        with self._store.owner.batch():
            for batch in [[n] for n in keys] if self._alone else [list(keys)]:
                told = {number: sizes[key] for number, key in keys.items()}
                for number, got in session.messages(batch, told):
                    key = keys[number]
                    if isinstance(got, PopError):
                        self._refuse(key, str(got))
                    elif is_digest(key):
                        self._check(key, collect(got))
                    else:
                        self._store.keep(key, sizes[key], got)

    def _check(self, key: str, octets: Octets) -> None:
        """Keep a message, if it is the one that the key was made from."""
        if fits(key, octets):
            self._keep(key, octets)
        else:
            self._roll.forget()
            self._due = True

    def _refuse(self, key: str, why: str) -> None:
        refused = self._store.refused
        refused[key] = why
        if len(refused) > HELD:
            refused.popitem(last=False)

    def heads(self, keys: Sequence[Key]) -> Iterator[HeaderSlice]:
        """Give headers: of messages that are here at once, of the others by TOP."""
        rest: list[str] = []
        for key in map(str, keys):
            found = self._heads.pop(key, None) or self._header(key)
            if found is None:
                rest.append(key)
            else:
                yield HeaderSlice(key, found)
        for at in range(0, len(rest), BATCH):
            batch = rest[at : at + BATCH]
            yield from self._talk(partial(self._tops, keys=batch))
        if len(rest) >= MANY and not self.line.delay:
            self.line.close()

    def _tops(self, session: Pop3Session, keys: Sequence[str]) -> Sequence[HeaderSlice]:
        numbers = self._roll.numbers(session, keys)
        by_number = {n: key for key, n in numbers.items()}
        found = []
        if session.top:
            for number, head in session.headers(list(by_number)):
                key = by_number[number]
                if not is_digest(key) or fits_header(key, head):
                    found.append(HeaderSlice(key, head))
        if not session.top:
            self._retrieve(session, {key: 0 for key in numbers})
            for key in numbers:
                own = self._header(key)
                if own is not None:
                    found.append(HeaderSlice(key, own))
        return found

    def _header(self, key: str) -> bytes | None:
        """Return the header of a message that is here, None of another."""
        if not self._store.whole(key):
            return None
        length = self._store.length(key, 0, 0)
        return pop.header(
            self._store.read(key, length, 0, at, min(at + _HEAD, length))
            for at in range(0, min(length, pop.MAX_HEADER), _HEAD)
        )

    # Changing.

    def delete(self, listing: Listing, rows: Sequence[int]) -> Listing:
        """Remove messages; they are gone when the server has answered QUIT.

        If that answer is lost, what the server still has tells whether they are.
        """
        self.check_writable()
        keys = [str(listing.keys[row]) for row in rows]
        self._talk(lambda session: self._mark(session, keys))
        try:
            self.line.quit()
        except (OSError, PopError) as e:
            self._roll.forget()
            self._due = True
            left = self._talk(self._roll.call).numbers
            if any(key in left for key in keys):
                raise MailfsError(f"messages were not deleted: {e}") from e
        self._roll.without(keys)
        self._listed = None
        gone = set(rows)
        kept = [row for row in range(len(listing)) if row not in gone]
        after = picked(listing, kept)
        self._state = state_of(after)
        return replace(after, signature=f"{self._state}/{self._flags.read()}")

    def _mark(self, session: Pop3Session, keys: Sequence[str]) -> None:
        numbers = self._roll.numbers(session, keys)
        if len(numbers) < len(keys):
            self._due = True
            raise Stale("message has gone")
        session.delete(list(numbers.values()))

    def set_flags(
        self, listing: Listing, changes: Sequence[tuple[int, Flag]]
    ) -> Listing:
        """Note flags in the flags file; the server knows none."""
        self.check_writable()
        none = Flag(0)
        entries = [
            FlagEntry(
                str(listing.keys[row]),
                listing.idents[row],
                listing.idents[row],
                none,
                flags & ~Flag.RECENT,
            )
            for row, flags in changes
        ]
        self._flags.append(entries)
        return self._flagged(listing)

    # Waiting.

    def listen(self, timeout: float, wake: int) -> bool:
        """Wait until it is time to look again; end a session that nobody uses."""
        if self.line.linger(wake):
            return False
        pause = min(timeout, max(0.0, self._next - self._clock()))
        if readable([wake], pause) or self._clock() < self._next:
            return False
        self._due = True
        self._next = self._clock() + self.poll  # until the listing says better
        return True

    def hurry(self) -> None:
        """Have the next listing ask the server."""
        self._due = True

    def state(self) -> Sequence[tuple[str, str]]:
        """List the server's status, as names and values."""
        line = self.line
        session = line.session
        rows = [
            ("server", str(line.account)),
            ("user", line.user),
            ("connection", "open" if session is not None else "closed"),
            ("sessions", str(line.sessions)),
            ("received", str(line.received)),
            ("next", f"{max(0.0, self._next - self._clock()):.0f}"),
        ]
        if line.expire:
            rows.append(("expire", line.expire))
        if line.error:
            rows.append(("connect", line.error))
        return rows

    def interrupt(self) -> None:
        """End whatever the worker waits for, and connect no more; any thread."""
        self.line.interrupt()

    def close(self) -> None:
        """End the session."""
        self.line.close()


_HEAD = 16 << 10  # octets of a message read at a time for its header


def claim(path: str, place: Place) -> Driver | None:
    """Take ``/pop/`` and its like."""
    account = parse(path)
    if account is None:
        return None
    if place.net is None:
        raise MailfsError(f"{path}: {ENONET}")
    return Pop3(path, place, account, Link3(account, place.net))
