"""Octets that can be read in pieces, wherever they are.

A message of 200 MB is never in memory whole: a file of the tree is a window on the
stored message, or decoded octets that went to an unlinked temporary file.
"""

import errno
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator

from mailfs.mailbox.kinds import Key, MessageReader

PIECE = 1 << 20  # octets read at a time
IN_MEMORY = 4 << 20  # octets; what is longer goes to a temporary file


class Octets(ABC):
    """A sequence of octets with a known length."""

    __slots__ = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, start: int, end: int) -> bytes:
        """Return octets [start, end), as far as there are any."""

    def __getitem__(self, where: slice) -> bytes:
        start, end, _ = where.indices(len(self))
        return self.read(start, end)

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        """Give octets [start, end) in pieces."""
        while start < end:
            piece = self.read(start, min(start + PIECE, end))
            if not piece:
                return
            yield piece
            start += len(piece)


class Memory(Octets):
    """Octets in memory."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def read(self, start: int, end: int) -> bytes:
        """Return octets [start, end)."""
        return self.data[start:end]


def octets_of(message: "bytes | Octets") -> Octets:
    """Return a message, in memory or elsewhere, as octets."""
    return Memory(message) if isinstance(message, bytes) else message


def whole(message: "bytes | Octets") -> bytes:
    """Return every octet of a message, in memory."""
    if isinstance(message, bytes):
        return message
    return message.read(0, len(message))


def all_of(octets: Octets, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Give octets [start, end) in pieces.  Raises OSError (EIO) if some are missing."""
    end = len(octets) if end is None else end
    for piece in octets.pieces(start, end):
        start += len(piece)
        yield piece
    if start < end:
        raise OSError(errno.EIO, "message ended early")


class Stored(Octets):
    """A message in its store.  Reading raises Stale if it is no longer there."""

    __slots__ = ("ident", "key", "size", "store")

    def __init__(self, store: MessageReader, key: Key, size: int, ident: int) -> None:
        self.store = store
        self.key = key
        self.size = size
        self.ident = ident

    def __len__(self) -> int:
        return self.size

    def read(self, start: int, end: int) -> bytes:
        """Return octets [start, end)."""
        return self.store.read(self.key, self.size, self.ident, start, end)


class Slice(Octets):
    """Octets [start, end) of others."""

    __slots__ = ("end", "source", "start")

    def __init__(self, source: Octets, start: int, end: int) -> None:
        self.source = source
        self.start = start
        self.end = max(start, end)

    def __len__(self) -> int:
        return self.end - self.start

    def read(self, start: int, end: int) -> bytes:
        """Return octets [start, end) of the window."""
        first = min(self.start + start, self.end)
        return self.source.read(first, min(self.start + end, self.end))


def cut(source: Octets, start: int, end: int) -> Octets:
    """Return octets [start, end) of source."""
    if isinstance(source, Memory):
        return Memory(source.data[start:end])
    return Slice(source, start, end)


class Joined(Octets):
    """A few octets in memory before others: a From_ line and its message."""

    __slots__ = ("first", "rest")

    def __init__(self, first: bytes, rest: Octets) -> None:
        self.first = first
        self.rest = rest

    def __len__(self) -> int:
        return len(self.first) + len(self.rest)

    def read(self, start: int, end: int) -> bytes:
        """Return octets [start, end) of both."""
        n = len(self.first)
        if start >= n:
            return self.rest.read(start - n, end - n)
        if end <= n:
            return self.first[start:end]
        return self.first[start:] + self.rest.read(0, end - n)


class Spilled(Octets):
    """Octets in a temporary file that has no name and goes with its last reader."""

    __slots__ = ("_fd", "_size")

    def __init__(self, fd: int, size: int) -> None:
        """Take over fd."""
        self._fd = fd
        self._size = size

    def __del__(self) -> None:
        os.close(self._fd)

    def __len__(self) -> int:
        return self._size

    def read(self, start: int, end: int) -> bytes:
        """Return octets [start, end)."""
        return os.pread(self._fd, max(0, end - start), start)


class Streamed(Octets):
    """Octets that come piece by piece, and are asked for only as far as they are read.

    What has come is kept in a temporary file.  One thread at a time may read.
    """

    __slots__ = ("_fd", "_have", "_make", "_rest", "size")

    def __init__(self, make: Callable[[], Iterable[bytes]]) -> None:
        """Make the pieces by make; again, from the first, after a failure."""
        self.size: int | None = None  # known when the last piece has come
        self._make = make
        self._rest: Iterator[bytes] | None = None
        self._have = 0
        with tempfile.TemporaryFile(prefix="mailfs.") as file:
            self._fd = os.dup(file.fileno())

    def __del__(self) -> None:
        os.close(self._fd)

    def __len__(self) -> int:
        self._reach(None)
        assert self.size is not None
        return self.size

    def read(self, start: int, end: int) -> bytes:
        """Return octets [start, end), as soon as they have come."""
        self._reach(end)
        return os.pread(self._fd, max(0, min(end, self._have) - start), start)

    def _reach(self, end: int | None) -> None:
        while self.size is None and (end is None or self._have < end):
            rest, self._rest = self._rest, None  # of no more use if it fails
            if rest is None:
                rest = _after(self._make(), self._have)
            piece = next(rest, None)
            if piece is None:
                self.size = self._have
                return
            at = 0
            while at < len(piece):
                at += os.pwrite(self._fd, piece[at:], self._have + at)
            self._have += len(piece)
            self._rest = rest


def _after(pieces: Iterable[bytes], count: int) -> Iterator[bytes]:
    """Give pieces without their first count octets."""
    for piece in pieces:
        if count < len(piece):
            yield piece[count:]
        count = max(0, count - len(piece))


def unix(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Give network text with LF line ends; a CR not before LF stays."""
    held = b""
    for piece in pieces:
        text = held + piece
        held = b"\r" if text.endswith(b"\r") else b""
        text = text.removesuffix(held).replace(b"\r\n", b"\n")
        if text:
            yield text
    if held:
        yield held


def collect(pieces: Iterable[bytes]) -> Octets:
    """Keep what pieces give: in memory while it is little, else in a file."""
    kept: list[bytes] = []
    size = 0
    rest = iter(pieces)
    for piece in rest:
        kept.append(piece)
        size += len(piece)
        if size > IN_MEMORY:
            return _spill(kept, size, rest)
    return Memory(b"".join(kept))


def _spill(kept: list[bytes], size: int, rest: Iterator[bytes]) -> Octets:
    with tempfile.TemporaryFile(prefix="mailfs.") as file:
        file.writelines(kept)
        kept.clear()
        for piece in rest:
            size += file.write(piece)
        file.flush()
        return Spilled(os.dup(file.fileno()), size)
