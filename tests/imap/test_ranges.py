"""Sets of uids, held against Python's sets."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.imap.grammar.ranges import MAX_UID, BadRanges, Ranges
from mailfs.imap.window import Batching

CASES = [
    ("", []),
    ("1", [1]),
    ("1:3,7", [1, 2, 3, 7]),
    (f"{MAX_UID}", [MAX_UID]),
]
UIDS = st.frozensets(st.integers(1, 40), max_size=30)


@pytest.mark.parametrize(("text", "uids"), CASES)
def test_both_ways(text: str, uids: list[int]) -> None:
    found = Ranges.parse(text)
    assert str(found) == text
    assert list(found) == uids
    assert len(found) == len(uids)
    assert Ranges.of(uids) == found
    assert repr(found) == f"Ranges('{text}')"


@pytest.mark.parametrize(
    ("text", "same"),
    [("3:1", "1:3"), ("1,2,3", "1:3"), ("5,1:5,2", "1:5"), ("7:7", "7")],
)
def test_in_any_order(text: str, same: str) -> None:
    assert str(Ranges.parse(text)) == same
    assert hash(Ranges.parse(text)) == hash(Ranges.parse(same))


@pytest.mark.parametrize(
    "text",
    ["0", "*", "1:*", "1,", ",1", "1:2:3", "a", "1 2", "4294967296", "-1", "0:3"],
)
def test_refused(text: str) -> None:
    with pytest.raises(BadRanges):
        Ranges.parse(text)


@given(UIDS, UIDS)
def test_as_sets(a: frozenset[int], b: frozenset[int]) -> None:
    x, y = Ranges.of(a), Ranges.of(b)
    assert Ranges.parse(str(x)) == x
    assert set(x | y) == a | b
    assert set(x - y) == a - b
    assert set(x & y) == a & b
    assert [n for n in range(45) if n in x] == sorted(a)
    assert bool(x) == bool(a)
    assert "1" not in x
    gaps = [q[0] - p[1] for p, q in pairwise(x.pairs)]
    assert all(gap > 1 for gap in gaps)


@given(UIDS, st.integers(1, 20))
def test_cut(a: frozenset[int], size: int) -> None:
    found = Ranges.of(a)
    parts = list(found.split(size))
    assert all(len(p) == size for p in parts[:-1])
    assert [u for p in parts for u in p] == sorted(a)
    chunks = list(found.chunks(size + 5))
    assert all(len(str(c)) <= size + 5 for c in chunks)
    assert [u for c in chunks for u in c] == sorted(a)


@given(UIDS, st.integers(1, 5), st.booleans())
def test_windows(a: frozenset[int], first: int, newest: bool) -> None:
    found = Ranges.of(a)
    parts = list(Batching(first, 8).cut(found, newest=newest))
    assert sorted(u for p in parts for u in p) == sorted(a)
    assert all(len(p) <= 8 for p in parts)
    if newest and parts:
        assert max(a) in parts[0]
        edges = [(min(p), max(q)) for p, q in pairwise(parts)]
        assert all(low > high for low, high in edges)


@given(st.binary(max_size=20) | st.text("0123456789:,*", max_size=20))
def test_garbage(text: bytes | str) -> None:
    try:
        found = Ranges.parse(text)
    except BadRanges:
        return
    assert Ranges.parse(str(found)) == found
