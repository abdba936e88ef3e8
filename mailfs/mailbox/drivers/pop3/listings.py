"""The listing of a maildrop, as columns."""

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import replace

from mailfs.mailbox.kinds import Listing, MessageReader
from mailfs.msg import date, header


def empty(store: MessageReader) -> Listing:
    """Return a listing without rows."""
    return Listing(
        signature="",
        settled=True,
        keys=[],
        sizes=array("Q"),
        idents=array("Q"),
        weaks=array("Q"),
        dates=array("q"),
        flags=bytearray(),
        store=store,
    )


def keys_of(listing: Listing | None) -> list[str]:
    """Return the keys, which are unique ids; the listing's own list."""
    if listing is None:
        return []
    assert isinstance(listing.keys, list)
    return listing.keys


def state_of(listing: Listing) -> str:
    """Make the signature of a listing, another one where messages differ."""
    text = "\n".join(keys_of(listing)).encode()
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def picked(old: Listing, rows: Sequence[int]) -> Listing:
    """Return a listing of some rows, with columns of its own."""
    keys = keys_of(old)
    return replace(
        old,
        keys=[keys[row] for row in rows],
        sizes=array("Q", [old.sizes[row] for row in rows]),
        idents=array("Q", [old.idents[row] for row in rows]),
        weaks=array("Q", bytes(8 * len(rows))),
        dates=array("q", [old.dates[row] for row in rows]),
        flags=bytearray(old.flags[row] for row in rows),
    )


def arrival(head: bytes | None, now: int) -> int:
    """Tell a message's arrival, by its topmost Received or its Date; else now."""
    if head is None:
        return now
    fields = header.scan(head)
    stamps = [v.rpartition(b";")[2] for v in fields.folded(b"received")[:1]]
    for stamp in (*stamps, *fields.folded(b"date")[:1]):
        when = date.parse(stamp)
        if when is not None:
            return when.epoch
    return now
