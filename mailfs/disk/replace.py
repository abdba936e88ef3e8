"""Files replaced whole, or not at all: temp, fsync, rename, fsync of the directory.

A temp lies in the directory of the file it will replace and has a name that says
who made it (lock.unique), so what a killed process left can be told and removed.
"""

import ctypes
import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mailfs.disk import holder, lock

PIECE = 8 << 20  # octets copied at once: a system call, with the GIL released
_BUFFER = 1 << 20  # octets read at once where the kernel cannot copy
_FOREIGN_AGE = 86400.0  # seconds after which another host's temp is nobody's
_NO_COPY = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF)
_OURS = re.compile(r"\.mailfs-([a-z]+)([-\d]*)\.(.+)\.(\d{1,9})\.(\d+)\Z")


def sync_dir(path: str) -> None:
    """Put a directory's entries on disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as e:
        if e.errno != errno.EINVAL:  # file systems whose directories do not sync
            raise
    finally:
        os.close(fd)


def sync_all(path: str) -> None:
    """Put everything of the file system of a directory on disk; for many files."""
    libc: Any = ctypes.CDLL(None, use_errno=True)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not hasattr(libc, "syncfs"):
            os.sync()
        elif libc.syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write every octet; write(2) may take fewer."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def pread_all(fd: int, count: int, offset: int) -> bytes:
    """Return count octets from offset, fewer only at the end of the file."""
    data = os.pread(fd, count, offset)
    while data and len(data) < count:
        more = os.pread(fd, count - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


def copy(
    source: int, start: int, end: int, to: int, tick: Callable[[], None] = lambda: None
) -> None:
    """Append octets [start, end) of source to the file at to's position.

    tick is called between pieces.  Raises OSError (EIO) if source ends early.
    """
    kernel = hasattr(os, "copy_file_range")
    while start < end:
        tick()
        if kernel:
            try:
                n = os.copy_file_range(source, to, min(PIECE, end - start), start)
            except OSError as e:
                if e.errno not in _NO_COPY:
                    raise
                kernel = False
                continue
        else:
            data = os.pread(source, min(_BUFFER, end - start), start)
            write_all(to, data)
            n = len(data)
        if n == 0:
            raise OSError(errno.EIO, "file became shorter while being copied")
        start += n


def create_like(path: str, st: os.stat_result) -> int:
    """Create a file with the owner and permissions in st; open for both ways.

    Raises PermissionError, with nothing made, if the owner cannot be given.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        own = os.fstat(fd)
        if (own.st_uid, own.st_gid) != (st.st_uid, st.st_gid):
            os.fchown(fd, st.st_uid, st.st_gid)
        os.fchmod(fd, stat.S_IMODE(st.st_mode))
    except BaseException:
        os.close(fd)
        os.unlink(path)
        raise
    return fd


class Steps:
    """What replacing a file asks of the system; a test can make each step fail."""

    def sync(self, fd: int) -> None:
        """Put a file's octets on disk."""
        os.fsync(fd)

    def rename(self, temp: str, path: str) -> None:
        """Give the new file the name of the old one."""
        os.rename(temp, path)

    def link(self, temp: str, path: str) -> None:
        """Give the new file a name that nobody has."""
        os.link(temp, path)

    def sync_dir(self, path: str) -> None:
        """Put a directory's entries on disk."""
        sync_dir(path)


STEPS = Steps()


@contextmanager
def replacing(
    path: str,
    mode: int = 0o600,
    *,
    exact: bool = False,
    like: bool = True,
    steps: Steps = STEPS,
) -> Iterator[int]:
    """Yield a descriptor whose content becomes the file path when the block ends.

    Owner and mode are those of the file replaced, unless like is false; a new one gets
    mode, and so does any if exact, whatever the umask.  If the block raises, or the
    disk is full, the old file is untouched and the temp removed.
    """
    temp = lock.unique(path, "tmp")
    fd = _temp(temp, path if like else None, mode)
    try:
        try:
            yield fd
            if exact:
                os.fchmod(fd, mode)
            steps.sync(fd)
            steps.rename(temp, path)
        finally:
            lock.close(fd)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temp)
        raise
    steps.sync_dir(os.path.dirname(path) or ".")


def _temp(temp: str, model: str | None, mode: int) -> int:
    """Create a temp; with the owner and permissions of model, if that is there."""
    if model is not None:
        with suppress(FileNotFoundError):
            return create_like(temp, os.stat(model))
    return os.open(temp, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)


def replace(
    path: Path, data: bytes, mode: int = 0o600, *, steps: Steps = STEPS
) -> None:
    """Put data in the place of the file path, which gets exactly that mode.

    On disk when it returns; a symbolic link stays one, its target is replaced.
    """
    with replacing(str(path.resolve()), mode, exact=True, steps=steps) as fd:
        write_all(fd, data)


def create(path: Path, data: bytes, mode: int = 0o600, *, steps: Steps = STEPS) -> bool:
    """Make the file path with data and exactly that mode, whole or not at all.

    False, with nothing changed, if something has that name.  On disk when it returns.
    """
    temp = lock.unique(str(path), "tmp")
    fd = _temp(temp, None, mode)
    try:
        try:
            write_all(fd, data)
            os.fchmod(fd, mode)
            steps.sync(fd)
        finally:
            lock.close(fd)
        give_name(temp, str(path), steps=steps)
    except FileExistsError:
        return False
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temp)
    steps.sync_dir(os.path.dirname(path) or ".")
    return True


def create_fresh(path: str, mode: int) -> int:
    """Create a file with exactly that mode, whatever the umask; open for both ways.

    Raises FileExistsError.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, mode)
    try:
        os.fchmod(fd, mode)
    except BaseException:
        os.close(fd)
        raise
    return fd


def write_fresh(path: str, data: bytes, mode: int, *, steps: Steps = STEPS) -> int:
    """Make a file with data and exactly that mode, on disk, and keep it open.

    One of that name, left by a process that was killed, goes.  The caller gives it the
    name that counts, and syncs the directory.
    """
    with suppress(FileNotFoundError):
        os.unlink(path)
    fd = create_fresh(path, mode)
    try:
        write_all(fd, data)
        steps.sync(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def give_name(temp: str, name: str, *, steps: Steps = STEPS) -> None:
    """Rename a file unless the name is taken; raises FileExistsError then."""
    try:
        steps.link(temp, name)
    except OSError as e:
        if e.errno not in lock.NO_LINK:
            raise
        # Without hard links an empty file takes the name, and is then replaced.
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
        steps.rename(temp, name)
    else:
        os.unlink(temp)


def orphans(path: str) -> Iterator[tuple[str, str, str]]:
    """Find what dead processes left beside path: (what, numbers, file's path).

    What and numbers are from the name: ``tmp``, ``lock``, ``old``.
    """
    folder, base = os.path.split(path)
    prefix = f".{base}.mailfs-"
    for name in os.listdir(folder or "."):
        if not name.startswith(prefix):
            continue
        m = _OURS.fullmatch(name, len(base) + 1)
        found = os.path.join(folder, name)
        if m is not None and _orphan(found, m[3], int(m[4])):
            yield m[1], m[2], found


def _orphan(path: str, host: str, pid: int) -> bool:
    try:
        touched = os.lstat(path).st_ctime  # mtime may be the message's date
    except FileNotFoundError:
        return False
    if host == holder.host():
        return holder.dead(pid, touched)
    return time.time() - touched > _FOREIGN_AGE


def sweep(path: str) -> None:
    """Remove the temps dead processes left beside path."""
    for what, _, found in list(orphans(path)):
        if what != "old":
            with suppress(OSError):
                os.unlink(found)
