"""The listing of an IMAP folder, and what a session tells to bring it up to date.

The signature is ``VALIDITY:USER/UIDNEXT/MODSEQ``: before the slash what octets depend
on, after it what changes with every piece of news.
"""

import hashlib
import secrets
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mailfs.imap.changes import Flagged
from mailfs.imap.columns import FetchedColumns
from mailfs.imap.grammar.ranges import Ranges
from mailfs.mailbox.kinds import Listing, MessageReader

_MIX = 0x9E3779B97F4A7C15  # odd: multiplying by it keeps 64-bit numbers apart
_64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class SyncState:
    """What is known of a folder beside its messages."""

    validity: int
    user: str
    uidnext: int
    modseq: int

    def __str__(self) -> str:
        return f"{self.validity}:{self.user}/{self.uidnext}/{self.modseq}"


def made_up() -> int:
    """Return a uidvalidity for a folder without one, unlike any there was or will be.

    So nothing that was known of its uids is believed of them once it is selected anew.
    """
    return (1 << 32) + secrets.randbits(62)


def state(signature: str) -> SyncState | None:
    """Read a signature; None if it is none of ours."""
    first, slash, rest = signature.rpartition("/")[0].rpartition("/")
    validity, colon, user = first.partition(":")
    modseq = signature.rpartition("/")[2]
    numbers = (validity, rest, modseq)
    if not (slash and colon and all(n.isascii() and n.isdecimal() for n in numbers)):
        return None
    return SyncState(int(validity), user, int(rest), int(modseq))


def state_of(listing: Listing) -> SyncState:
    """Read the signature of a listing that was made here.  Raises ValueError."""
    found = state(listing.signature)
    if found is None:
        raise ValueError(f"not the signature of an IMAP folder: {listing.signature}")
    return found


def base(named: str) -> int:
    """Return 64 bits that tell a folder, under one uidvalidity, from others."""
    raw = hashlib.blake2b(named.encode("utf-8", "surrogateescape"), digest_size=8)
    return int.from_bytes(raw.digest(), "big")


def uids_of(listing: Listing) -> "array[int]":
    """Return the uids of a listing, ascending."""
    assert isinstance(listing.keys, array)
    return listing.keys


def row(uids: Sequence[int], uid: int) -> int | None:
    """Return the row of a uid in a column of ascending ones."""
    at = bisect_left(uids, uid)
    return at if at < len(uids) and uids[at] == uid else None


def listing(
    columns: FetchedColumns, seed: int, now: SyncState, store: MessageReader
) -> Listing:
    """List a folder: columns by ascending uid, seed as base() gives it."""
    uids = columns.uids
    return Listing(
        signature=str(now),
        settled=True,
        keys=uids,
        sizes=columns.sizes,
        idents=array("Q", [seed ^ (uid * _MIX & _64) for uid in uids]),
        weaks=array("Q", bytes(8 * len(uids))),
        dates=columns.dates,
        flags=bytearray(int(f.system) for f in columns.flags),
        store=store,
    )


def without(old: Listing, gone: Ranges | Iterable[int]) -> Listing:
    """Return a listing that lacks some uids."""
    keys = uids_of(old)
    if isinstance(gone, Ranges) and len(gone) > len(keys):  # a server may name any
        gone = [uid for uid in keys if uid in gone]
    rows = [i for i in (row(keys, uid) for uid in gone) if i is not None]
    if not rows:
        return old
    drop = set(rows)
    kept = [i for i in range(len(old)) if i not in drop]
    return replace(
        old,
        keys=array("Q", [keys[i] for i in kept]),
        sizes=array("Q", [old.sizes[i] for i in kept]),
        idents=array("Q", [old.idents[i] for i in kept]),
        weaks=old.weaks[: len(kept)],
        dates=array("q", [old.dates[i] for i in kept]),
        flags=bytearray(old.flags[i] for i in kept),
    )


def flagged(old: Listing, news: Iterable[Flagged]) -> Listing:
    """Return a listing in which messages have the flags that were told."""
    flags = bytearray(old.flags)
    for one in news:
        i = row(uids_of(old), one.uid)
        if i is not None:
            flags[i] = int(one.flags.system)
    return old if flags == old.flags else replace(old, flags=flags)


def joined(old: Listing, more: Listing) -> Listing:
    """Return old with the messages of more, whose uids may lie among its own."""
    if not len(more):
        return old
    mine, others = uids_of(old), uids_of(more)
    if not mine or mine[-1] < others[0]:
        return replace(
            old,
            keys=mine + others,
            sizes=old.sizes + more.sizes,
            idents=old.idents + more.idents,
            weaks=old.weaks + more.weaks,
            dates=old.dates + more.dates,
            flags=old.flags + more.flags,
        )
    have = set(mine)
    rows = [(uid, 0, i) for i, uid in enumerate(mine)]
    rows += [(uid, 1, i) for i, uid in enumerate(others) if uid not in have]
    rows.sort()
    sides = (old, more)
    return replace(
        old,
        keys=array("Q", [uid for uid, _, _ in rows]),
        sizes=array("Q", [sides[s].sizes[i] for _, s, i in rows]),
        idents=array("Q", [sides[s].idents[i] for _, s, i in rows]),
        weaks=array("Q", bytes(8 * len(rows))),
        dates=array("q", [sides[s].dates[i] for _, s, i in rows]),
        flags=bytearray(sides[s].flags[i] for _, s, i in rows),
    )
