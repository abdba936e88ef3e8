"""Append-only files of a bounded length, each written by one process at a time.

The writer holds flock(2) on the file, so that of several processes each appends to
one of its own, and whoever comes later goes on with what another left unfinished.
"""

import fcntl
import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock

MAX_OPEN = 64  # files kept open for reading

_SUFFIX = ".seg"


class Segment:
    """One open file; closed when nobody refers to it any more."""

    def __init__(self, number: int, fd: int) -> None:
        self.number = number
        self._fd = fd
        self.end = os.fstat(fd).st_size  # where the next octet goes; writer only

    def __del__(self) -> None:
        os.close(self._fd)

    def lock(self) -> bool:
        """Become the file's writer; False if another process is."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.end = os.fstat(self._fd).st_size
        return True

    def read(self, offset: int, count: int) -> bytes:
        """Return count octets, fewer if the file ends before."""
        return os.pread(self._fd, count, offset)

    def write(self, octets: memoryview, offset: int) -> None:
        """Write all octets at offset.  Raises OSError as the system gives it."""
        while octets:
            count = os.pwrite(self._fd, octets, offset)
            octets = octets[count:]
            offset += count


class Segments:
    """The files of one directory; any thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = Lock()  # of the table of open files only
        self._open: OrderedDict[int, Segment] = OrderedDict()

    def path(self, number: int) -> Path:
        """Name the path of a segment."""
        return self._directory / f"{number:016x}{_SUFFIX}"

    def numbers(self) -> list[int]:
        """Return the numbers of the files that are there."""
        found = []
        for name in os.listdir(self._directory):
            stem, dot, _ = name.partition(_SUFFIX)
            if dot and len(stem) == 16 and set(stem) <= set("0123456789abcdef"):
                found.append(int(stem, 16))
        return found

    def create(self, number: int) -> Segment:
        """Make a segment and open it for writing.  Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return Segment(number, os.open(self.path(number), flags, 0o600))

    def reopen(self, number: int) -> Segment:
        """Open a segment for writing.  Raises OSError."""
        return Segment(number, os.open(self.path(number), os.O_RDWR | os.O_CLOEXEC))

    def get(self, number: int) -> Segment:
        """Return a segment for reading.  Raises OSError, if it was removed too."""
        with self._lock:
            found = self._open.get(number)
            if found is not None:
                self._open.move_to_end(number)
                return found
        fd = os.open(self.path(number), os.O_RDONLY | os.O_CLOEXEC)
        found = Segment(number, fd)
        with self._lock:
            self._open[number] = found
            if len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)
        return found

    def remove(self, number: int) -> None:
        """Remove a segment; who reads it may go on.  Raises OSError."""
        with self._lock:
            self._open.pop(number, None)
        self.path(number).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the open files."""
        with self._lock:
            self._open.clear()
