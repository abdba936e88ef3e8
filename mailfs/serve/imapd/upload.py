"""A message that a client sends, with LF as stores keep it, in memory or on disk."""

import os
import tempfile

from mailfs.errors import MailfsError
from mailfs.mailbox.octets import Memory, Octets, Spilled, collect
from mailfs.serve.imapd.binary import encoded

IN_MEMORY = 256 << 10  # octets
MAX_MESSAGE = 64 << 20  # octets; APPENDLIMIT, RFC 7889
MAX_ALL = 1 << 30  # octets of all uploads of a server at once


class NoRoom(MailfsError):
    """A message is too large, or too many are being sent at once."""


class Budget:
    """What all uploads of a server may take."""

    def __init__(self, octets: int = MAX_ALL) -> None:
        self.left = octets

    def take(self, octets: int) -> None:
        """Take a part.  Raises NoRoom."""
        if octets > self.left:
            raise NoRoom("too many messages are being sent; try again later")
        self.left -= octets

    def give(self, octets: int) -> None:
        """Give a part back."""
        self.left += octets


class Incoming:
    """One message that comes piece by piece; its methods may block."""

    def __init__(self, budget: Budget, size: int, *, binary: bool = False) -> None:
        """Take size octets of the budget.  Raises NoRoom.

        binary: the octets are kept as they come, for ends of lines may be none.
        """
        if size > MAX_MESSAGE:
            raise NoRoom(f"message over {MAX_MESSAGE} octets")
        budget.take(size)
        self._budget = budget
        self._size = size
        self._kept: list[bytes] = []
        self._count = 0
        self._held = b""
        self._binary = binary
        self._fd = -1

    @property
    def count(self) -> int:
        """Octets kept so far."""
        return self._count

    def write(self, data: bytes) -> None:
        """Take a piece.  Raises OSError."""
        if self._binary:
            self._put(data)
            return
        text = self._held + data
        self._held = b"\r" if text.endswith(b"\r") else b""
        text = text.removesuffix(self._held) if self._held else text
        self._put(text.replace(b"\r\n", b"\n"))

    def _put(self, text: bytes) -> None:
        self._count += len(text)
        if self._fd < 0 and self._count <= IN_MEMORY:
            self._kept.append(text)
            return
        if self._fd < 0:
            with tempfile.TemporaryFile(prefix="mailfs.") as file:
                self._fd = os.dup(file.fileno())
            text = b"".join([*self._kept, text])
            self._kept.clear()
        at = 0
        while at < len(text):
            at += os.write(self._fd, text[at:])

    def octets(self) -> Octets:
        """Return the whole message.  May block."""
        found = self._whole()
        return collect(encoded(found)) if self._binary else found

    def _whole(self) -> Octets:
        if self._held:
            held, self._held = self._held, b""
            self._put(held)
        if self._fd < 0:
            return Memory(b"".join(self._kept))
        return Spilled(os.dup(self._fd), self._count)

    def close(self) -> None:
        """Let go of it."""
        self._budget.give(self._size)
        self._size = 0
        self._kept.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
