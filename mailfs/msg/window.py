"""Octets somewhere, and a view of them that regular expressions can search."""

import re
from mmap import mmap
from typing import Protocol

WINDOW = 1 << 20  # octets read at once from a source that is no buffer
MAX_LINE = 998  # octets of a line that is looked for; RFC 5322 section 2.1.1
REACH = 2 * MAX_LINE + 8  # octets that deciding one match may take


class Source(Protocol):
    """Octets somewhere: a bytes object, a mmap, or a file behind slices of offsets."""

    def __len__(self) -> int: ...

    def __getitem__(self, octets: slice, /) -> bytes: ...


class Window:
    """A view of a source that regular expressions can search, up to end."""

    def __init__(self, source: Source | bytearray, end: int) -> None:
        self.source = source
        self.end = end
        self.buffer: bytes | bytearray | mmap = b""
        self.base = 0
        self.whole = isinstance(source, bytes | bytearray | mmap)
        if isinstance(source, bytes | bytearray | mmap):
            self.buffer = source

    def match(self, pattern: re.Pattern[bytes], at: int) -> re.Match[bytes] | None:
        """Match pattern at an offset; it may take REACH octets."""
        if not self.whole:
            self._load(at, REACH)
        return pattern.match(self.buffer, at - self.base, self.end - self.base)

    def find(self, octets: bytes, at: int) -> int:
        """Find the next occurrence of octets, shorter than REACH, or -1."""
        while True:
            if not self.whole:
                self._load(at, 1)
            found = self.buffer.find(octets, at - self.base, self.end - self.base)
            if found >= 0:
                return self.base + found
            if self.whole or self.base + len(self.buffer) >= self.end:
                return -1
            at = max(at, self.base + len(self.buffer) - len(octets) + 1)
            self._load(at, WINDOW)

    def search(self, pattern: re.Pattern[bytes], at: int) -> re.Match[bytes] | None:
        """Find pattern from an offset on; the match's offsets count from base."""
        if self.whole:
            return pattern.search(self.buffer, at, self.end)
        while True:
            self._load(at, 1)
            size = len(self.buffer)
            m = pattern.search(self.buffer, at - self.base)
            last = self.base + size >= self.end
            if last or (m is not None and m.start() + REACH <= size):
                return m
            if m is not None:
                at = self.base + m.start()
            else:
                at = max(at, self.base + size - REACH)
            self._load(at, WINDOW)

    def read(self, start: int, end: int) -> bytes:
        """Return the octets [start, end)."""
        if self.base <= start and end <= self.base + len(self.buffer):
            return bytes(self.buffer[start - self.base : end - self.base])
        return bytes(self.source[start:end])

    def _load(self, at: int, need: int) -> None:
        """Have need octets from at in the buffer, or all that there are."""
        have = self.base + len(self.buffer)
        if self.base <= at and (at + need <= have or (have >= self.end and at <= have)):
            return
        want = min(WINDOW, self.end - at)
        self.base = at
        self.buffer = self.source[at : at + want]
        if len(self.buffer) < want:  # the source is shorter than it said
            self.end = at + len(self.buffer)
