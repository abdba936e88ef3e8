"""The messages of Linux's FUSE device, as far as a mount of 9P needs them.

Integers are in the machine's own order.  A request is a header and, by its opcode, a
struct, a name, or both; a reply is a header with a negative errno, and what was asked
for.  Nothing here does input or output.  Source: fuse(4), linux/fuse.h.
"""

from enum import IntEnum, IntFlag
from struct import Struct
from typing import NamedTuple

MAJOR = 7
MINOR = 38  # what we know of; the kernel gives way to the older
OLDEST = 31  # Linux 5.4: readdirplus and long reads are there by then
ROOT = 1  # the node that is not looked up
NAME_MAX = 1024  # octets; the kernel refuses a listing with a longer name
PAGE = 4096  # octets; what max_pages in the answer to INIT counts

REQUEST = Struct("=IIQQIIIHH")  # len opcode unique nodeid uid gid pid extlen padding
REPLY = Struct("=IiQ")  # len error unique

INIT_IN = Struct("=IIIII")  # major minor max_readahead flags flags2
INIT_OUT = Struct("=IIIIHHIIHHIHH24x")
INTERRUPT_IN = Struct("=Q")
FORGET_IN = Struct("=Q")
BATCH_IN = Struct("=II")
FORGET_ONE = Struct("=QQ")
GETATTR_IN = Struct("=IIQ")
SETATTR_IN = Struct("=IIQQQQQQIIIIIIII")
OPEN_IN = Struct("=II")
OPEN_OUT = Struct("=QII")
CREATE_IN = Struct("=IIII")
MKDIR_IN = Struct("=II")
RENAME_IN = Struct("=Q")
RENAME2_IN = Struct("=QII")
READ_IN = Struct("=QQIIQII")
WRITE_IN = Struct("=QQIIQII")
WRITE_OUT = Struct("=II")
RELEASE_IN = Struct("=QIIQ")
FSYNC_IN = Struct("=QII")
ACCESS_IN = Struct("=II")

ATTR = Struct("=QQQQQQIIIIIIIIII")
ATTR_OUT = Struct("=QII")  # valid, nanoseconds, padding; ATTR follows
ENTRY_OUT = Struct("=QQQQII")  # nodeid generation, both valids; ATTR follows
DIRENT = Struct("=QQII")  # ino off namelen type; the name follows, padded to 8
DIRENTPLUS = Struct(ENTRY_OUT.format + ATTR.format[1:] + DIRENT.format[1:])
STATFS_OUT = Struct("=QQQQQIIII24x")
INVAL_ENTRY = Struct("=QII")  # parent namelen flags; the name and a NUL follow

STORE = Struct("=QQII")  # nodeid offset size padding; the octets follow

NOTIFY_INVAL_ENTRY = 3
NOTIFY_STORE = 4
EXPIRE_ONLY = 1
GETATTR_FH = 1  # asked by an open file, as lseek(2) does that seeks the end


class Op(IntEnum):
    """What the kernel asks."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    ACCESS = 34
    CREATE = 35
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42
    READDIRPLUS = 44
    RENAME2 = 45


class Init(IntFlag):
    """What kernel and server can agree on in INIT."""

    ASYNC_READ = 1 << 0
    ATOMIC_O_TRUNC = 1 << 3
    BIG_WRITES = 1 << 5
    DO_READDIRPLUS = 1 << 13
    READDIRPLUS_AUTO = 1 << 14
    PARALLEL_DIROPS = 1 << 18
    MAX_PAGES = 1 << 22
    INIT_EXT = 1 << 30
    HAS_EXPIRE_ONLY = 1 << 35
    DIRECT_IO_ALLOW_MMAP = 1 << 36


class Valid(IntFlag):
    """Which fields of SETATTR are meant."""

    MODE = 1 << 0
    UID = 1 << 1
    GID = 1 << 2
    SIZE = 1 << 3
    ATIME = 1 << 4
    MTIME = 1 << 5
    FH = 1 << 6
    ATIME_NOW = 1 << 7
    MTIME_NOW = 1 << 8


class Fopen(IntFlag):
    """How the kernel is to treat an open file."""

    DIRECT_IO = 1 << 0
    KEEP_CACHE = 1 << 1
    NONSEEKABLE = 1 << 2


class Request(NamedTuple):
    """One request; body is what follows the header."""

    op: int
    unique: int
    node: int
    pid: int
    body: bytes


def request(frame: bytes) -> Request:
    """Take a whole request, header included, apart."""
    _, op, unique, node, _, _, pid, _, _ = REQUEST.unpack_from(frame)
    return Request(op, unique, node, pid, frame[REQUEST.size :])


def name(body: bytes, start: int = 0) -> bytes:
    """Read the name that begins at start and ends with a NUL."""
    return body[start : body.index(b"\0", start)]


def padding(octets: int) -> bytes:
    """Make the padding up to a multiple of 8."""
    return bytes(-octets % 8)
