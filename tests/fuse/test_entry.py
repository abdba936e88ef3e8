"""Directory entries: as 9P tells them, and as the kernel is told."""

import pwd
import stat
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.fuse.abi import ATTR
from mailfs.fuse.entry import Entry, entries, entry, fit, owner
from mailfs.p9.fcall import DMDIR, QTDIR, FormatError, Qid, Stat, owners, unpack_stats

OURS = (501, 502)
OWNER = owner(OURS, "glenda")
FILE = Stat(0, 0, Qid(0, 5, 77), 0o640, 10, 20, 1000, "f", "glenda", "glenda", "x")
DIRECTORY = Stat(
    0, 0, Qid(QTDIR, 6, 0), DMDIR | 0o755, 1, 2, 0, "d", "nobody-here", "g", ""
)

U32, U64 = st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFFFFFFFFFF)
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
STATS = st.builds(
    Stat,
    *(st.just(0), st.just(0), st.builds(Qid, st.sampled_from([0, QTDIR]), U32, U64)),
    *(st.sampled_from([0o644, DMDIR | 0o555]), U32, U32, U64),
    *(NAMES, NAMES, NAMES, NAMES),
)


def test_attributes_of_a_file() -> None:
    told = entry(FILE.pack(), b"f", OWNER)
    assert told == Entry(0, 5, 77, 0o640, 10, 20, 1000, b"f", *OURS)
    assert ATTR.unpack(told.attr()) == (
        *(77, 1000, 2, 10, 20, 20, 0, 0, 0),
        *(stat.S_IFREG | 0o640, 1, *OURS, 0, 4096, 0),
    )
    assert not told.is_dir


def test_attributes_of_a_directory() -> None:
    told = entry(DIRECTORY.pack(), b"d", OWNER)
    assert told.is_dir
    inode, *_ = fields = ATTR.unpack(told.attr())
    assert inode == told.inode != 0  # readers pass over what has none
    assert fields[9] == stat.S_IFDIR | 0o755


def test_owners() -> None:
    root = pwd.getpwuid(0)
    assert OWNER(owners("glenda", "sys", "")) == OURS
    assert OWNER(owners(root.pw_name, "sys", "")) == (0, root.pw_gid)
    assert OWNER(owners("nobody-here", "sys", "")) == OURS


def test_an_entry_by_another_name() -> None:
    assert entry(FILE.pack(), b"/", OWNER).name == b"/"
    with pytest.raises(FormatError, match="too long"):
        entry(FILE.pack() * 2, b"f", OWNER)


def test_a_listing() -> None:
    raw = FILE.pack() + DIRECTORY.pack()
    told = [entry(FILE.pack(), b"f", OWNER), entry(DIRECTORY.pack(), b"d", OWNER)]
    assert list(entries(raw, OWNER)) == told
    for cut in set(range(len(raw))) - {0, len(FILE.pack())}:
        with pytest.raises(FormatError):
            list(entries(raw[:cut], OWNER))


def test_a_listing_with_counts_that_lie() -> None:
    raw = bytearray(FILE.pack())
    for at, size in ((0, 2), (41, 2), (44, 2)):  # of the entry, the name, the user
        for value in (0, 3, 5, 9, 200, 0xFFFF):
            bad = raw.copy()
            bad[at : at + size] = struct.pack("<H", value)
            with pytest.raises(FormatError):
                list(entries(bytes(bad), OWNER))


@given(st.lists(STATS, max_size=4))
def test_the_same_as_the_codec(stats: list[Stat]) -> None:
    raw = b"".join(s.pack() for s in stats)
    told = [entry(s.pack(), s.name.encode(), OWNER) for s in unpack_stats(raw)]
    assert list(entries(raw, OWNER)) == [e for e in told if fit(e.name)]


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_ends(raw: bytes) -> None:
    try:
        list(entries(raw, OWNER))
    except FormatError:
        return


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        (b"a", True),
        (b"...", True),
        (b"x" * 1024, True),
        (b"\xff", True),
        (b"x" * 1025, False),
        (b"", False),
        (b".", False),
        (b"..", False),
        (b"a/b", False),
        (b"/", False),
        (b"a\0", False),
    ],
)
def test_names_that_the_kernel_takes(name: bytes, *, fits: bool) -> None:
    assert fit(name) == fits
