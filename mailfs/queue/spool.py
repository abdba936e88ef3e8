"""The files of the queue: putting a message in, holding it, taking it out; qer(8).

    QUEUE/USER/D.NAME    the message, complete before C.NAME exists
    QUEUE/USER/C.NAME    the control file, see control.py
    QUEUE/USER/E.NAME    what went wrong, an attempt after the other
    QUEUE/USER/F.NAME    and G, H ...: copies of files that qer -f named
    QUEUE/USER/h.NAME    the control file of a message that is held back
    QUEUE/USER/w.NAME    exists if the sender has been told of a delay
    QUEUE/USER/n.NAME    what reports the sender wants, if that was told; RFC 3461
    QUEUE/USER/t.NAME    a control file not finished; of no meaning

Capitals are upas's own, so its runq works on the same queue; it removes ``?.NAME``
with a message and looks only for ``C.``.  A message exists as long as its control file
does: that is made by rename and removed first.
"""

import errno
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mailfs.disk import lock
from mailfs.disk.open import open_regular
from mailfs.disk.replace import create_fresh, sync_dir, write_all, write_fresh
from mailfs.errors import reason
from mailfs.queue import control, place
from mailfs.queue.place import QueueError
from mailfs.queue.retry import Times
from mailfs.smtp import dsn as dsns
from mailfs.smtp.dsn import Dsn

MAX_NAME = 64  # characters of a queue directory's name: a login
ATTEMPTS = 10  # to make a file in a directory that runq -a may just remove
PAUSE = 0.25  # seconds between them
AHEAD = 5.0  # seconds a file may be newer than the clock: clocks differ a little
MAX_ERRORS = 1 << 20  # octets of E.NAME; then the oldest half goes

