"""Feeding one run of octets in pieces: what every incremental reader is held to."""

from collections.abc import Iterator
from typing import Protocol

from hypothesis import strategies as st


class Feeder(Protocol):
    def feed(self, octets: bytes, final: bool = False) -> bytes: ...


def pieces(octets: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut octets into pieces of the given sizes, used over and over."""
    at = i = 0
    while at < len(octets):
        size = sizes[i % len(sizes)] if sizes else len(octets)
        yield octets[at : at + size]
        at += size
        i += 1


def fed(feeder: Feeder, octets: bytes, sizes: list[int]) -> bytes:
    """Return what a feeder makes of octets cut so."""
    out = [feeder.feed(piece) for piece in pieces(octets, sizes)]
    return b"".join(out) + feeder.feed(b"", True)


SIZES = st.lists(st.integers(1, 40), max_size=8)


class Windowed:
    """A source that is no buffer, as a file is; counts what is read of it."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.read = 0
        self.widest = 0

    def __len__(self) -> int:
        return len(self.octets)

    def __getitem__(self, octets: slice, /) -> bytes:
        got = self.octets[octets]
        self.read += len(got)
        self.widest = max(self.widest, len(got))
        return got
