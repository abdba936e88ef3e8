"""The rows of an mbox file: listed whole, or brought up to date, and read.

The identity of a message, 64 bits: crc32 of its first HEAD octets in the upper half
(of all, if it has fewer), its size in the lower.  The weak one, of what programs do not
change: crc32 of its From_ line in the lower half, of Message-ID and Date in the upper.
"""

import os
import zlib
from array import array
from operator import sub
from typing import NamedTuple

from mailfs.disk import lock
from mailfs.disk.replace import pread_all
from mailfs.mailbox.drivers.mbox.scan import HEAD, Rows, scan_all
from mailfs.mailbox.drivers.stamp import Stamp
from mailfs.mailbox.kinds import Key, Listing, MessageReader, Stale

WHOLE = 8 << 20  # octets that are scanned again rather than trusted from samples
Ranges = list[tuple[int, int]]  # octets [start, end)

MOVED = "mailbox changed under us"
_SAMPLES = 16  # messages whose heads stand for all when a larger file has grown
_LOW = (1 << 32) - 1


class MboxFile:
    """An open file, closed when nobody refers to it."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        lock.close(self.fd)


class SpoolStore(MessageReader):
    """Reads from the file that was listed, whatever its name leads to by now."""

    __slots__ = ("_stamp", "file")

    def __init__(self, file: MboxFile, stamp: Stamp) -> None:
        self.file = file
        self._stamp = (stamp.size, stamp.modified)

    def read(self, key: Key, size: int, ident: int, start: int, end: int) -> bytes:
        """Read by pread(2): a mapping would kill us when the file is cut short."""
        assert isinstance(key, int)
        fd = self.file.fd
        end = min(end, size)
        if start >= end:
            return b""
        if start == 0:
            data = pread_all(fd, min(max(end, HEAD), size), key)
            head, data = data[:HEAD], data[:end]
        else:
            data = pread_all(fd, end - start, key + start)
            head = b""
            st = os.fstat(fd)
            if (st.st_size, st.st_mtime_ns) != self._stamp:
                head = pread_all(fd, min(HEAD, size), key)
        if len(data) < end - start or (head and zlib.crc32(head) != ident >> 32):
            raise Stale(MOVED)
        return data


class Columns(NamedTuple):
    """The columns of a Listing, in its order."""

    keys: "array[int]"
    sizes: "array[int]"
    idents: "array[int]"
    weaks: "array[int]"
    dates: "array[int]"
    flags: bytearray


def columns_of(listing: Listing) -> Columns:
    """Return the columns of a listing of an mbox file."""
    assert isinstance(listing.keys, array)
    return Columns(
        listing.keys,
        listing.sizes,
        listing.idents,
        listing.weaks,
        listing.dates,
        listing.flags,
    )


def whole(file: MboxFile, size: int) -> Columns:
    """Scan the first size octets of a file."""
    return _columns(scan_all(file.fd, 0, size), size)


def onward(file: MboxFile, size: int, old: Columns) -> Columns | None:
    """Scan from where the last message of old starts; it may have grown.

    None if old is not what the file starts with, as far as samples tell.
    """
    n = len(old.sizes)
    if n == 0 or size < old.keys[-1] + old.sizes[-1]:
        return None
    for row in {*range(0, n, max(n // _SAMPLES, 1)), n - 1}:
        head = pread_all(file.fd, min(HEAD, old.sizes[row]), old.keys[row])
        if zlib.crc32(head) != old.idents[row] >> 32:
            return None
    rows = scan_all(file.fd, old.keys[-1], size)
    if not rows.starts or rows.starts[0] != old.keys[-1]:
        return None
    tail = _columns(rows, size)
    return Columns(
        old.keys[:-1] + tail.keys,
        old.sizes[:-1] + tail.sizes,
        old.idents[:-1] + tail.idents,
        old.weaks[:-1] + tail.weaks,
        old.dates[:-1] + tail.dates,
        old.flags[:-1] + tail.flags,
    )


def _columns(rows: Rows, size: int) -> Columns:
    starts = rows.starts
    sizes = array("Q", map(sub, [*starts[1:], size], starts))
    idents = array(
        "Q", (h << 32 | s & _LOW for h, s in zip(rows.heads, sizes, strict=True))
    )
    return Columns(starts, sizes, idents, rows.weaks, rows.dates, rows.flags)


def stamp_of(listing: Listing | None) -> Stamp | None:
    """Return the stamp of the file that was listed."""
    if listing is None:
        return None
    return Stamp.parse(listing.signature.partition("/")[0])


def file_of(listing: Listing) -> MboxFile:
    """Return the file that was listed."""
    assert isinstance(listing.store, SpoolStore)
    return listing.store.file


def begins(now: Listing, old: Listing) -> bool:
    """Whether now has the messages of old in front; old's last one may have grown."""
    n = len(old)
    if now.keys[:n] != old.keys or now.idents[: n - 1] != old.idents[: n - 1]:
        return False
    if n == 0 or now.idents[n - 1] == old.idents[n - 1]:
        return True
    size = min(old.sizes[n - 1], HEAD)
    head = pread_all(file_of(now).fd, size, columns_of(now).keys[n - 1])
    grown = now.sizes[n - 1] > old.sizes[n - 1]
    return grown and zlib.crc32(head) == old.idents[n - 1] >> 32


def joined(ranges: Ranges) -> Ranges:
    """Join ranges that touch, so that they are copied in few calls."""
    joined: list[tuple[int, int]] = []
    for start, end in ranges:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def listing_of(
    columns: Columns, signature: str, store: SpoolStore, *, settled: bool
) -> Listing:
    """Return the listing of those columns."""
    return Listing(signature, settled, *columns, store)
