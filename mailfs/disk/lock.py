"""The locks of a mailbox file that other programs honour.

fcntl     on the mailbox itself, of the whole file, shared for reading
dotlock   PATH.lock, for writing; made by link(2), which NFS keeps atomic
L.mbox    Plan 9's one lock a directory, where one exists or Plan 9 would make one

They are tried in this order and none is waited for while another is held: on the
first refusal all are let go, so two programs with different orders cannot deadlock
(Debian policy 11.6).  A reader makes no dotlock but waits until there is none.

flock(2) is not used: over NFS Linux turns it into an fcntl lock, and we would wait
for ourselves; programs that know only flock do not share mailboxes with others.

On Linux fcntl locks are taken as open file description locks (fcntl(2)): they
exclude ordinary ones, but are not lost when another descriptor of the same file is
closed, which happens in a server at any time.  Elsewhere close() below waits.
"""

import errno
import fcntl
import itertools
import logging
import os
import stat
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mailfs.disk.holder import MAX_TEXT, Holder, host, own
from mailfs.disk.open import NOT_REGULAR, NotRegular, open_regular
from mailfs.errors import ELOCK, MailfsError

log = logging.getLogger(__name__)

LOCK_WAIT = 300.0  # seconds; what upas/fs waits, syslock
STALE_AGE = 1024  # seconds an untouched dotlock is believed; procmailrc(5)
REFRESH = 30.0  # seconds between touches of a dotlock held for long
_POLL = (0.005, 0.25)  # seconds between attempts, at first and at most

_OFD: int | None = getattr(fcntl, "F_OFD_SETLK", None)
_FLOCK = struct.Struct("hhqqi0q")  # struct flock with 64-bit offsets
_HELD_BY_OTHERS = (errno.EACCES, errno.EAGAIN)
# What opening an exclusive-use file of Plan 9 that is open elsewhere gives: v9fs
# knows "file in use", and has 526 (ESERVERFAULT) for texts it does not know.
_EXCLUSIVE = (errno.EBUSY, errno.EAGAIN, errno.ETXTBSY, 526)
_NO_DOTLOCK = (errno.EACCES, errno.EPERM, errno.EROFS)
# What link(2) gives on file systems that have no hard links.
NO_LINK = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)

_counter = itertools.count()


# Without description locks, closing any descriptor of a file drops this process's
# locks on it; such closes are put off until the last lock is released.
_guard = threading.Lock()
_locked: dict[tuple[int, int], int] = {}
_unclosed: dict[tuple[int, int], list[int]] = {}


def close(fd: int) -> None:
    """Close a descriptor of a file that may be locked through another one."""
    if _OFD is None:
        st = os.fstat(fd)
        key = (st.st_dev, st.st_ino)
        with _guard:
            if key in _locked:
                _unclosed.setdefault(key, []).append(fd)
                return
    os.close(fd)


def unique(path: str, what: str) -> str:
    """Return a name beside path that no other process and no earlier call uses.

    It starts with a dot and can be told from the names other programs use:
    ``.BASE.mailfs-WHAT.HOST.PID.N``.
    """
    folder, base = os.path.split(path)
    name = f".{base}.mailfs-{what}.{host()}.{os.getpid()}.{next(_counter)}"
    return os.path.join(folder, name)


def lock_fd(fd: int, *, exclusive: bool) -> bool:
    """Lock the whole file unless somebody else has it; False if somebody has.

    An exclusive lock needs a descriptor open for writing.
    """
    kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
    try:
        _setlk(fd, kind)
    except OSError as e:
        if e.errno in _HELD_BY_OTHERS:
            return False
        raise
    if _OFD is None:
        st = os.fstat(fd)
        with _guard:
            key = (st.st_dev, st.st_ino)
            _locked[key] = _locked.get(key, 0) + 1
    return True


def unlock_fd(fd: int) -> None:
    """Release what lock_fd took."""
    _setlk(fd, fcntl.F_UNLCK)
    if _OFD is not None:
        return
    st = os.fstat(fd)
    key = (st.st_dev, st.st_ino)
    with _guard:
        _locked[key] -= 1
        if _locked[key]:
            return
        del _locked[key]
        for late in _unclosed.pop(key, []):
            os.close(late)


