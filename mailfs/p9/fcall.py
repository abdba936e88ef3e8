"""The messages of 9P2000: each declared once, encoded, decoded and printed from that.

Values are NamedTuples: immutable, slotted, and made from struct.unpack's tuple with
no work between (28 dataclasses cost a client's start 15 ms, these cost 2 ms).
Nothing here does input or output.  Source: intro(5) and the pages it names.
"""

import struct
from collections.abc import Iterator
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple

from mailfs.p9.layout import MAXWELEM as MAXWELEM
from mailfs.p9.layout import U8, U16, U32, U64, Data, Layout, encode_text
from mailfs.p9.layout import FormatError as FormatError

VERSION = "9P2000"
NOTAG = 0xFFFF
NOFID = 0xFFFFFFFF
IOHDRSZ = 24  # octets set aside for the header of Twrite or Rread; fcall(2)

QTDIR = 0x80
QTAPPEND = 0x40
QTEXCL = 0x20
QTAUTH = 0x08
QTTMP = 0x04
QTFILE = 0x00

DMDIR = 0x80000000
DMAPPEND = 0x40000000
DMEXCL = 0x20000000
DMAUTH = 0x08000000
DMTMP = 0x04000000

OREAD = 0
OWRITE = 1
ORDWR = 2
OEXEC = 3
OTRUNC = 0x10
OCEXEC = 0x20  # close on exec: a client's own affair, ignored by servers
ORCLOSE = 0x40


class Qid(NamedTuple):
    """The server's identity for a file; intro(5)."""

    type: U8
    vers: U32
    path: U64

    def __str__(self) -> str:
        marks = zip((QTDIR, QTAPPEND, QTEXCL, QTAUTH), "dalA", strict=True)
        kind = "".join(letter for bit, letter in marks if self.type & bit)
        return f"({self.path:016x} {self.vers} {kind})"


class Stat(NamedTuple):
    """A directory entry; times are seconds since the epoch, length octets; stat(5)."""

    type: U16
    dev: U32
    qid: Qid
    mode: U32
    atime: U32
    mtime: U32
    length: U64
    name: str
    uid: str
    gid: str
    muid: str

    def pack(self) -> bytes:
        """Return the entry as a directory holds it, size[2] included.

        Raises FormatError if a value does not fit.
        """
        name = encode_text(self.name)
        rest = owners(self.uid, self.gid, self.muid)
        (qtype, vers, path) = self.qid
        try:
            return ENTRY.pack(
                _ENTRY_SIZE + len(name) + len(rest),
                self.type,
                self.dev,
                qtype,
                vers,
                path,
                self.mode,
                self.atime,
                self.mtime,
                self.length,
                len(name),
            ) + b"".join((name, rest))
        except struct.error as e:
            raise FormatError(f"Stat: {e}") from None

    def __str__(self) -> str:
        return (
            f"'{self.name}' '{self.uid}' '{self.gid}' '{self.muid}' q {self.qid} "
            f"m {self.mode:#o} at {self.atime} mt {self.mtime} l {self.length} "
            f"t {self.type} d {self.dev}".replace("m 0o", "m 0", 1)
        )


@lru_cache(maxsize=256)
def owners(uid: str, gid: str, muid: str) -> bytes:
    """Return the last three fields of a directory entry, packed."""
    octets = [encode_text(name) for name in (uid, gid, muid)]
    if max(map(len, octets)) > 0xFFFF:
        raise FormatError("Stat: owner's name too long")
    return b"".join(len(o).to_bytes(2, "little") + o for o in octets)


class Tversion(NamedTuple):
    """Begin a session; version(5)."""

    msize: U32
    version: str


class Rversion(NamedTuple):
    """The session's message size and protocol; version(5)."""

    msize: U32
    version: str


class Tauth(NamedTuple):
    """Make afid a file to authenticate through; attach(5)."""

    afid: U32
    uname: str
    aname: str


class Rauth(NamedTuple):
    """The authentication file's qid; attach(5)."""

    aqid: Qid


class Tattach(NamedTuple):
    """Make fid the root of the tree aname; attach(5)."""

    fid: U32
    afid: U32
    uname: str
    aname: str


class Rattach(NamedTuple):
    """The root's qid; attach(5)."""

    qid: Qid


class Rerror(NamedTuple):
    """A refusal; error(5)."""

    ename: str


class Tflush(NamedTuple):
    """Abort the request oldtag; flush(5)."""

    oldtag: U16


class Rflush(NamedTuple):
    """The tag flushed is free; flush(5)."""


class Twalk(NamedTuple):
    """Make newfid what the names lead to from fid; walk(5)."""

    fid: U32
    newfid: U32
    wname: tuple[str, ...]


class Rwalk(NamedTuple):
    """The qids of the names walked; walk(5)."""

    wqid: tuple[Qid, ...]


class Topen(NamedTuple):
    """Prepare fid for input and output; open(5)."""

    fid: U32
    mode: U8


class Ropen(NamedTuple):
    """The opened file's qid and its atomic unit in octets; open(5)."""

    qid: Qid
    iounit: U32


class Tcreate(NamedTuple):
    """Make a file in the directory fid, and open it as fid; open(5)."""

    fid: U32
    name: str
    perm: U32
    mode: U8


class Rcreate(NamedTuple):
    """The new file's qid and its atomic unit in octets; open(5)."""

    qid: Qid
    iounit: U32


class Tread(NamedTuple):
    """Ask for count octets at offset; read(5)."""

    fid: U32
    offset: U64
    count: U32  # type: ignore[assignment]  # hides tuple.count


