"""Other users' directories of the queue, drained by root with each owner's rights.

A process forked before any thread exists supervises: for each directory in which
something is due it forks a child, which gives up root's rights for good, drains that
one directory and ends.  So whatever an owner puts there, links above all, leads nowhere
the owner could not go alone.  Children are forked and not started anew, since an owner
may be unable to read the program that root runs.
"""

import logging
import os
import pwd
import select
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from mailfs.queue import retry, spool
from mailfs.queue.retry import Times
from mailfs.runq.drain import Drain

log = logging.getLogger(__name__)

MOST = 16  # directories drained at once
ENDS = 4.5  # seconds a child has to end in once it is told to
LOOK = 30.0  # seconds between looks at the directories, and at one that was just done

STOP, WAKE = b"s", b"w"


@dataclass(frozen=True, slots=True)
class Owner:
    """A user of this machine who has a directory in the queue."""

    name: str
    uid: int
    gid: int
    home: str


def owner(folder: Path) -> Owner | None:
    """Find the user whose directory it is; None if name and owner are not one user's.

    Anybody may make a directory there: one in another's name is nobody's.
    """
    try:
        uid = folder.lstat().st_uid
        who = pwd.getpwnam(folder.name)
    except (OSError, KeyError):
        return None
    if who.pw_uid != uid or uid == 0:
        return None
    return Owner(who.pw_name, who.pw_uid, who.pw_gid, who.pw_dir)


def become(who: Owner) -> None:
    """Take a user's rights and surroundings, and give up all others for good."""
    os.initgroups(who.name, who.gid)
    os.setresgid(who.gid, who.gid, who.gid)
    os.setresuid(who.uid, who.uid, who.uid)
    for name in list(os.environ):
        if name.startswith("XDG_") or name in ("NAMESPACE", "DISPLAY", "upasname"):
            del os.environ[name]
    os.environ |= {"HOME": who.home, "USER": who.name, "LOGNAME": who.name}


@dataclass(slots=True)
class _Child:
    """A process that drains a directory; its pipe ends when it does."""

    folder: Path
    pid: int
    pipe: int


@dataclass(slots=True)
class UserDrains:
    """Drains users' directories by children, from start() until join().

    folders  lists the directories, of whatever owner
    drain    makes what drains one; called in the child, as its owner
    """

    folders: Callable[[], Sequence[Path]]
    drain: Callable[[Path, Owner], Drain]
    look: float = LOOK
    _pid: int = 0
    _commands: int = -1
    _watching: bool = False
    _ending: bool = False
    _running: dict[int, _Child] = field(default_factory=dict)  # by pipe
    _next: dict[Path, float] = field(default_factory=dict)  # when to look again
    _seen: dict[Path, frozenset[str]] = field(default_factory=dict)  # messages
    _refused: set[Path] = field(default_factory=set)

    def start(self, *, watch: bool) -> None:
        """Fork the supervisor; watch has it go on until stop().  No thread may run."""
        self._watching = watch
        source, self._commands = os.pipe()
        self._pid = os.fork()
        if self._pid:
            os.close(source)
            return
        os.close(self._commands)
        self._leave(lambda: self._supervise(source))

    def wake(self) -> None:
        """Have the directories looked at; from any thread."""
        self._tell(WAKE)

    def stop(self) -> None:
        """Have it end soon; from any thread, and from a signal."""
        self._tell(STOP)

    def _tell(self, what: bytes) -> None:
        with suppress(OSError):
            os.write(self._commands, what)

    def join(self) -> None:
        """Wait until all has ended."""
        os.waitpid(self._pid, 0)
        os.close(self._commands)

    @staticmethod
    def _leave(act: Callable[[], None]) -> NoReturn:
        """End a forked process after act; what the parent has open is the parent's."""
        status = 1
        try:
            act()
            status = 0
        except Exception:
            log.exception("unexpected")
        finally:
            os._exit(status)

    # In the supervisor.

    def _supervise(self, commands: int) -> None:
        ended, end = os.pipe()
        signal.signal(signal.SIGTERM, lambda *_: os.write(end, STOP))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us tells us
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until a child listens to it
        self._begin()
        while self._running or (self._watching and not self._ending):
            poll = select.poll()
            for fd in (ended, commands, *self._running):
                poll.register(fd, select.POLLIN)
            ready = [fd for fd, _ in poll.poll(self._pause() * 1000)]
            for fd in (ended, commands):
                if fd in ready:
                    self._obey(os.read(fd, 4096))
            for fd in ready:
                if fd in self._running:
                    self._collect(self._running.pop(fd))
            if not self._ending:
                self._begin()

    def _obey(self, words: bytes) -> None:
        """Do what is asked; the end of the pipe is the end of who started us."""
        if STOP in words or not words:
            if not self._ending:
                self._end()
            return
        for child in self._running.values():
            _kill(child.pid, signal.SIGUSR1)

    def _end(self) -> None:
        """End all children: soon, or at once after ENDS."""
        self._ending = True
        for child in self._running.values():
            _kill(child.pid, signal.SIGTERM)
        signal.signal(signal.SIGALRM, self._kill)
        signal.setitimer(signal.ITIMER_REAL, ENDS)

    def _kill(self, *_: object) -> None:
        for child in self._running.values():
            _kill(child.pid, signal.SIGKILL)

    def _pause(self) -> float:
        """Return the seconds until a directory may have something due."""
        now = time.time()
        when = min(self._next.values(), default=now + self.look)
        return max(0.0, min(when - now, self.look))

    def _begin(self) -> None:
        """Start a child for each directory that has something to do."""
        now, busy = time.time(), {child.folder for child in self._running.values()}
        for folder in self.folders():
            if len(self._running) >= MOST:
                return
            if folder not in busy and self._due(folder, now):
                who = owner(folder)
                if who is not None:
                    self._fork(folder, who)
                elif folder not in self._refused:
                    self._refused.add(folder)
                    log.warning("%s: not the directory of a user: left alone", folder)

    def _due(self, folder: Path, now: float) -> bool:
        """Whether a directory has a new message, or its time has come."""
        try:
            st = folder.lstat()
        except OSError:
            return False
        if st.st_uid == os.geteuid():
            return False  # ours, and drained by us
        before = self._seen.get(folder, frozenset())
        self._seen[folder] = frozenset(job.name for job in spool.jobs(folder))
        return (
            not self._seen[folder] <= before or self._next.get(folder, now + 1) <= now
        )

    def _fork(self, folder: Path, who: Owner) -> None:
        source, sink = os.pipe()
        pid = os.fork()
        if pid:
            os.close(sink)
            self._running[source] = _Child(folder, pid, source)
            self._next.pop(folder, None)
            return
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # there is nothing to end yet
        self._leave(lambda: self._child(folder, who))

    def _child(self, folder: Path, who: Owner) -> None:
        become(who)
        drain = self.drain(folder, who)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: drain.stop())
        signal.signal(signal.SIGUSR1, lambda *_: drain.wake())
        drain.once()

    def _collect(self, child: _Child) -> None:
        """Take note that a child has ended, and when its directory has more to do."""
        os.close(child.pipe)
        os.waitpid(child.pid, 0)
        now = time.time()
        due = [when for job in spool.jobs(child.folder) if (when := _due(job))]
        if due:
            self._next[child.folder] = max(min(due), now + self.look)


def _due(job: spool.Job) -> float | None:
    queued = spool.age(job.file("D"))
    if queued is None:
        return None
    return retry.due(Times(queued, spool.age(job.file("E"))), job.name)


def _kill(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
