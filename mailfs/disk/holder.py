"""Whose a dotlock is, and whether that process still lives.

A dotlock of ours is two lines, of which other programs read the first:

    4711:host
    boot=9c1e... ns=4026531836 start=123456

boot is the kernel's id of this run of the machine, ns the process's pid namespace,
start when the process began, in clock ticks since then; where the system does not tell
them the second line is missing.  A process id alone proves little: it is given again,
after a restart of the machine above all.
"""

import os
import re
import time
from dataclasses import dataclass
from functools import lru_cache

MAX_TEXT = 256  # octets of a dotlock that are looked at
# Seconds by which the clock of a file system may differ from ours; NFS servers.
SKEW = 120.0

_ENDED = (b"Z", b"X", b"x")  # states of a process that is no more; proc(5)

_OWNER = re.compile(rb"(\d{1,9}):(\S+)(?:\nboot=(\S+) ns=(\d+) start=(\d+)\n)?")


def host() -> str:
    """Return this machine's name as dotlocks give it."""
    return os.uname().nodename


def own() -> bytes:
    """Return the text of a dotlock of this process."""
    first = f"{os.getpid()}:{host()}\n"
    start = _start(os.getpid())
    if start is None or not _boot():
        return first.encode()
    return f"{first}boot={_boot()} ns={_namespace()} start={start}\n".encode()


@dataclass(frozen=True, slots=True)
class Holder:
    """A process of this host that a dotlock names."""

    pid: int
    boot: str = ""  # empty if the lock does not say
    namespace: int = 0
    start: int = 0  # clock ticks after boot

    @classmethod
    def parse(cls, text: bytes) -> "Holder | None":
        """Read a dotlock; None if it names no process, or one of another host."""
        m = _OWNER.match(text)
        if m is None or m[2] != host().encode():
            return None
        if m[3] is None:
            return cls(int(m[1]))
        return cls(int(m[1]), m[3].decode("ascii", "replace"), int(m[4]), int(m[5]))

    def gone(self, since: float) -> bool:
        """Whether that process has certainly ended.

        since is when the lock was last touched, in seconds since the epoch.
        """
        if not self.boot or not _boot():
            return dead(self.pid, since)
        if self.boot != _boot():
            return True
        if self.namespace != _namespace():
            return False  # its ids mean nothing here
        return dead(self.pid) or _start(self.pid) != self.start


def dead(pid: int, since: float | None = None) -> bool:
    """Whether no process of this machine has that id, or had it at a time since.

    since is in seconds since the epoch; a process that began later is another one.
    One that has ended is dead, whether its parent has heard of that or not.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    start = _start(pid)
    if start is None:
        return _state(pid) in _ENDED
    if since is None:
        return False
    return _booted() + start / os.sysconf("SC_CLK_TCK") > since + SKEW


@lru_cache(maxsize=1)
def _boot() -> str:
    """Return the id of this run of the kernel; empty where there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as f:
            return f.read(64).strip()
    except OSError:
        return ""


def _namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _start(pid: int) -> int | None:
    """Read a living process's start, in clock ticks after boot; proc(5)."""
    words = _stat(pid)
    ended = not words or words[0] in _ENDED
    return None if ended or len(words) < 20 else int(words[19])


def _state(pid: int) -> bytes:
    return (_stat(pid) or [b""])[0]


def _stat(pid: int) -> list[bytes]:
    """Return the words behind a process's name in its stat; none if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            return f.read(4096).rpartition(b")")[2].split()
    except OSError:
        return []


def _booted() -> float:
    """Read the machine's start, in seconds since the epoch."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.time() - time.clock_gettime(clock)