def _setlk(fd: int, kind: int) -> None:
    if _OFD is not None:
        fcntl.fcntl(fd, _OFD, _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0))
        return
    nowait = fcntl.LOCK_NB
    how = {fcntl.F_WRLCK: fcntl.LOCK_EX | nowait, fcntl.F_RDLCK: fcntl.LOCK_SH | nowait}
    fcntl.lockf(fd, how.get(kind, fcntl.LOCK_UN))


def attempts(wait: float) -> Iterator[None]:
    """Yield for each attempt within wait seconds, at least once, sleeping between."""
    end = time.monotonic() + wait
    pause, longest = _POLL
    while True:
        yield
        left = end - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, longest)


@dataclass(slots=True)
class HeldLock:
    """The locks of one mailbox; fd is its file, open for writing if exclusive."""

    path: str  # as opened: no symbolic link
    fd: int
    exclusive: bool
    dotlock: str | None = None
    plan9: int | None = None  # descriptor of L.mbox
    touched: float = 0.0

    def refresh(self) -> None:
        """Touch the dotlock, or others would think it stale; call during long work."""
        now = time.monotonic()
        if self.dotlock is not None and now - self.touched > REFRESH:
            self.touched = now
            with suppress(OSError):
                os.utime(self.dotlock)

    def release(self) -> None:
        """Let go of everything, in the opposite order of taking."""
        if self.plan9 is not None:
            os.close(self.plan9)
            self.plan9 = None
        if self.dotlock is not None:
            with suppress(OSError):  # somebody may have thought it stale and took it
                if _owned(self.dotlock):
                    os.unlink(self.dotlock)
            self.dotlock = None
        if self.fd >= 0:
            with suppress(OSError):  # where there are no fcntl locks
                unlock_fd(self.fd)
            close(self.fd)
            self.fd = -1


@contextmanager
def locked(
    path: str, *, root: Path, exclusive: bool, create: bool, wait: float = LOCK_WAIT
) -> Iterator[HeldLock]:
    """Hold the locks of the mailbox at path, which must exist.

    create says whether files may be made beside it: dotlock, L.mbox.  Raises
    MailfsError if they cannot be had within wait seconds, OSError if the mailbox
    cannot be opened.
    """
    held = None
    for _ in attempts(wait):
        held = _attempt(path, root, exclusive=exclusive, create=create)
        if held is not None:
            break
    if held is None:
        raise MailfsError(ELOCK)
    try:
        yield held
    finally:
        held.release()


def _attempt(
    path: str, root: Path, *, exclusive: bool, create: bool
) -> HeldLock | None:
    real = os.path.realpath(path)
    fd = open_regular(real, os.O_RDWR if exclusive else os.O_RDONLY)
    try:
        if not _lock_box(fd, exclusive=exclusive):
            close(fd)
            return None
    except OSError:
        close(fd)
        raise
    held = HeldLock(real, fd, exclusive, touched=time.monotonic())
    try:
        free = same(fd, real) and _dotlock(held, create=create)
        if free and _plan9(held, root, create=create):
            return held
    except BaseException:
        held.release()
        raise
    held.release()
    return None


def _lock_box(fd: int, *, exclusive: bool) -> bool:
    try:
        return lock_fd(fd, exclusive=exclusive)
    except OSError as e:
        if e.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        log.warning("no fcntl locks here: %s", e.strerror)
        return True


def same(fd: int, path: str) -> bool:
    """Whether path still names the file behind fd: it may have been replaced."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _dotlock(held: HeldLock, *, create: bool) -> bool:
    """Take the dotlock, or for a reader see that nobody has it."""
    name = held.path + ".lock"
    if not held.exclusive or not create:
        judged = _stale(name, held.fd, time.time())
        if judged and create and _orphaned(name):
            # Programs that do not ask who made it would wait for its owner for ever.
            _break(held, name)
        return judged is not None
    temp = unique(held.path, "lock")
    try:
        fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except OSError as e:
        if e.errno in _NO_DOTLOCK:  # as for a user's mailbox in /var/mail
            return _stale(name, held.fd, time.time()) is not None
        raise
    try:
        os.write(fd, own())
        now = os.fstat(fd).st_mtime  # the clock of the file system, not ours
        judged = _stale(name, held.fd, now)
        if judged is None:
            return False
        if judged:
            _break(held, name)
        if _link(temp, name):
            held.dotlock = name
            return True
        return _no_lock(name)
    finally:
        os.close(fd)
        os.unlink(temp)


def _no_lock(name: str) -> bool:
    """Whether what has a dotlock's name is none, since it is no regular file."""
    try:
        return not stat.S_ISREG(os.lstat(name).st_mode)
    except FileNotFoundError:
        return False


