"""The errno of a refusal: the texts of 9P servers, and what Unix calls the same.

A text is looked up whole, as Linux's own 9P client does it, and then by its parts, as
plan9port's 9pfuse does it.  Servers on Unix give the system's own words.

Linux's client knows whole texts only, those of net/9p/error.c; all others are its
"Unknown error 526".  So a client that offers a dialect of Unix (9P2000.u, 9P2000.L) is
told the system's words, which that table has.
"""

import errno
import os

from mailfs import errors
from mailfs.errors import MailfsError, Refused
from mailfs.p9 import errstr

_SYSTEM = {os.strerror(number): number for number in errno.errorcode}
_OURS = {
    errors.EPERM: errno.EACCES,
    errors.ENOENT: errno.ENOENT,
    errors.ENOTDIR: errno.ENOTDIR,
    errors.EISDIR: errno.EISDIR,
    errors.EEXIST: errno.EEXIST,
    errors.EIO: errno.EIO,
    errors.EROFS: errno.EROFS,
    errors.EGONE: errno.ENOENT,
    errors.ENOTEMPTY: errno.ENOTEMPTY,
    errors.EFBIG: errno.EFBIG,
    errors.EFULL: errno.ENOSPC,
    errors.EINUSE: errno.EBUSY,
    errstr.EWSTAT: errno.EPERM,
    errstr.ESTAT: errno.EINVAL,
    errstr.EAUTH: errno.EACCES,
    errstr.ENOAUTH: errno.EINVAL,
    errstr.EPROTO: errno.EPROTO,
    "phase error": errno.EPIPE,
    "not implemented": errno.ENOSYS,
}
_WHOLE = {text.lower(): number for text, number in (_SYSTEM | _OURS).items()}

# Parts of a text, in the order they are tried.
_PARTS = (
    ("permission denied", errno.EACCES),
    ("does not exist", errno.ENOENT),
    ("not found", errno.ENOENT),
    ("no such", errno.ENOENT),
    ("not served", errno.ENOENT),
    ("prohibited", errno.EACCES),
    ("not empty", errno.ENOTEMPTY),
    ("already exists", errno.EEXIST),
    ("in use", errno.EBUSY),
    ("already open", errno.EBUSY),
    ("not a directory", errno.ENOTDIR),
    ("is a directory", errno.EISDIR),
    ("read only", errno.EROFS),
    ("read-only", errno.EROFS),
    ("is full", errno.ENOSPC),
    ("no space", errno.ENOSPC),
    ("name too long", errno.ENAMETOOLONG),
    ("too large", errno.EFBIG),
    ("too many", errno.EAGAIN),
    ("can't lock", errno.EAGAIN),
    ("not supported", errno.EOPNOTSUPP),
    ("timed out", errno.ETIMEDOUT),
    ("interrupted", errno.EINTR),
    ("not allowed", errno.EINVAL),
    ("unknown", errno.EINVAL),
    ("illegal", errno.EINVAL),
    ("invalid", errno.EINVAL),
    ("bad ", errno.EINVAL),
)


# In the C library's words, whatever the locale; the kernel's table has the same.
WORDS = {
    errno.EPERM: "Operation not permitted",
    errno.ENOENT: "No such file or directory",
    errno.EINTR: "Interrupted system call",
    errno.EIO: "Input/output error",
    errno.EBADF: "Bad file descriptor",
    errno.EAGAIN: "Resource temporarily unavailable",
    errno.ENOMEM: "Cannot allocate memory",
    errno.EACCES: "Permission denied",
    errno.EBUSY: "Device or resource busy",
    errno.EEXIST: "File exists",
    errno.EXDEV: "Invalid cross-device link",
    errno.ENOTDIR: "Not a directory",
    errno.EISDIR: "Is a directory",
    errno.EINVAL: "Invalid argument",
    errno.EFBIG: "File too large",
    errno.ENOSPC: "No space left on device",
    errno.EROFS: "Read-only file system",
    errno.EPIPE: "Broken pipe",
    errno.ENAMETOOLONG: "File name too long",
    errno.ENOSYS: "Function not implemented",
    errno.ENOTEMPTY: "Directory not empty",
    errno.EOPNOTSUPP: "Operation not supported",
    errno.ETIMEDOUT: "Connection timed out",
    errno.EDQUOT: "Disk quota exceeded",
    errno.EPROTO: "Protocol error",
    errno.ECONNREFUSED: "Connection refused",
    errno.EHOSTUNREACH: "No route to host",
}


# Texts of ours that Linux's table has, and means as we do.
KNOWN = frozenset(WORDS.values()) | {
    *(errors.EPERM, errors.ENOENT, errors.ENOTDIR, errors.EEXIST, errors.EIO),
    *(errors.EROFS, errors.ENOTEMPTY, errors.EFULL, errors.EFBIG),
    *(errstr.EBADFID, errstr.EFIDUSE, errstr.EOPEN, errstr.EBADUSE, errstr.EOFFSET),
    *(errstr.EDIROFFSET, errstr.EMODE, errstr.ECOUNT, errstr.EWSTAT, errstr.ESTAT),
    errstr.EPROTO,
}


def words(text: str) -> str:
    """Translate a server's error text for Linux, whose table has few."""
    return text if text in KNOWN else WORDS.get(_number(text), WORDS[errno.EIO])


def errno_of(error: MailfsError) -> int:
    """Find the errno of a refusal; EIO where its text says nothing that we know."""
    if not isinstance(error, Refused):
        return errno.EIO  # the line is lost, or the server makes no sense
    return _number(str(error))


def _number(text: str) -> int:
    text = text.strip().lower()
    if text in _WHOLE:
        return _WHOLE[text]
    return next((number for part, number in _PARTS if part in text), errno.EIO)
