"""What errno a refusal is: the texts that 9P servers use, and what Linux says for them.

A text is looked up whole, as Linux's own 9P client does it, and then by its parts, as
plan9port's 9pfuse does it.  Servers on Unix give the system's own words.
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


def errno_of(error: MailfsError) -> int:
    """Return the errno of a refusal; EIO where its text says nothing that we know."""
    if not isinstance(error, Refused):
        return errno.EIO  # the line is lost, or the server makes no sense
    text = str(error).strip().lower()
    if text in _WHOLE:
        return _WHOLE[text]
    return next((number for part, number in _PARTS if part in text), errno.EIO)
