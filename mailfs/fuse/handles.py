"""What processes have open, by the numbers the kernel was given for it."""

import errno
import os

from mailfs.fuse.abi import OPEN_OUT, Fopen
from mailfs.fuse.node import FuseNode
from mailfs.fuse.opendir import OpenDir
from mailfs.fuse.openfile import FuseFile
from mailfs.fuse.waiting import WaitingFile
from mailfs.p9.fcall import ORDWR, OREAD, OTRUNC, OWRITE

_ACCESS = {os.O_RDONLY: OREAD, os.O_WRONLY: OWRITE, os.O_RDWR: ORDWR}


class Handles:
    """All open files and directories."""

    def __init__(self) -> None:
        self._handles: dict[int, FuseFile | OpenDir] = {}
        self._next = 1

    def add(self, handle: FuseFile | OpenDir, how: int = 0) -> bytes:
        """Register a handle; return the answer to the open, with those flags."""
        number = self._next
        self._next += 1
        self._handles[number] = handle
        handle.node.opens += 1
        return OPEN_OUT.pack(number, how, 0)

    def add_direct(self, file: FuseFile) -> bytes:
        """Register a file that the kernel must not cache."""
        return self.add(file, Fopen.DIRECT_IO)

    def file(self, number: int) -> FuseFile:
        """Return an open file.  Raises OSError if there is none of that number."""
        file = self._handles.get(number)
        if not isinstance(file, FuseFile):
            raise OSError(errno.EBADF, "no such open file")
        return file

    def directory(self, number: int) -> OpenDir:
        """Return an open directory.  Raises OSError if there is none of that number."""
        directory = self._handles.get(number)
        if not isinstance(directory, OpenDir):
            raise OSError(errno.EBADF, "no such open directory")
        return directory

    def waiting(self, node: FuseNode) -> list[WaitingFile]:
        """List the open handles of a file whose readers wait."""
        handles = self._handles.values()
        return [h for h in handles if isinstance(h, WaitingFile) and h.node is node]

    def directories(self, node: FuseNode) -> list[OpenDir]:
        """Find an open directory by its handle."""
        handles = self._handles.values()
        return [h for h in handles if isinstance(h, OpenDir) and h.node is node]

    def close(self, number: int) -> None:
        """Close the handle of that number, if there is one."""
        handle = self._handles.pop(number, None)
        if handle is not None:
            handle.node.opens -= 1
            handle.close()


def mode(flags: int) -> int:
    """Translate flags of open(2) into a mode of open(5)."""
    access = _ACCESS.get(flags & os.O_ACCMODE, OREAD)
    return access | OTRUNC if flags & os.O_TRUNC else access
