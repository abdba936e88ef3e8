"""Entries packed a column at a time, against Stat.pack one by one."""

from array import array
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.fs import columns
from mailfs.fs.codes import KEYED, Code
from mailfs.fs.columns import Columns, packed
from mailfs.fs.node import MAX_NUMBER, directory, path
from mailfs.mailbox.kinds import Flag
from mailfs.mailbox.message import version
from mailfs.p9.errstr import EDIROFFSET
from mailfs.p9.file import DirHandle, Records

Row = tuple[int, int, int, int]  # number, ident, flags, date

ROWS = st.tuples(
    st.integers(1, MAX_NUMBER),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, 255),
    st.integers(-(1 << 40), 1 << 40),
)


def one_by_one(
    rows: Sequence[Row], first: int, box: int, keyed: int, user: str
) -> bytes:
    found = []
    for number, ident, bits, date in rows:
        seen = bits & ~Flag.RECENT.value if number < first else bits
        qid = path(box, number, 0, Code.MESSAGE) | keyed
        stat = directory(str(number), qid, version(ident, seen), date, user)
        found.append(stat.pack())
    return b"".join(found)


def by_columns(
    rows: Sequence[Row],
    order: Sequence[int],
    first: int,
    box: int,
    keyed: int,
    user: str,
) -> list[Records]:
    made = Columns(
        array("I", [row[0] for row in rows]),
        array("Q", [row[1] for row in rows]),
        bytearray([row[2] for row in rows]),
        array("q", [row[3] for row in rows]),
    )
    before = bytes(made.flags)
    base = path(box, 0, 0, Code.MESSAGE) | keyed
    found = list(packed(made, order, first, base, user))
    assert bytes(made.flags) == before  # the view is left as it is
    return found


@given(
    st.lists(ROWS, unique_by=lambda row: row[0], max_size=30),
    st.integers(0, MAX_NUMBER),
    st.sampled_from([1, 7, 0xFFFF]),
    st.sampled_from([0, KEYED]),
    st.sampled_from(["glenda", "ä" * 20]),
)
def test_it_is_what_packing_one_by_one_gives(
    rows: list[Row], first: int, box: int, keyed: int, user: str
) -> None:
    in_order = sorted(range(len(rows)), key=lambda i: rows[i][0])
    wanted = one_by_one([rows[i] for i in in_order], first, box, keyed, user)
    found = by_columns(rows, in_order, first, box, keyed, user)
    assert b"".join(records.octets for records in found) == wanted
    any_order = range(len(rows))[::-1]
    wanted_so = one_by_one(rows[::-1], first, box, keyed, user)
    found = by_columns(rows, any_order, first, box, keyed, user)
    assert b"".join(records.octets for records in found) == wanted_so
    ascending = [rows[i] for i in in_order]
    found = by_columns(ascending, range(len(rows)), first, box, keyed, user)
    assert b"".join(records.octets for records in found) == wanted


@pytest.mark.parametrize("count", [0, 1, 9, 10, 100, columns.ROWS, columns.ROWS + 1])
def test_long_listings(count: int) -> None:
    rows = [(n, n << 33 | n, n & 255, 1 << 30 | n) for n in range(1, count + 1)]
    found = by_columns(rows, range(count), count // 2, 3, 0, "glenda")
    assert b"".join(r.octets for r in found) == one_by_one(
        rows, count // 2, 3, 0, "glenda"
    )
    assert all(len(r.octets) % r.size == 0 for r in found)


class Listing(DirHandle):
    def __init__(self, found: list[bytes | Records]) -> None:
        super().__init__()
        self.found = found

    def entries(self) -> list[bytes | Records]:
        return self.found


@pytest.mark.parametrize("count", [3, 4, 5, 7, 8, 9, 100])
def test_reads_end_between_records(count: int) -> None:
    handle = Listing([b"abc", Records(b"123456789", 3), b"x", Records(b"ABCDabcd", 4)])
    whole = b"abc123456789xABCDabcd"
    for _ in range(2):  # from 0, it is listed anew
        at, parts = 0, []
        while True:
            data = handle.read(at, count)
            assert isinstance(data, bytes)
            if not data:
                break
            assert len(data) <= count
            parts.append(data)
            at += len(data)
            if count == 3 and at == 13:
                break
        assert b"".join(parts) == whole[: 13 if count == 3 else None]
    with pytest.raises(Exception, match="larger" if count == 3 else EDIROFFSET):
        handle.read(at if count == 3 else 1, count)
