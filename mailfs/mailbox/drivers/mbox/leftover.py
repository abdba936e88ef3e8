"""Mailbox files that were replaced while others may still append to them.

A deliverer that knows only fcntl may have opened the mailbox before it was replaced,
wait for our lock, and then append to a file that has no name any more.  So a replaced
file keeps a second name, ``.BASE.mailfs-old-END.HOST.PID.N``, until nobody has it open
for writing; what is appended behind END is carried into the mailbox.  After a crash
the name is found by the next who opens the mailbox.

Before octets are carried the name becomes ``old-END-AT``: they go to offset AT of the
mailbox.  So it can be told whether a crash came before or after, and nothing is
carried twice.
"""

import errno
import fcntl
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass

from mailfs.disk import lock
from mailfs.disk.open import NotRegular, open_regular
from mailfs.disk.replace import copy, orphans, pread_all, sync_dir, write_all

LINGER = 600.0  # seconds a replaced file is watched where leases do not tell
_PIECE = 1 << 20  # octets compared at once


@dataclass(slots=True)
class Leftover:
    """One replaced file: octets behind end are not in the mailbox yet."""

    fd: int
    name: str  # empty where no second name could be given
    end: int
    at: int | None  # where a carry that may not have ended was to put them
    born: float

    @property
    def pending(self) -> int:
        """Octets appended since."""
        return os.fstat(self.fd).st_size - self.end


class Leftovers:
    """The replaced files of one mailbox at path, a real path."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._kept: list[Leftover] = []

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def pending(self) -> bool:
        """Whether there is something to carry."""
        return any(left.pending > 0 for left in self._kept)

    def keep(self, end: int) -> None:
        """Keep the file about to be replaced, of which end octets are accounted for.

        The caller holds its lock.  Undone by forget, if the replacement fails.
        """
        fd = open_regular(self.path)
        name = lock.unique(self.path, f"old-{end}")
        try:
            os.link(self.path, name)
        except OSError:  # no hard links here: we watch it while we live
            name = ""
        self._kept.append(Leftover(fd, name, end, None, time.monotonic()))

    def forget(self) -> None:
        """Take back the last keep."""
        self._drop(self._kept[-1])

    def adopt(self) -> None:
        """Take over what processes left that were killed."""
        for what, numbers, found in list(orphans(self.path)):
            if what != "old":
                continue
            mine = lock.unique(self.path, f"old{numbers}")
            try:
                os.close(open_regular(found))  # or it stays what and where it is
                os.rename(found, mine)
                fd = open_regular(mine)
            except (FileNotFoundError, NotRegular):  # another of us was faster
                continue
            if lock.same(fd, self.path):  # killed before the replacement
                lock.close(fd)
                os.unlink(mine)
                continue
            end, *at = (int(n) for n in numbers.split("-")[1:])
            left = Leftover(fd, mine, end, at[0] if at else None, time.monotonic())
            self._kept.append(left)

    def carry(self, held: lock.HeldLock) -> None:
        """Append to the mailbox, locked for writing, what is not in it yet."""
        for left in list(self._kept):
            if left.pending <= 0 or not lock.lock_fd(left.fd, exclusive=False):
                continue  # whoever has it locked is still appending
            try:
                _carry(left, held, self.path)
            except FileNotFoundError:  # its name is another's, who thought us dead
                left.name = ""
                self._drop(left)
            else:
                lock.unlock_fd(left.fd)

    def expire(self) -> None:
        """Drop the files that nobody can append to any more."""
        for left in list(self._kept):
            alone = _alone(left.fd)
            if alone is None:
                alone = time.monotonic() - left.born > LINGER
            if alone and left.pending <= 0:  # looked at after the last writer left
                self._drop(left)

    def close(self) -> None:
        """Let go; what keeps its second name is the next opener's to look at."""
        for left in self._kept:
            lock.close(left.fd)
        self._kept = []

    def _drop(self, left: Leftover) -> None:
        self._kept.remove(left)
        lock.close(left.fd)
        if left.name:
            with suppress(FileNotFoundError):
                os.unlink(left.name)


def _alone(fd: int) -> bool | None:
    """Whether nobody has the file open for writing; None if the system won't say.

    A read lease is granted only then; fcntl(2).  Given back at once; the signal of
    a broken lease is made one that is ignored, to be sure.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return None
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGWINCH)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as e:
        return False if e.errno == errno.EAGAIN else None
    return True


def _carry(left: Leftover, held: lock.HeldLock, path: str) -> None:
    size = os.fstat(left.fd).st_size
    if left.at is not None and _arrived(left, size, held.fd):
        _rename(left, path, f"old-{size}")
        left.end, left.at = size, None
        return
    at = os.lseek(held.fd, 0, os.SEEK_END)
    if at and os.pread(held.fd, 1, at - 1) != b"\n":
        write_all(held.fd, b"\n")
        at += 1
    _rename(left, path, f"old-{left.end}-{at}")
    try:
        copy(left.fd, left.end, size, held.fd, held.refresh)
        os.fsync(held.fd)
    except OSError:
        os.ftruncate(held.fd, at)
        raise
    _rename(left, path, f"old-{size}")
    left.end, left.at = size, None


def _arrived(left: Leftover, size: int, box: int) -> bool:
    """Whether a carry cut short had done its work; a half is taken back."""
    assert left.at is not None
    done = os.fstat(box).st_size - left.at
    want = size - left.end
    if done <= 0:
        return False
    for i in range(0, min(done, want), _PIECE):
        n = min(_PIECE, min(done, want) - i)
        if pread_all(left.fd, n, left.end + i) != pread_all(box, n, left.at + i):
            return False
    if done < want:
        os.ftruncate(box, left.at)
        return False
    return True


def _rename(left: Leftover, path: str, what: str) -> None:
    if left.name:
        name = lock.unique(path, what)
        os.rename(left.name, name)
        sync_dir(os.path.dirname(path))
        left.name = name
