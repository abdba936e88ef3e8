import mmap
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.msg import header
from mailfs.msg.header import scan

Fields = list[tuple[bytes, bytes]]

# octets, end, body, fields
BLOCKS: list[tuple[bytes, int, int, Fields]] = [
    (b"", 0, 0, []),
    (b"\nbody", 0, 1, []),
    (b"\r\nbody", 0, 2, []),
    (b"A: b\n\nbody", 5, 6, [(b"A", b" b")]),
    (b"A: b\r\n\r\nbody", 6, 8, [(b"A", b" b\r")]),
    (b"A: b\r\n\nbody", 6, 7, [(b"A", b" b\r")]),
    (b"A: b\n", 5, 5, [(b"A", b" b")]),
    (b"A: b", 4, 4, [(b"A", b" b")]),
    (b"A:b\n c\n\td\nE:\n\n", 13, 14, [(b"A", b"b\n c\n\td"), (b"E", b"")]),
    (b"A : b\n\n", 6, 7, [(b"A", b" b")]),
    (b"A: b\n \n c\n\nx", 10, 11, [(b"A", b" b\n \n c")]),
    # Lines that are no field: skipped in the middle, at the start only if From_.
    (b"A: b\njunk\n more: x\nTo: d\n\n", 25, 26, [(b"A", b" b"), (b"To", b" d")]),
    (b"A: b\nno name: x\nX-C: d\n\n", 23, 24, [(b"A", b" b"), (b"X-C", b" d")]),
    (b"From a@b Thu Jan  1 00:00:00 1970\nA: b\n\n", 39, 40, [(b"A", b" b")]),
    (b">From a@b Thu Jan  1\nA: b\n\n", 26, 27, [(b"A", b" b")]),
    (b"A: b\n>From x\nC: d\n\n", 18, 19, [(b"A", b" b"), (b"C", b" d")]),
    (b"just text\n\nmore", 0, 0, []),
    (b"two words: text\n\nmore", 0, 0, []),
    (b" folded: text\n\nmore", 0, 0, []),
    (b": nameless\n\nmore", 0, 0, []),
    (b"From: a\n\n", 8, 9, [(b"From", b" a")]),
    (b"A: b\0c\n\n", 7, 8, [(b"A", b" b\0c")]),
    (b"A: b\n\0\n\n", 5, 5, [(b"A", b" b")]),
    (b"S: caf\xe9\n\n", 8, 9, [(b"S", b" caf\xe9")]),
]


@pytest.mark.parametrize(("octets", "end", "body", "fields"), BLOCKS)
def test_scan(octets: bytes, end: int, body: int, fields: Fields) -> None:
    h = scan(octets)
    assert (h.start, h.end, h.body, h.fields) == (0, end, body, fields)
    for before in (b"", b"zz\n\n", b"A: b\n"):
        at = len(before)
        h = scan(before + octets + b"\n\nC: d\n\n", at, at + len(octets))
        assert (h.start, h.end, h.body) == (at, at + end, at + body)
        assert h.fields == fields


def test_values_are_one_line_and_names_of_any_case() -> None:
    h = scan(
        b"Subject: a\r\n  b\tc\r\nTO: x\r\nto : y\r\n z\r\nX-Nul: \0\x1ba\r\n"
        b"Subject: second\r\n\r\n"
    )
    assert h.raw(b"subject") == b"a b c"
    assert h.all(b"subject") == [b"a b c", b"second"]
    assert h.all(b"to") == [b"x", b"y z"]
    assert h.raw(b"x-nul") == b"a"
    assert h.raw(b"from") is None
    assert h.all(b"from") == []


def test_a_line_without_colon_hides_no_field() -> None:
    h = scan(b"A: 1\nsubject\nSubject: 2\nsubject\n\n")
    assert h.all(b"subject") == [b"2"]


def test_buffers_of_any_kind() -> None:
    octets = b"zzz\nA: b\n c\n\nbody"
    with tempfile.TemporaryFile() as f:
        f.write(octets)
        f.flush()
        with mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            for source in (octets, bytearray(octets), mapped):
                h = scan(source, 4)
                assert (h.start, h.end, h.body) == (4, 12, 13)
                assert h.raw(b"a") == b"b c"


def test_hostile_blocks() -> None:
    long = b"A: " + b"x" * 10_000_000
    h = scan(long + b"\nB: c\n\n")
    assert (h.end, len(h.raw(b"a") or b""), h.raw(b"b")) == (10_000_009, 10**7, b"c")
    h = scan(b"A:" + b"\n x" * 200_000 + b"\n\n")
    assert len(h.raw(b"a") or b"") == 400_000 - 1
    h = scan(b"x" * 5_000_000)
    assert (h.end, h.body) == (0, 0)
    h = scan(b"x: \n" * 100_000 + b"Y: z\n\n")
    assert h.end == 400_005
    assert len(h.fields) == header.MAX_FIELDS
    assert h.raw(b"y") is None
    h = scan(b"x: " + b"y" * header.MAX_BLOCK + b"\nB: c\n\nbody")
    assert h.end == header.MAX_BLOCK + 9
    assert h.raw(b"b") is None


CONTROLS = bytes(set(range(32)) - set(b"\t\n")) + b"\x7f"  # what unfolding drops
LINES = st.sampled_from(
    [b"A: b", b"a:", b"\n", b"\r\n", b" ", b"\t", b":", b"From ", b"\0", b"x"]
)
NEAR = st.lists(LINES | st.binary(max_size=3), max_size=25).map(b"".join)


@given(NEAR)
def test_any_octets_have_some_header(octets: bytes) -> None:
    h = scan(octets)
    assert 0 == h.start <= h.end <= h.body <= len(octets)
    assert octets[h.end : h.body] in (b"", b"\n", b"\r\n")
    assert b"\n\n" not in octets[: h.end]
    for name, value in h.fields:
        assert name + b":" in octets.replace(b" ", b"").replace(b"\t", b"")
        line = h.all(name.lower())
        shown = value.translate(None, CONTROLS)
        assert shown.split() == [] or any(line)
        assert not any(b"\n" in one for one in line)