def _break(held: HeldLock, name: str) -> None:
    """Remove a dotlock that was judged stale, unless it is another one by now."""
    aside = unique(held.path, "lock")
    try:
        os.rename(name, aside)
    except OSError:  # somebody else has, or we may not
        return
    if _stale(aside, held.fd, time.time()):
        log.warning("%s: stale lock removed", name)
    else:
        _link(aside, name)
    os.unlink(aside)


def _owned(name: str) -> bool:
    with open(open_regular(name), "rb") as f:
        return f.read(MAX_TEXT) == own()


def _link(temp: str, name: str) -> bool:
    """Give the file temp the name too, unless that exists."""
    try:
        os.link(temp, name)
    except FileExistsError:
        return False
    except OSError as e:
        if e.errno not in NO_LINK:
            raise
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            fd = os.open(name, flags, 0o644)
        except FileExistsError:
            return False
        os.write(fd, own())
        os.close(fd)
    return True


def _stale(name: str, box: int, now: float) -> bool | None:
    """Judge a dotlock: False there is none, True it may be broken, None it is held.

    It may be broken if it names a process of this host that has ended, or if neither
    it nor the mailbox changed for STALE_AGE seconds: whoever works longer touches it.
    Only who holds the fcntl lock breaks one, so two cannot break each other's.
    Programs lock by making a regular file: anything else of that name is no lock.
    """
    try:
        fd = open_regular(name)
    except FileNotFoundError:
        return False
    except NotRegular:
        log.warning("%s: no lock: %s; going on without it", name, NOT_REGULAR)
        return False
    except PermissionError:
        text, touched = b"", os.lstat(name).st_mtime
    else:
        with open(fd, "rb") as f:
            text, touched = f.read(MAX_TEXT), os.fstat(f.fileno()).st_mtime
    holder = Holder.parse(text)
    if holder is not None and holder.gone(touched):
        return True
    if now - touched > STALE_AGE and now - os.fstat(box).st_mtime > STALE_AGE:
        return True
    return None


def _orphaned(name: str) -> bool:
    """Whether a dotlock names a process of this host that has ended."""
    try:
        with open(open_regular(name), "rb") as f:
            holder = Holder.parse(f.read(MAX_TEXT))
            touched = os.fstat(f.fileno()).st_mtime
    except OSError:
        return False
    return holder is not None and holder.gone(touched)


def _plan9(held: HeldLock, root: Path, *, create: bool) -> bool:
    """Take L.mbox; True as well if there is none to take.

    Plan 9's kernel lets one process at a time open it.  On Unix it is a plain file
    and plan9port's programs do not exclude each other; an fcntl lock on it does so
    for ours, and for what serves the directory to Plan 9.
    """
    folder = os.path.dirname(held.path)
    name = os.path.join(folder, "L.mbox")
    below = Path(folder).is_relative_to(os.path.realpath(root / "mail" / "box"))
    flags = os.O_RDWR if held.exclusive else os.O_RDONLY
    if create and held.exclusive and below:
        flags |= os.O_CREAT
    try:
        fd = open_regular(name, flags, 0o666)
    except FileNotFoundError:
        return True
    except OSError as e:
        if e.errno in _EXCLUSIVE:
            return False
        log.info("%s: %s; going on without it", name, e.strerror)
        return True
    try:
        if lock_fd(fd, exclusive=held.exclusive):
            held.plan9 = fd
            return True
    except OSError as e:
        log.info("%s: %s; going on without it", name, e.strerror)
        os.close(fd)
        return True
    os.close(fd)
    return False
