"""Who is who in a maildrop: message numbers hold for one session, keys for ever.

A key is the message's unique id.  Where the server has none, or gives one to several
messages, it is a digest of the header with the size and, of messages that are equal
in both, which one it is; where the server has no TOP either, of the whole message.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mailfs.mailbox.octets import Octets, collect
from mailfs.pop.error import PopError
from mailfs.pop.session import Pop3Session, header

WHOLE = 30  # listings after which one asks for every unique id again
DIGEST = "mailfs:"  # how a key begins that no server gave

# What servers put into a header and change there.
_VOLATILE = (b"status:", b"x-status:", b"x-uidl:", b"x-uid:", b"x-keywords:")

Keep = Callable[[str, Octets], None]
"""Take a message that had to be fetched whole to know its key."""


@dataclass(frozen=True, slots=True)
class Roster:
    """The messages of a maildrop, in the server's order.

    numbers  by key
    sizes    by key, octets as the server counts
    plain    whether every key is a unique id
    """

    numbers: dict[str, int]
    sizes: dict[str, int]
    plain: bool

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def last(self) -> tuple[str, int]:
        """The last message's key and number; there is one."""
        return next(reversed(self.numbers.items()))

    def without(self, keys: Iterable[str]) -> "Roster":
        """Compute the numbers of the remaining messages in the next session."""
        gone = set(keys)
        kept = [key for key in self.numbers if key not in gone]
        numbers = {key: n for n, key in enumerate(kept, 1)}
        return Roster(numbers, {key: self.sizes[key] for key in kept}, self.plain)


class Roll:
    """What is known of the numbers, from session to session."""

    def __init__(self, keep: Keep) -> None:
        """Know nothing; keep takes what had to be fetched whole."""
        self._keep = keep
        self._roster: Roster | None = None  # who was there when last we asked
        self._session: Pop3Session | None = None  # the one in which the numbers hold
        self._since = 0  # calls since the last that asked for everything

    def call(self, session: Pop3Session) -> Roster:
        """Find out which messages there are; the same object if nothing changed."""
        known, found = self._roster, None
        if known is not None and self._since < WHOLE:
            found = grown(session, known)
            self._since += 1
        if found is None:
            found = roster(session, self._keep, known)
            self._since = 0
        self._roster, self._session = found, session
        return found

    def numbers(self, session: Pop3Session, keys: Sequence[str]) -> dict[str, int]:
        """Return the numbers, in this session, of messages that are still there.

        Where they were is tried first.  Of a key that was made from the message it
        is found out when the message comes, see fits.
        """
        known = self._roster
        if session is not self._session or known is None:
            if known is not None and _as_before(session, known, keys):
                return {key: known.numbers[key] for key in keys}
            known = self._roster = roster(session, self._keep, known)
            self._session = session
        return {key: known.numbers[key] for key in keys if key in known.numbers}

    def without(self, keys: Iterable[str]) -> None:
        """Note that messages were deleted, and that the session ended with it."""
        self._session = None
        if self._roster is not None:
            self._roster = self._roster.without(keys)

    def forget(self) -> None:
        """Believe nothing any more."""
        self._roster = self._session = None


def _as_before(session: Pop3Session, known: Roster, keys: Sequence[str]) -> bool:
    """Whether all have the numbers that they had."""
    numbers = {key: known.numbers.get(key, 0) for key in keys}
    if not all(0 < n <= session.count for n in numbers.values()):
        return False
    if session.count != len(known) and any(map(is_digest, keys)):
        return False
    plain = {key: n for key, n in numbers.items() if not is_digest(key)}
    ids = session.uidls_of(list(plain.values()))
    return all(ids.get(n) == key for key, n in plain.items())


def roster(session: Pop3Session, keep: Keep, old: Roster | None = None) -> Roster:
    """List the maildrop; old spares making keys from messages again."""
    sizes = session.sizes() if session.count else {}
    ids = (session.uidls() or {}) if session.count else {}
    times = Counter(ids.values())
    keys = {n: ids[n] for n in sizes if n in ids and times[ids[n]] == 1}
    rest = [n for n in sizes if n not in keys]
    if rest and old is not None:
        keys |= _stayed(session, rest, sizes, old)
        rest = [n for n in sizes if n not in keys]
    plain = not any(map(is_digest, keys.values())) and not rest
    if rest:
        keys |= _digests(session, rest, sizes, keep, set(keys.values()))
    numbers = {keys[n]: n for n in sorted(sizes) if n in keys}
    by_key = {key: sizes[n] for key, n in numbers.items()}
    return Roster(numbers, by_key, plain)


