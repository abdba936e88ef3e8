"""The octets of a message to be sent, read in pieces so that memory holds a few."""

import os
from collections.abc import Iterator
from typing import Protocol

from mailfs.disk.replace import pread_all
from mailfs.errors import reason
from mailfs.smtp.fate import DeliveryError

PIECE = 256 << 10  # octets read at once


class MessageSource(Protocol):
    """The octets of one message; safe in any thread."""

    @property
    def size(self) -> int:
        """The octets of the message."""

    def read(self, offset: int, count: int) -> bytes:
        """Read count octets, fewer only at the end.  Raises DeliveryError."""


class OctetSource:
    """A message in memory."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self.size = len(octets)

    def read(self, offset: int, count: int) -> bytes:
        """Return a slice."""
        return self._octets[offset : offset + count]


class FileSource:
    """A message in a file that its owner keeps open, from start to the file's end."""

    def __init__(self, fd: int, start: int = 0) -> None:
        """Take the descriptor.  Raises OSError."""
        self._fd = fd
        self._start = start
        self.size = max(0, os.fstat(fd).st_size - start)

    def read(self, offset: int, count: int) -> bytes:
        """Read from the file; one that became shorter is no message."""
        wanted = max(0, min(count, self.size - offset))
        try:
            octets = pread_all(self._fd, wanted, self._start + offset)
        except OSError as e:
            raise _unread(reason(e)) from e
        if len(octets) < wanted:
            raise _unread("it became shorter")
        return octets


def _unread(why: str) -> DeliveryError:
    text = f"message cannot be read: {why}"
    return DeliveryError(text, permanent=False, enhanced="4.3.0")


def pieces(source: MessageSource, start: int, size: int = PIECE) -> Iterator[bytes]:
    """Yield the octets of a message from start on."""
    while start < source.size:
        octets = source.read(start, size)
        start += len(octets)
        yield octets
