"""Ramfs, the worked example: open(5), read(5), stat(5)."""

import pytest

from mailfs.errors import (
    EEXIST,
    EFULL,
    EGONE,
    EINUSE,
    ENOENT,
    ENOTEMPTY,
    EPERM,
    Refused,
)
from mailfs.p9.errstr import EWSTAT
from mailfs.p9.fcall import (
    DMAPPEND,
    DMDIR,
    DMEXCL,
    NOTOUCH,
    OEXEC,
    ORCLOSE,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    QTAPPEND,
    QTDIR,
    Qid,
    unpack_stats,
)
from mailfs.p9.ramfs import Ram, RamDir, RamFile, RamHandle


class Clock:
    now = 1000.5

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ram(clock: Clock) -> Ram:
    return Ram("glenda", max_size=1000, clock=clock)


def make(ram: Ram, name: str, data: bytes = b"", perm: int = 0o644) -> RamFile:
    file, handle = ram.root.create(name, perm, OWRITE)
    assert isinstance(file, RamFile)
    handle.write(0, data)
    handle.close()
    return file


def mkdir(ram: Ram, name: str, perm: int = 0o755) -> RamDir:
    directory, handle = ram.root.create(name, DMDIR | perm, OREAD)
    handle.close()
    assert isinstance(directory, RamDir)
    return directory


def refused(text: str) -> "pytest.RaisesExc[Refused]":
    return pytest.raises(Refused, match=f"^{text}$")


def test_read_and_write(ram: Ram) -> None:
    file = make(ram, "f", b"hello")
    handle = file.open(ORDWR)
    assert handle.write(4, b"p!") == 2
    assert handle.write(8, b"x") == 1
    assert handle.read(0, 99) == b"hellp!\0\0x"
    assert handle.read(7, 1) == b"\0"
    assert handle.read(9, 1) == handle.read(1 << 62, 1) == b""
    assert file.open(OWRITE | OTRUNC).read(0, 1) == b""
    assert (file.length, ram.size) == (0, 0)


def test_stat_follows(ram: Ram, clock: Clock) -> None:
    file = make(ram, "f", b"hello")
    before = file.stat()
    assert before[3:] == (0o644, 1000, 1000, 5, "f", *["glenda"] * 3)
    assert before.qid == file.qid
    clock.now = 2000
    file.open(OWRITE).write(0, b"J")
    after = file.stat()
    assert (after.mtime, after.length) == (2000, 5)
    assert (after.qid.path, after.qid.vers) == (before.qid.path, before.qid.vers + 1)
    assert ram.root.stat().mtime == 1000
    again = make(ram, "g")
    assert ram.root.stat().mtime == 2000
    again.remove()
    assert make(ram, "g").qid.path != again.qid.path


def test_append_only(ram: Ram) -> None:
    file = make(ram, "f", b"one", DMAPPEND | 0o600)
    assert file.qid.type == QTAPPEND
    handle = file.open(ORDWR | OTRUNC)
    assert handle.write(0, b"two") == 3
    assert handle.read(0, 99) == b"onetwo"


def test_exclusive(ram: Ram) -> None:
    file = make(ram, "f", b"", DMEXCL | 0o600)
    handle = file.open(OREAD)
    with refused(EINUSE):
        file.open(OREAD)
    handle.close()
    file.open(OREAD).close()


@pytest.mark.parametrize(
    ("perm", "mode", "allowed"),
    [
        (0o400, OREAD, True),
        (0o400, OWRITE, False),
        (0o400, ORDWR, False),
        (0o400, OEXEC, False),
        (0o400, OREAD | OTRUNC, False),
        (0o200, OWRITE, True),
        (0o200, OREAD, False),
        (0o600, ORDWR, True),
        (0o600, OREAD | OTRUNC, True),
        (0o100, OEXEC, True),
        (0o077, OREAD, False),
    ],
)
def test_permissions(ram: Ram, perm: int, mode: int, *, allowed: bool) -> None:
    file = make(ram, "f", b"", perm)
    if allowed:
        file.open(mode).close()
        return
    with refused(EPERM):
        file.open(mode)


def test_directory_permissions(ram: Ram) -> None:
    directory = mkdir(ram, "d", 0o500)
    with refused(EPERM):
        directory.create("f", 0o644, OREAD)
    directory.wstat(NOTOUCH._replace(mode=DMDIR | 0o700))
    file, _ = directory.create("f", 0o644, OREAD)
    directory.wstat(NOTOUCH._replace(mode=DMDIR | 0o500))
    for use in (
        file.remove,
        lambda: file.open(OREAD | ORCLOSE),
        lambda: file.wstat(NOTOUCH._replace(name="g")),
    ):
        with refused(EPERM):
            use()
    directory.wstat(NOTOUCH._replace(mode=DMDIR | 0o600))
    with refused(EPERM):
        directory.walk("f")
    directory.wstat(NOTOUCH._replace(mode=DMDIR | 0o300))
    with refused(EPERM):
        directory.open(OREAD)