def _stayed(
    session: Pop3Session, wanted: list[int], sizes: Mapping[int, int], old: Roster
) -> dict[int, str]:
    """Return keys that messages had before, if none of the old seems to have gone.

    So it seems if all have the size they had and the last is the one it was.
    """
    if not session.top or not len(old):
        return {}
    last, number = old.last
    if any(sizes.get(n) != old.sizes[key] for key, n in old.numbers.items()):
        return {}
    if is_digest(last):
        heads = [head for _, head in session.headers([number])]
        if not heads or not fits_header(last, heads[0]):
            return {}
    elif session.uidls_of([number]).get(number) != last:
        return {}
    by_number = {n: key for key, n in old.numbers.items() if is_digest(key)}
    return {n: by_number[n] for n in wanted if n in by_number}


def grown(session: Pop3Session, old: Roster) -> Roster | None:
    """List a maildrop to which messages may only have been added; None if it was not.

    New messages come last: if the last that we know still has its number, none before
    it has gone.
    """
    if not old.plain or not len(old) or session.count < len(old):
        return None
    last, number = old.last
    if number != len(old):
        return None
    fresh = list(range(number + 1, session.count + 1))
    ids = session.uidls_of([number, *fresh])
    if ids.get(number) != last:
        return None
    if not fresh:
        return old
    added = {ids[n]: n for n in fresh if n in ids}
    if len(added) < len(fresh) or not added.keys().isdisjoint(old.numbers):
        return None
    sizes = session.sizes_of(fresh)
    if len(sizes) < len(fresh):
        return None
    more = {key: sizes[n] for key, n in added.items()}
    return Roster({**old.numbers, **added}, {**old.sizes, **more}, True)


def _digests(
    session: Pop3Session,
    numbers: list[int],
    sizes: Mapping[int, int],
    keep: Keep,
    taken: set[str],
) -> dict[int, str]:
    """Return keys, none of those taken, for messages without an id of their own."""
    digests: dict[int, str] = {}
    kept: dict[int, Octets] = {}
    if session.top:
        for n, head in session.headers(numbers):
            digests[n] = f"{of_header(head)}.{sizes[n]}"
    if not session.top:
        for n in numbers:
            for _, got in session.messages([n]):
                if not isinstance(got, PopError):
                    kept[n] = octets = collect(got)
                    digests[n] = _of_message(octets)
    times: Counter[str] = Counter()
    keys = {}
    for n in sorted(digests):
        while (key := f"{DIGEST}{digests[n]}.{times[digests[n]]}") in taken:
            times[digests[n]] += 1
        times[digests[n]] += 1
        keys[n] = key
        if n in kept:
            keep(keys[n], kept[n])
    return keys


def of_header(head: bytes) -> str:
    """Return a digest of a header, less what servers change in it."""
    d = hashlib.blake2b(digest_size=16)
    take = True
    for line in head.replace(b"\r\n", b"\n").split(b"\n"):
        if line[:1] not in (b" ", b"\t"):  # else it continues the line before
            take = not line.lower().startswith(_VOLATILE)
        if take and line:
            d.update(line + b"\n")
    return d.hexdigest()


def _of_message(octets: Octets) -> str:
    d = hashlib.blake2b(digest_size=16)
    for piece in octets.pieces(0, len(octets)):
        d.update(piece)
    return f"{d.hexdigest()}.whole"


def is_digest(key: str) -> bool:
    """Whether a key was made from a message."""
    return key.startswith(DIGEST)


def fits(key: str, octets: Octets) -> bool:
    """Whether a message may have a key that was made from it."""
    if ".whole." in key:
        return _of_message(octets).startswith(_digest(key))
    return fits_header(key, header(octets.pieces(0, len(octets))))


def fits_header(key: str, head: bytes) -> bool:
    """Whether the message with that header may have a key that was made from it."""
    return ".whole." in key or of_header(head) == _digest(key)


def _digest(key: str) -> str:
    return key.removeprefix(DIGEST).partition(".")[0]
