"""Replies packed at one stroke, for the server's path of nearly all traffic.

Every Struct comes from the message's declaration; the sizes follow from the Structs.
"""

from struct import Struct

from mailfs.errors import EIO, MailfsError, Refused, reason
from mailfs.p9.fcall import (
    HEADER,
    LAYOUTS,
    MAXWELEM,
    NUMBERS,
    QID,
    Qid,
    Rerror,
    Ropen,
    Rread,
    Rstat,
    Rwalk,
    Rwrite,
    Stat,
)

_RERROR = LAYOUTS[Rerror].head
_RWALK = LAYOUTS[Rwalk].head
_RWALKS = [Struct(_RWALK.format + QID.format[1:] * n) for n in range(MAXWELEM + 1)]
_ROPEN = LAYOUTS[Ropen].head
_RREAD = LAYOUTS[Rread].head
_RWRITE = LAYOUTS[Rwrite].head
_RSTAT = LAYOUTS[Rstat].head

_NERROR = NUMBERS[Rerror]
_NWALK = NUMBERS[Rwalk]
_NOPEN = NUMBERS[Ropen]
_NREAD = NUMBERS[Rread]
_NWRITE = NUMBERS[Rwrite]
_NSTAT = NUMBERS[Rstat]

_SIZE_OPEN = _ROPEN.size
_SIZE_READ = _RREAD.size
_SIZE_WRITE = _RWRITE.size


def empty(tag: int, cls: type) -> bytes:
    """Return a reply of no fields, such as Rclunk."""
    return HEADER.pack(HEADER.size, NUMBERS[cls], tag)


def rerror(tag: int, text: str, msize: int) -> bytes:
    """Return Rerror, its text cut where msize demands; intro(5)."""
    octets = (text or EIO).replace("\0", "").encode(errors="replace")
    room = min(msize, 0xFFFF) - _RERROR.size
    if len(octets) > room:
        octets = octets[:room].decode(errors="ignore").encode()
    size = _RERROR.size + len(octets)
    return _RERROR.pack(size, _NERROR, tag, len(octets)) + octets


def rwalk(tag: int, flat: list[int]) -> bytes:
    """Return Rwalk of the qids given as their integers, one after another."""
    count = len(flat) // 3
    layout = _RWALKS[count]
    return layout.pack(layout.size, _NWALK, tag, count, *flat)


def ropen(tag: int, qid: Qid, iounit: int) -> bytes:
    """Return Ropen."""
    (kind, vers, path) = qid
    return _ROPEN.pack(_SIZE_OPEN, _NOPEN, tag, kind, vers, path, iounit)


def rread_head(tag: int, count: int) -> bytes:
    """Return Rread up to its data of count octets."""
    return _RREAD.pack(_SIZE_READ + count, _NREAD, tag, count)


def rwrite(tag: int, count: int, taken: int) -> bytes:
    """Return Rwrite.  Raises ValueError if a File took more than the count."""
    if not 0 <= taken <= count:
        raise ValueError(f"write of {count} octets answered with {taken}")
    return _RWRITE.pack(_SIZE_WRITE, _NWRITE, tag, taken)


def rstat(tag: int, msize: int, stat: Stat) -> bytes:
    """Return Rstat.  Raises Refused if it would be longer than msize; intro(5)."""
    octets = stat.pack()
    size = _RSTAT.size + len(octets)
    if size > msize:
        raise Refused("directory entry too long for a message")
    return _RSTAT.pack(size, _NSTAT, tag, len(octets)) + octets


def refusal(error: MailfsError | OSError) -> str:
    """Return the text of an Rerror for what a File raised."""
    return reason(error) if isinstance(error, OSError) else str(error)
