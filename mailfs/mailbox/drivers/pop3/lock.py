"""Taking turns at a maildrop: a server lets in one session at a time.

The process that serves a mailbox and the one that reads its headers for the index
would refuse each other otherwise.  Whoever waits holds the queue, so that the other,
having let go, cannot be first again.
"""

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

STEP = 0.02  # seconds between attempts


class Turn:
    """The right to talk to one maildrop, among the processes of one cache."""

    def __init__(self, directory: Path, maildrop: str) -> None:
        name = hashlib.sha256(maildrop.encode("utf-8", "surrogateescape")).hexdigest()
        self._path = directory / f"pop3-{name[:16]}"
        self._fd = -1

    def take(
        self,
        wait: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> bool:
        """Wait for the turn, at most wait seconds; False if it did not come.

        Without a directory that can be written everybody has a turn always.
        """
        if self._fd >= 0:
            return True
        end = clock() + wait
        queue = self._open(".queue")
        if queue < 0:
            return True
        turn = -1
        try:
            turn = self._open(".turn")
            for fd in (queue, turn):
                while not _lock(fd):
                    if clock() >= end:
                        return False
                    sleep(STEP)
            self._fd, turn = turn, -1
        finally:
            os.close(queue)
            if turn >= 0:
                os.close(turn)
        return True

    def give(self) -> None:
        """Let others have it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _open(self, suffix: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(f"{self._path}{suffix}", flags, 0o600)
        except OSError:
            return -1


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        return e.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True