_KINDS = ("C", "D", "E", "h", "n", "w", "t")
_CONTROL = re.compile(r"([Ch])\.([\w-]{1,64})", re.ASCII)
_COPY = re.compile(r"([F-Z])\.([\w-]{1,64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Job:
    """One queued message, known by its directory and the end of its files' names."""

    folder: Path
    name: str
    held: bool = False

    def path(self, kind: str) -> Path:
        """Return the path of its file of that kind."""
        return Path(self.file(kind))

    def file(self, kind: str) -> str:
        """Return the same as text, which is made ten times as fast."""
        return f"{self.folder}/{kind}.{self.name}"

    @property
    def kind(self) -> str:
        """The kind of the file that holds its words."""
        return "h" if self.held else "C"

    @property
    def control(self) -> Path:
        """Where its words are."""
        return self.path(self.kind)

    @property
    def ident(self) -> str:
        """How people name it: USER/NAME."""
        return f"{self.folder.name}/{self.name}"

    def words(self) -> tuple[str, ...]:
        """Return its words without a lock.  Raises OSError and BadControl."""
        fd = self.open(self.kind)
        try:
            return control.parse(os.read(fd, control.MAX_CONTROL + 1))
        finally:
            lock.close(fd)

    def open(self, kind: str, flags: int = os.O_RDONLY) -> int:
        """Open a file of the message; nothing is followed or waited for.

        Raises OSError, also for what is no regular file or not of a believed owner.
        """
        believed = place.owners(self.folder)
        return open_regular(self.file(kind), flags, place.FILE, owners=believed)

    def data(self, most: int) -> tuple[bytes, int]:
        """Read at most so many octets of the message, and tell the size of all of it.

        Raises OSError as open() does.
        """
        with open(self.open("D"), "rb") as f:
            return f.read(most), os.fstat(f.fileno()).st_size

    def dsn(self) -> Dsn:
        """Read what reports the sender wants.  Raises OSError."""
        try:
            fd = self.open("n")
        except FileNotFoundError:
            return Dsn()
        with open(fd, "rb") as f:
            return dsns.read(f.read(dsns.MAX_FILE))

    def mark(self, kind: str) -> None:
        """Make an empty file of that kind.  Raises OSError."""
        os.close(self.open(kind, os.O_WRONLY | os.O_CREAT))


def _fresh() -> str:
    """Return a name no other message has; ordered by time, so the oldest is first."""
    return f"{time.time_ns() // 1_000_000:011x}{os.urandom(2).hex()}"


def enqueue(
    queue: Path,
    login: str,
    message: bytes | BinaryIO,
    words: Sequence[str],
    copies: Sequence[Path] = (),
    *,
    shared: bool = False,
    fresh: Callable[[], str] = _fresh,
    dsn: Dsn | None = None,
) -> Job:
    """Put a message into QUEUE/LOGIN and return when it is on disk; qer(8).

    words are the tag, the reply address and the arguments: host and recipients.
    shared makes the files as ``qer -q`` does, writable for others; dsn is what reports
    the sender wants.  Raises QueueError.
    """
    folder = _folder(queue, login)
    text = control.line(words)
    shared = shared or login == "none"
    mode = _mode(shared=shared)
    job, data = _begin(folder, fresh, shared=shared)
    try:
        with data:
            _fill(data, message, job)
        names = [_copy(job, i, path, shared=shared) for i, path in enumerate(copies)]
        if names:
            text = control.line([*words, *names])
        if dsn:
            os.close(write_fresh(job.file("n"), dsns.show(dsn), mode))
        os.close(write_fresh(job.file("t"), text, mode))
        job.path("t").rename(job.path("C"))
        sync_dir(str(folder))
    except OSError as e:
        _discard(job, len(copies))
        raise QueueError(f"writing control file {job.path('C')}: {reason(e)}") from e
    except BaseException:
        _discard(job, len(copies))
        raise
    return job


def _folder(queue: Path, login: str) -> Path:
    if not login or len(login) > MAX_NAME or login in (".", "..") or "/" in login:
        raise QueueError(f"unknown user {login!r}")
    return queue / login


def _begin(
    folder: Path, fresh: Callable[[], str], *, shared: bool
) -> tuple[Job, BinaryIO]:
    """Make the data file, and the directory if need be."""
    for left in range(ATTEMPTS, 0, -1):
        job = Job(folder, fresh())
        try:
            place.check(folder, shared=shared)
            return job, open(create_fresh(job.file("D"), _mode(shared=shared)), "wb")
        except FileNotFoundError as e:
            if left == 1:
                raise _uncreated(job, e) from e
            _make(folder, shared=shared)
        except FileExistsError as e:
            if left == 1:
                raise _uncreated(job, e) from e
        except OSError as e:
            raise _uncreated(job, e) from e
        if left < ATTEMPTS - 1:
            time.sleep(PAUSE)
    raise AssertionError("the last attempt raises")


def _mode(*, shared: bool) -> int:
    return place.SHARED_FILE if shared else place.FILE


def _uncreated(job: Job, e: OSError) -> QueueError:
    return QueueError(f"creating data file {job.path('D')}: {reason(e)}")


def _make(folder: Path, *, shared: bool) -> None:
    try:
        place.make(folder, shared=shared)
        sync_dir(str(folder.parent))
    except OSError as e:
        raise QueueError(f"making directory {folder}: {reason(e)}") from e


def _fill(data: BinaryIO, message: bytes | BinaryIO, job: Job) -> None:
    try:
        if isinstance(message, bytes):
            data.write(message)
        else:
            shutil.copyfileobj(message, data, 1 << 16)
        data.flush()
        os.fsync(data.fileno())
    except OSError as e:
        raise QueueError(f"writing data file {job.path('D')}: {reason(e)}") from e


def _copy(job: Job, i: int, source: Path, *, shared: bool) -> str:
    """Copy a file that goes with the message; return the path runq's command gets."""
    if i > ord("Z") - ord("F"):
        raise QueueError(f"copying {source} to queue: too many files")
    path = job.path(chr(ord("F") + i))
    try:
        with (
            source.open("rb") as src,
            open(create_fresh(str(path), _mode(shared=shared)), "wb") as dst,
        ):
            shutil.copyfileobj(src, dst)
            dst.flush()
            os.fsync(dst.fileno())
    except OSError as e:
        raise QueueError(f"copying {source} to queue: {reason(e)}") from e
    return str(path)


def _discard(job: Job, copies: int) -> None:
    for kind in ("t", "C", "D", "n", *(chr(ord("F") + i) for i in range(copies))):
        with suppress(OSError):
            job.path(kind).unlink()


def folders(queue: Path) -> list[Path]:
    """Return the directories of a queue, none if there is no queue yet."""
    try:
        with os.scandir(queue) as entries:
            found = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return [queue / name for name in sorted(found) if not name.startswith(".")]


def jobs(folder: Path, *, held: bool = False) -> list[Job]:
    """List the messages of a directory in order of their names.

    held adds those held back.  A directory that has gone has none, nor has one that
    is another user's and closed.
    """
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    matches = [m for m in map(_CONTROL.fullmatch, names) if m]
    found = [Job(folder, m[2], m[1] == "h") for m in matches if held or m[1] == "C"]
    found.sort(key=lambda job: job.name)
    return found


def find(queue: Path, ident: str) -> Job:
    """Return the message that USER/NAME, or NAME alone, means; raises QueueError."""
    user, slash, name = ident.rpartition("/")
    wanted = [queue / user] if slash else folders(queue)
    hits = [job for f in wanted for job in jobs(f, held=True) if job.name == name]
    if len(hits) != 1:
        raise QueueError(f"no message {ident} in {queue}")
    return hits[0]


@dataclass(slots=True)
class Claim:
    """A message whose control file this process has locked, and no other of ours."""

    job: Job
    fd: int
    words: tuple[str, ...]
    empty: bool  # qer may be about to write it

    def close(self) -> None:
        """Let go of it."""
        lock.close(self.fd)

    def rewrite(self, words: Sequence[str]) -> None:
        """Replace the words, on disk before it returns; the lock is kept.

        Where there is no room for another file, fewer words are written over the old
        ones.  Raises OSError.
        """
        text = control.line(words)
        try:
            self._replace(text)
        except OSError:
            if len(text) > os.fstat(self.fd).st_size:
                raise
            self._overwrite(text)
        self.words = tuple(words)

    def _replace(self, text: bytes) -> None:
        temp = self.job.path("t")
        shared = bool(os.fstat(self.fd).st_mode & 0o060)
        fd = write_fresh(str(temp), text, _mode(shared=shared))
        try:
            lock.lock_fd(fd, exclusive=True)
            temp.rename(self.job.control)
            sync_dir(str(self.job.folder))
        except BaseException:
            os.close(fd)
            raise
        lock.close(self.fd)
        self.fd = fd

    def _overwrite(self, text: bytes) -> None:
        """Write text in place, blanks after it: no new block of the disk is needed."""
        with suppress(OSError):
            self.job.path("t").unlink()
        text = text.rstrip(b"\n").ljust(os.fstat(self.fd).st_size - 1) + b"\n"
        if os.pwrite(self.fd, text, 0) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self.fd)

    def remove(self) -> None:
        """Take the message out of the queue, its control file first.

        It is on disk after the next sync of the directory: until then a power failure,
        but no kill, brings it back.  A control file that cannot be removed is emptied.
        """
        copies = [m[1] for m in map(self._copied, self.words) if m]
        for kind in (*_KINDS, *copies):
            try:
                os.unlink(self.job.file(kind))
            except FileNotFoundError:
                pass
            except OSError:
                if kind == self.job.kind:
                    os.ftruncate(self.fd, 0)
                    os.fsync(self.fd)
                    return

    def _copied(self, word: str) -> re.Match[str] | None:
        m = _COPY.fullmatch(word.rpartition("/")[2])
        return m if m and m[2] == self.job.name else None

    def note(self, text: str) -> None:
        """Append to what went wrong; the file's time is that of the last attempt."""
        fd = self.job.open("E", os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            size = os.fstat(fd).st_size
            if size > MAX_ERRORS:
                kept = os.pread(fd, MAX_ERRORS // 2, size - MAX_ERRORS // 2)
                os.ftruncate(fd, 0)
                write_all(fd, kept)
            write_all(fd, text.encode(errors="surrogateescape"))
        finally:
            with suppress(OSError):  # the next attempt waits, though nothing is told
                os.utime(fd)
            os.close(fd)


def claim(job: Job) -> Claim | None:
    """Lock a message; None if it has gone or another process of ours is at it.

    plan9port's runq takes no lock that others could see: the two must not run on one
    directory at the same time.  Raises BadControl, and OSError.
    """
    name = job.file(job.kind)
    try:
        fd = job.open(job.kind, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        if lock.lock_fd(fd, exclusive=True) and lock.same(fd, name):
            octets = os.read(fd, control.MAX_CONTROL + 1)
            words = control.parse(octets) if octets else ()
            return Claim(job, fd, words, not octets)
    except BaseException:
        lock.close(fd)
        raise
    lock.close(fd)
    return None


def hold(job: Job) -> None:
    """Keep a message from being tried.  Raises QueueError if it is not there to hold.

    Who is at it finishes; what is left then is not held.
    """
    _rename(job, "C", "h")


def release(job: Job) -> None:
    """Let a message be tried again.  Raises QueueError."""
    _rename(job, "h", "C")


def _rename(job: Job, source: str, to: str) -> None:
    try:
        job.path(source).rename(job.path(to))
        sync_dir(str(job.folder))
    except OSError as e:
        raise QueueError(f"{job.ident}: {reason(e)}") from e


def remove(job: Job) -> None:
    """Remove a message unsent, for good.  Raises QueueError if somebody is at it."""
    claimed = claim(job)
    if claimed is None:
        raise QueueError(f"{job.ident}: being delivered")
    try:
        claimed.remove()
        sync_dir(str(job.folder))
    finally:
        claimed.close()


def age(path: Path | str) -> float | None:
    """Return the time a file was written, in seconds since the epoch; None if none."""
    try:
        st = os.lstat(path)
    except FileNotFoundError:
        return None
    return st.st_mtime if stat.S_ISREG(st.st_mode) else None


def times(job: Job, now: float) -> Times | None:
    """Return the times of a message, None if it has no data file.

    One ahead of the clock, which was wrong when it was written, is set to now.
    """
    queued, tried = (_past(job.file(kind), now) for kind in "DE")
    return None if queued is None else Times(queued, tried)


def _past(name: str, now: float) -> float | None:
    when = age(name)
    if when is None or when <= now + AHEAD:
        return when
    with suppress(OSError):
        os.utime(name, (now, now), follow_symlinks=False)
    return now


def sweep(folder: Path, now: float, older: float) -> list[str]:
    """Remove files, older than that many seconds, of messages that never came to be.

    Returns their names.
    """
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    alive = {m[2] for m in map(_CONTROL.fullmatch, names) if m}
    gone = []
    for name in names:
        m = re.fullmatch(r"[DE-Znwt]\.([\w-]{1,64})", name, re.ASCII)
        if m and m[1] not in alive:
            when = age(folder / name)
            if when is not None and now - when > older:
                (folder / name).unlink(missing_ok=True)
                gone.append(name)
    return gone
