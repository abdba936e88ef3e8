"""Opening files that others may have replaced by something else.

A FIFO waits for its other end, a device does what devices do, a directory cannot be
read, a link leads where its maker wants: none of them is a mailbox, a lock, a journal
or a list.  What is opened here is a regular file, or an error at once.

Only a hung network file system can still make the caller wait, so nothing here is
called on an event loop.
"""

import errno
import os
import stat
from collections.abc import Collection

NOT_REGULAR = "not a regular file"


class NotRegular(OSError):
    """Something else than a regular file is there."""

    def __init__(self, path: str | bytes | os.PathLike[str]) -> None:
        super().__init__(errno.ENODEV, NOT_REGULAR, os.fspath(path))


def open_regular(
    path: str | os.PathLike[str],
    flags: int = os.O_RDONLY,
    mode: int = 0o600,
    *,
    follow: bool = False,
    owners: Collection[int] | None = None,
    dir_fd: int | None = None,
) -> int:
    """Open a regular file and return its descriptor, which is closed on exec.

    flags are those of open(2); a new file gets mode, less the umask.  follow allows the
    last element of path to be a symbolic link; owners, if given, are the user ids whose
    files are believed.  A path is taken from the directory dir_fd, if that is given.

    Raises NotRegular for anything but a regular file, PermissionError for a file of
    another owner, FileNotFoundError and the like as open(2).  A FIFO or a device is not
    opened at all, unless somebody puts it there at that moment: then without waiting.
    """
    try:
        found = os.stat(path, dir_fd=dir_fd, follow_symlinks=follow)
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
    else:
        _check(path, found, owners)
    safe = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    if not follow:
        safe |= os.O_NOFOLLOW
    late = flags & os.O_TRUNC  # not before it is known whose file it is
    try:
        fd = os.open(path, flags & ~os.O_TRUNC | safe, mode, dir_fd=dir_fd)
    except OSError as e:
        if e.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise NotRegular(path) from e
        raise
    try:
        _check(path, os.fstat(fd), owners)
        if late:
            os.ftruncate(fd, 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_regular(
    path: str | os.PathLike[str],
    limit: int,
    *,
    follow: bool = False,
    owners: Collection[int] | None = None,
) -> bytes:
    """Return at most limit octets of a regular file; as open_regular otherwise."""
    fd = open_regular(path, follow=follow, owners=owners)
    with open(fd, "rb") as f:
        return f.read(limit)


def _check(
    path: str | os.PathLike[str], st: os.stat_result, owners: Collection[int] | None
) -> None:
    if not stat.S_ISREG(st.st_mode):
        raise NotRegular(path)
    if owners is not None and st.st_uid not in owners:
        raise PermissionError(
            errno.EACCES, f"owner is user {st.st_uid}", os.fspath(path)
        )
