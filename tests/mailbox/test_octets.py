"""Octets that come as they are read, and network line ends."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.mailbox.octets import Streamed, unix

CASES = [
    (b"", b""),
    (b"a\r\nb\r\n", b"a\nb\n"),
    (b"a\nb", b"a\nb"),
    (b"\r", b"\r"),
    (b"\r\r\n\r", b"\r\n\r"),
    (b"a\rb\r\n\n", b"a\rb\n\n"),
    (b"\0\r\n\xff", b"\0\n\xff"),
]


@pytest.mark.parametrize(("network", "text"), CASES)
def test_line_ends(network: bytes, text: bytes) -> None:
    assert b"".join(unix([network])) == text
    for cut in range(len(network) + 1):
        assert b"".join(unix([network[:cut], network[cut:]])) == text
    assert b"".join(unix(bytes([c]) for c in network)) == text


@given(st.lists(st.binary(max_size=9)))
def test_line_ends_wherever_it_is_cut(pieces: list[bytes]) -> None:
    assert b"".join(unix(pieces)) == b"".join(pieces).replace(b"\r\n", b"\n")


class Source:
    """Pieces that are counted as they are taken."""

    def __init__(self, *pieces: bytes) -> None:
        self.rest = list(pieces)
        self.taken = 0

    def __iter__(self) -> "Source":
        return self

    def __next__(self) -> bytes:
        if not self.rest:
            raise StopIteration
        self.taken += 1
        return self.rest.pop(0)


def test_no_more_is_asked_for_than_is_read() -> None:
    source = Source(b"abc", b"", b"def", b"ghi")
    octets = Streamed(lambda: source)
    assert source.taken == 0
    assert octets.read(0, 2) == b"ab"
    assert source.taken == 1
    assert octets.read(1, 4) == b"bcd"
    assert source.taken == 3
    assert octets.size is None
    assert octets.read(0, 1) == b"a"  # again
    assert octets.read(8, 20) == b"i"
    assert octets.read(20, 30) == b""
    assert octets.size == len(octets) == 9


def test_its_length_is_known_once_all_has_come() -> None:
    octets = Streamed(lambda: Source(b"abc", b"de"))
    assert len(octets) == 5
    assert octets[1:4] == b"bcd"


def test_what_fails_on_the_way_is_tried_again_from_the_first() -> None:
    made: list[int] = []

    def make() -> Iterator[bytes]:
        made.append(len(made))
        yield b"ab"
        if len(made) == 1:
            raise ConnectionError("gone")
        yield b"cd"
        if len(made) == 2:
            raise ConnectionError("gone again")
        yield b"ef"

    octets = Streamed(make)
    assert octets.read(0, 1) == b"a"
    for _ in range(2):
        with pytest.raises(ConnectionError):
            octets.read(0, 6)
        assert octets.size is None
    assert octets.read(0, 9) == b"abcdef"
    assert octets.size == 6
    assert made == [0, 1, 2]
