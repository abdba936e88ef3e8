"""Files replaced whole, or not at all: temp, fsync, rename, fsync of the directory.

A temp lies in the directory of the file it will replace and has a name that says
who made it (lock.unique), so what a killed process left can be told and removed.
"""

import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mailfs.disk import lock

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


@contextmanager
def replacing(path: str, mode: int = 0o600, *, exact: bool = False) -> Iterator[int]:
    """Yield a descriptor whose content becomes the file path when the block ends.

    Owner and mode are those of the file replaced; a new one gets mode, and so does any
    if exact, whatever the umask.  If the block raises, or the disk is full, the old
    file is untouched and the temp removed.
    """
    temp = lock.unique(path, "tmp")
    try:
        fd = create_like(temp, os.stat(path))
    except FileNotFoundError:
        fd = os.open(temp, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        yield fd
        if exact:
            os.fchmod(fd, mode)
        os.fsync(fd)
        os.rename(temp, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temp)
        raise
    finally:
        lock.close(fd)
    sync_dir(os.path.dirname(path) or ".")


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put data in the place of the file path, which gets exactly that mode.

    On disk when it returns; a symbolic link stays one, its target is replaced.
    """
    with replacing(str(path.resolve()), mode, exact=True) as fd:
        write_all(fd, data)


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
    if host == lock.host():
        return pid != os.getpid() and lock.dead(pid)
    try:
        return time.time() - os.stat(path).st_mtime > _FOREIGN_AGE
    except FileNotFoundError:
        return False


def sweep(path: str) -> None:
    """Remove the temps dead processes left beside path."""
    for what, _, found in list(orphans(path)):
        if what != "old":
            with suppress(OSError):
                os.unlink(found)
