"""The errors every layer shares, and the texts that clients match.

MailfsError
    Refused          an operation refused; a 9P client gets the text as Rerror
    UsageError       a command line that cannot be meant

A text below is interface: Linux v9fs looks error texts up whole in a fixed table
(net/9p/error.c), plan9port's 9pfuse by substring, 9front's clients by substring.
"""

import errno
import os


class MailfsError(Exception):
    """An error whose text is one line, fit for a person to read."""


class Refused(MailfsError):
    """An operation refused, in words that reach the client as they stand; error(5)."""


class UsageError(MailfsError):
    """Arguments that cannot be meant; the command exits with status 1."""


EPERM = "permission denied"
ENOENT = "file does not exist"
ENOTDIR = "not a directory"
EISDIR = "Is a directory"
EEXIST = "file already exists"
EIO = "i/o error"
EROFS = "read only file system"
EGONE = "file has been removed"
ENOTEMPTY = "directory is not empty"
ENAME = "illegal name"
EFBIG = "file too big"
EFULL = "file system is full"
EINUSE = "file is in use"
EINVAL = "Invalid argument"

# Control messages and specs; upasfs(4).
ECTL = "unknown control message"
EARGS = "invalid arguments"
ESLASH = "/ not allowed in mailbox name"
EBOXNAME = "bad mbox name"
EBOXUSE = "mbox name in use"
ENOBOX = "no such mailbox"
ENOMSG = "no such message"
ECONTROL = "bad control message"
ENOTSERVED = "path not served by this file server"
ENOMOVE = "move not supported"
ENORENAME = "rename not supported"
EFLAGS = "bad flags"
EFLAG = "bad flag"
ELOCK = "can't lock mailbox"
EBOXGONE = "mailbox not found"
ENONET = "network mailboxes are not served here"

_ERRNO = {
    errno.EPERM: EPERM,
    errno.EACCES: EPERM,
    errno.ENOENT: ENOENT,
    errno.ENOTDIR: ENOTDIR,
    errno.EISDIR: EISDIR,
    errno.EEXIST: EEXIST,
    errno.EIO: EIO,
    errno.EROFS: EROFS,
    errno.ENOSPC: EFULL,
    errno.EDQUOT: EFULL,
    errno.EBUSY: EINUSE,
    errno.ENOTEMPTY: ENOTEMPTY,
    errno.EFBIG: EFBIG,
    errno.EINVAL: EINVAL,
}


def reason(err: OSError) -> str:
    """Return the 9P text for a system error: ours where one exists, else strerror.

    The result is one line and never contains a path.
    """
    known = _ERRNO.get(err.errno or 0)
    if known:
        return known
    text = err.strerror or str(err)
    if err.errno and text == os.strerror(err.errno):
        return text.lower()
    return text or EIO