class Rread(NamedTuple):
    """The octets read; read(5)."""

    data: Data


class Twrite(NamedTuple):
    """Put data at offset; read(5)."""

    fid: U32
    offset: U64
    data: Data


class Rwrite(NamedTuple):
    """How many octets were taken; read(5)."""

    count: U32  # type: ignore[assignment]  # hides tuple.count


class Tclunk(NamedTuple):
    """Forget fid; clunk(5)."""

    fid: U32


class Rclunk(NamedTuple):
    """The fid is free; clunk(5)."""


class Tremove(NamedTuple):
    """Remove the file and forget fid; remove(5)."""

    fid: U32


class Rremove(NamedTuple):
    """The file is gone and the fid free; remove(5)."""


class Tstat(NamedTuple):
    """Ask for the directory entry; stat(5)."""

    fid: U32


class Rstat(NamedTuple):
    """The directory entry; stat(5)."""

    stat: Stat


class Twstat(NamedTuple):
    """Change what stat does not leave alone; stat(5)."""

    fid: U32
    stat: Stat


class Rwstat(NamedTuple):
    """All changes were made; stat(5)."""


Request = (
    Tversion
    | Tauth
    | Tattach
    | Tflush
    | Twalk
    | Topen
    | Tcreate
    | Tread
    | Twrite
    | Tclunk
    | Tremove
    | Tstat
    | Twstat
)
Reply = (
    Rversion
    | Rauth
    | Rattach
    | Rerror
    | Rflush
    | Rwalk
    | Ropen
    | Rcreate
    | Rread
    | Rwrite
    | Rclunk
    | Rremove
    | Rstat
    | Rwstat
)
Fcall = Request | Reply

# There is no Terror, 106.
TYPES: dict[int, type[Any]] = {
    100: Tversion,
    101: Rversion,
    102: Tauth,
    103: Rauth,
    104: Tattach,
    105: Rattach,
    107: Rerror,
    108: Tflush,
    109: Rflush,
    110: Twalk,
    111: Rwalk,
    112: Topen,
    113: Ropen,
    114: Tcreate,
    115: Rcreate,
    116: Tread,
    117: Rread,
    118: Twrite,
    119: Rwrite,
    120: Tclunk,
    121: Rclunk,
    122: Tremove,
    123: Rremove,
    124: Tstat,
    125: Rstat,
    126: Twstat,
    127: Rwstat,
}
NUMBERS: dict[type[Any], int] = {cls: number for number, cls in TYPES.items()}

HEADER = Struct("<IBH")  # size[4] type[1] tag[2]
LAYOUTS: dict[type[Any], Layout[Any]] = {
    cls: Layout(cls, HEADER.format[1:]) for cls in TYPES.values()
}

_STAT = Layout(Stat, "H")
ENTRY = _STAT.head  # size[2] and the fields up to the name's octets
_ENTRY_SIZE = _STAT.body.size
QID = Layout(Qid).body

# What leaves a field alone in Twstat; stat(5).
NOTOUCH = Stat(
    type=0xFFFF,
    dev=0xFFFFFFFF,
    qid=Qid(0xFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF),
    mode=0xFFFFFFFF,
    atime=0xFFFFFFFF,
    mtime=0xFFFFFFFF,
    length=0xFFFFFFFFFFFFFFFF,
    name="",
    uid="",
    gid="",
    muid="",
)


def pack(tag: int, msg: Fcall) -> bytes:
    """Encode a whole message, size[4] included.

    Raises FormatError if a value does not fit its field.
    """
    body = LAYOUTS[type(msg)].encode(msg)
    return HEADER.pack(HEADER.size + len(body), NUMBERS[type(msg)], tag) + body


def unpack(frame: bytes) -> tuple[int, Fcall]:
    """Decode one whole message, size[4] included, into (tag, message).

    Raises FormatError if the type is unknown or any count disagrees with the frame.
    Source: intro(5).
    """
    if len(frame) < HEADER.size:
        raise FormatError("message shorter than its header")
    size, number, tag = HEADER.unpack_from(frame)
    if size != len(frame):
        raise FormatError("message is not as long as it says")
    cls = TYPES.get(number)
    if cls is None:
        raise FormatError(f"message type {number} is unknown")
    return tag, LAYOUTS[cls].decode(frame, HEADER.size, size)


def unpack_stats(data: bytes) -> Iterator[Stat]:
    """Give the directory entries in what was read from a directory; read(5).

    Raises FormatError where the octets are not whole entries.
    """
    pos = 0
    while pos < len(data):
        end = pos + 2 + int.from_bytes(data[pos : pos + 2], "little")
        if end > len(data):
            raise FormatError("directory entry cut short")
        yield _STAT.decode_sized(data, pos, end)
        pos = end


SHOWN = 32  # octets of data in a trace line


def show(tag: int, msg: Fcall) -> str:
    """Return one line for traces: ``Tread tag 1 fid 2 offset 0 count 512``."""
    words = [type(msg).__name__, "tag", str(tag)]
    for field, value in zip(msg._fields, msg, strict=True):
        words.append(field)
        if isinstance(value, bytes):
            words += (str(len(value)), repr(value[:SHOWN])[1:])
        elif isinstance(value, tuple) and not isinstance(value, Qid | Stat):
            words += (str(len(value)), *map(_show, value))
        else:
            words.append(_show(value))
    return " ".join(words)


def _show(value: object) -> str:
    return repr(value) if isinstance(value, str) else str(value)
