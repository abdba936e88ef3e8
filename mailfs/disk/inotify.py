"""inotify(7): which directories have changed, told by a descriptor that can be polled.

The libraries that watch files have a thread wake many times a second for each set of
paths, or want one event loop; this costs nothing until something happens.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from typing import Any

from mailfs.errors import MailfsError

# What may change the messages in a directory.
MODIFY, CLOSE_WRITE = 0x2, 0x8
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
DELETE_SELF, MOVE_SELF = 0x400, 0x800
OVERFLOW, IGNORED = 0x4000, 0x8000
ONLYDIR = 0x1000000

CHANGES = (
    MODIFY | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE
    | DELETE_SELF | MOVE_SELF
)  # fmt: skip
_HEAD = struct.Struct("iIII")
_SIZE = 64 << 10  # octets of events taken at a time


class Inotify:
    """One inotify instance.  Raises MailfsError at its making where there is none."""

    def __init__(self) -> None:
        if not sys.platform.startswith("linux"):
            raise MailfsError("no inotify on this system")
        self._libc: Any = ctypes.CDLL(None, use_errno=True)
        self.fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise MailfsError(f"inotify: {os.strerror(ctypes.get_errno())}")

    def add(self, path: str) -> int:
        """Watch a directory; return its number.  Raises OSError."""
        mask = CHANGES | ONLYDIR
        number: int = self._libc.inotify_add_watch(self.fd, os.fsencode(path), mask)
        if number < 0:
            errno = ctypes.get_errno()
            raise OSError(errno, os.strerror(errno), path)
        return number

    def remove(self, number: int) -> None:
        """Stop watching a directory; it may be gone already."""
        self._libc.inotify_rm_watch(self.fd, number)

    def read(self) -> Iterator[tuple[int, int, str]]:
        """Give (number, mask, name) of what has happened."""
        try:
            data = os.read(self.fd, _SIZE)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            number, mask, _, size = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            name = data[at : at + size].rstrip(b"\0")
            at += size
            yield number, mask, os.fsdecode(name)

    def close(self) -> None:
        """Watch nothing more; nobody may be adding to it."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        """Close the descriptor: nobody adds to it any more."""
        if hasattr(self, "fd"):
            self.close()