def test_permissions_are_no_more_than_the_directory_s(ram: Ram) -> None:
    directory = mkdir(ram, "d", 0o750)
    file, _ = directory.create("f", 0o777, OREAD)
    inner, _ = directory.create("e", DMDIR | 0o777, OREAD)
    assert file.stat().mode == 0o751  # execute is not masked for files
    assert inner.stat().mode == DMDIR | 0o750


def test_walk(ram: Ram) -> None:
    directory = mkdir(ram, "d")
    assert ram.root.walk("d") is directory
    assert directory.walk("..") is ram.root
    assert ram.root.walk("..") is ram.root
    with refused(ENOENT):
        ram.root.walk("nix")
    with refused(EEXIST):
        ram.root.create("d", 0o644, OREAD)


def test_listing_is_of_one_moment(ram: Ram) -> None:
    for name in "abc":
        make(ram, name)
    handle = ram.root.open(OREAD)
    first = handle.read(0, 70)
    assert isinstance(first, bytes)
    ram.root.children["b"].remove()
    make(ram, "d")
    rest = handle.read(len(first), 999)
    assert isinstance(rest, bytes)
    assert [s.name for s in unpack_stats(first + rest)] == ["a", "b", "c"]
    again = handle.read(0, 999)
    assert isinstance(again, bytes)
    assert [s.name for s in unpack_stats(again)] == ["a", "c", "d"]


def test_remove(ram: Ram) -> None:
    directory = mkdir(ram, "d")
    file, handle = directory.create("f", 0o644, ORDWR)
    handle.write(0, b"kept")
    with refused(ENOTEMPTY):
        directory.remove()
    file.remove()
    with refused(EGONE):
        file.remove()
    assert handle.read(0, 9) == b"kept"  # as long as it is open
    assert ram.size == 4
    handle.close()
    assert ram.size == 0
    directory.remove()
    with refused(EGONE):
        directory.create("g", 0o644, OREAD)
    with refused(EPERM):
        ram.root.remove()


def test_wstat(ram: Ram) -> None:
    file = make(ram, "f", b"hello")
    make(ram, "g")
    file.wstat(NOTOUCH)
    change = NOTOUCH._replace(name="h", mode=0o600, mtime=7, length=3)
    file.wstat(change)
    assert ram.root.walk("h") is file
    assert "f" not in ram.root.children
    stat = file.stat()
    assert (stat.name, stat.mode, stat.mtime, stat.length) == ("h", 0o600, 7, 3)
    file.wstat(stat)  # what is so already may be said
    file.wstat(NOTOUCH._replace(length=6))
    assert file.open(OREAD).read(0, 9) == b"hel\0\0\0"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "g"}, EEXIST),
        ({"name": ".."}, EEXIST),
        ({"mode": DMDIR | 0o755}, EWSTAT),
        ({"length": 2000}, EFULL),
        ({"uid": "root"}, EWSTAT),
        ({"gid": "root"}, EWSTAT),
        ({"muid": "root"}, EWSTAT),
        ({"atime": 1}, EWSTAT),
        ({"type": 1}, EWSTAT),
        ({"dev": 1}, EWSTAT),
        ({"qid": Qid(0, 0, 99)}, EWSTAT),
    ],
)
def test_wstat_changes_all_or_nothing(
    ram: Ram, change: dict[str, object], why: str
) -> None:
    file = make(ram, "f", b"hello")
    make(ram, "g")
    before = file.stat()
    all_of_it = {"name": "h", "mode": 0o600, "mtime": 7, "length": 3} | change
    with refused(why):
        file.wstat(NOTOUCH._replace(**all_of_it))  # type: ignore[arg-type]
    assert file.stat() == before


def test_wstat_of_directories(ram: Ram) -> None:
    directory = mkdir(ram, "d")
    directory.wstat(NOTOUCH._replace(length=0, name="e"))
    assert ram.root.walk("e") is directory
    for change in NOTOUCH._replace(length=1), NOTOUCH._replace(mode=0o755):
        with refused(EWSTAT):
            directory.wstat(change)
    with refused(EPERM):
        ram.root.wstat(NOTOUCH._replace(name="x"))


def test_wstat_of_a_read_only_file(ram: Ram) -> None:
    file = make(ram, "f", b"hello", 0o444)
    with refused(EPERM):
        file.wstat(NOTOUCH._replace(length=0))


def test_there_is_an_end_to_memory(ram: Ram) -> None:
    file = make(ram, "f", b"x" * 999)
    handle = file.open(OWRITE)
    with refused(EFULL):
        handle.write(1 << 62, b"x")
    with refused(EFULL):
        handle.write(999, b"xx")
    assert handle.write(999, b"x") == 1
    assert handle.write(0, b"y") == 1
    file.wstat(NOTOUCH._replace(length=0))
    assert ram.size == 0


def test_attach(ram: Ram) -> None:
    root = ram.attach("anybody", "")
    assert (root.qid.type, root.stat().name) == (QTDIR, "/")
    assert isinstance(make(ram, "f").open(OREAD), RamHandle)
