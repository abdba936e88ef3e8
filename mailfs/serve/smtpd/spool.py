"""A message while it comes in: short ones in memory, long ones in mail/tmp."""

import os
import tempfile
from pathlib import Path
from threading import Lock

from mailfs.disk.replace import pread_all, write_all
from mailfs.errors import MailfsError

IN_MEMORY = 64 << 10  # octets; beyond them a message goes to a file
UNDER_WAY = 512 << 20  # octets of all messages that are coming in


class SpoolFull(MailfsError):
    """More is coming in than there is room for; another time there may be."""


class Budget:
    """The octets of all messages under way; safe in any thread."""

    def __init__(self, octets: int = UNDER_WAY) -> None:
        self._left = octets
        self._lock = Lock()

    def take(self, octets: int) -> None:
        """Take octets.  Raises SpoolFull."""
        with self._lock:
            if octets > self._left:
                raise SpoolFull("too much mail is coming in")
            self._left -= octets

    def give(self, octets: int) -> None:
        """Give octets back."""
        with self._lock:
            self._left += octets


class Spool:
    """One message; its file has no name, so nothing is left of it after a kill."""

    def __init__(self, root: Path, budget: Budget) -> None:
        self._folder = root / "mail" / "tmp"
        self._budget = budget
        self._taken = 0
        self._parts: list[bytes] = []
        self._fd = -1
        self.front = b""  # put before what has come

    def write(self, octets: bytes) -> None:
        """Add octets; may block.  Raises SpoolFull and OSError."""
        self._budget.take(len(octets))
        self._taken += len(octets)
        if self._fd < 0 and self._taken > IN_MEMORY:
            self._fd = _nameless(self._folder)
            octets = b"".join([*self._parts, octets])
            self._parts = []
        if self._fd < 0:
            self._parts.append(octets)
            return
        write_all(self._fd, octets)

    def read(self) -> bytes:
        """Return the message; may block."""
        if self._fd < 0:
            return self.front + b"".join(self._parts)
        return self.front + pread_all(self._fd, self._taken, 0)

    def head(self, most: int) -> bytes:
        """Read at most so many octets from the beginning; may block."""
        if self._fd < 0:
            return self.read()[:most]
        return (self.front + pread_all(self._fd, min(most, self._taken), 0))[:most]

    def close(self) -> None:
        """Forget the message."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._parts = []
        self._budget.give(self._taken)
        self._taken = 0


def _nameless(folder: Path) -> int:
    """Open a file in folder that has no name; the folder is everybody's, as /tmp is."""
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o1777)
    fd, name = tempfile.mkstemp(prefix=".smtpd", dir=folder)
    os.unlink(name)
    return fd
