"""The flags file: text both ways, torn, garbled, shared and compacted."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.disk import lock
from mailfs.errors import MailfsError
from mailfs.mailbox import flagfile
from mailfs.mailbox.driver import Place
from mailfs.mailbox.flagfile import FlagEntry, FlagFile
from mailfs.mailbox.kinds import Flag

CASES = [
    (
        FlagEntry("ab.0", 0x1F, 0x2A, Flag.RECENT, Flag.SEEN | Flag.ANSWERED),
        b"ab.0 1f 2a ----r-- a----s-\n",
    ),
    (
        FlagEntry("100.00:12", 0, 0, Flag(0), Flag(0)),
        b"100.00:12 0 0 ------- -------\n",
    ),
    (FlagEntry("x", 1, (1 << 64) - 1, Flag(0x7F), Flag.DRAFT), None),
]


@pytest.mark.parametrize(("entry", "line"), CASES)
def test_line(entry: FlagEntry, line: bytes | None) -> None:
    if line is not None:
        assert entry.line() == line
    whole = entry.line()
    assert FlagEntry.parse(whole[:-1]) == entry
    for cut in range(len(whole) - 1):
        assert FlagEntry.parse(whole[:cut]) is None
    for bad in (b"!" + whole, whole, whole[:-1] + b" x", whole[:-2] + b"?"):
        assert FlagEntry.parse(bad) is None


def opened(tmp_path: Path) -> FlagFile:
    return FlagFile(str(tmp_path / "mbox"), Place(tmp_path / "root", "me"))


ENTRIES = st.lists(
    st.builds(
        FlagEntry,
        st.sampled_from(["a.0", "a.1", "b.0", "c.0"]),
        st.integers(0, (1 << 32) - 1),
        st.integers(0, (1 << 64) - 1),
        st.integers(0, 0x7F).map(Flag),
        st.integers(0, 0x7F).map(Flag),
    ),
    max_size=6,
)


@given(ENTRIES, ENTRIES, st.integers(0, 200), st.binary(max_size=30))
def test_what_a_crash_tears_does_not_count(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[FlagEntry],
    second: list[FlagEntry],
    cut: int,
    noise: bytes,
) -> None:
    tmp_path = tmp_path_factory.mktemp("flags")
    one = opened(tmp_path)
    one.append(first)
    whole = Path(one.beside).read_bytes()
    torn = whole[: max(len(whole) - cut, 0)]
    Path(one.beside).write_bytes(torn)
    two = opened(tmp_path)
    two.read()
    lines = torn.split(b"\n")[1:-1]
    want = {e.identity: e for line in lines if (e := FlagEntry.parse(line))}
    assert two.entries == want
    two.append(second)
    for e in second:
        want[e.identity] = e
    three = opened(tmp_path)
    three.read()
    # A tear that took nothing but the newline is mended by the next line.
    mended = FlagEntry.parse(torn.split(b"\n")[-1])
    if mended is not None and mended.identity not in {e.identity for e in second}:
        want[mended.identity] = mended
    assert three.entries == want
    with open(one.beside, "ab") as f:
        f.write(noise)
    opened(tmp_path).read()


def entry(n: int, flags: Flag = Flag.SEEN) -> FlagEntry:
    return FlagEntry(f"{n:x}.0", n, n, Flag.RECENT, flags)


def test_two_servers(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    before = one.read()
    assert before == flagfile.NONE == one.signature()
    first = one.append([entry(1)])
    assert first == one.signature()
    second = two.append([entry(2), entry(1, Flag.FLAGGED)])
    assert one.signature() == second != first
    assert one.read() == second
    assert one.since(first) == {"2.0": entry(2), "1.0": entry(1, Flag.FLAGGED)}
    assert one.since(before) == one.entries
    assert one.since(second) == {}


def test_compaction_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flagfile, "_SLACK", 5)
    one, two = opened(tmp_path), opened(tmp_path)
    one.append([entry(1)])
    signature = two.read()
    sizes = []
    for i in range(40):
        one.append([entry(2, Flag(i))])
        sizes.append(os.path.getsize(one.beside))
    assert max(sizes) < 1000
    two.read()
    assert two.entries == {"1.0": entry(1), "2.0": entry(2, Flag(39))}
    assert two.since(signature) == two.entries
    assert os.listdir(tmp_path) == ["mbox.flags"]


def test_apart_where_the_directory_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    one = opened(tmp_path)
    one.append([entry(1)])
    assert not os.path.exists(one.beside)
    apart = tmp_path / "root/mail/box/me/flags"
    assert [p.name.count("%2F") > 1 for p in apart.iterdir()] == [True]
    two = opened(tmp_path)
    two.read()
    assert two.entries == {"1.0": entry(1)}
    two.move(str(tmp_path / "other"))
    two = FlagFile(str(tmp_path / "other"), Place(tmp_path / "root", "me"))
    two.read()
    assert two.entries == {"1.0": entry(1)}
    two.remove()
    assert list(apart.iterdir()) == []
    long = FlagFile("/" + "x" * 250 + "/" + "y" * 250, Place(tmp_path, "me"))
    assert len(os.path.basename(long.apart)) < 255


def test_a_full_disk_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = opened(tmp_path)
    one.append([entry(1)])
    before = Path(one.beside).read_bytes()
    true_write = os.write

    def short(fd: int, data: bytes) -> int:
        if len(data) < 10:
            raise OSError(28, "No space left on device")
        return true_write(fd, data[: len(data) - 9])

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(OSError, match="No space"):
        one.append([entry(2)])
    monkeypatch.undo()
    assert Path(one.beside).read_bytes() == before


def test_a_held_lock_is_an_error(tmp_path: Path) -> None:
    one = opened(tmp_path)
    one.append([entry(1)])
    fd = os.open(one.beside, os.O_RDWR)
    assert lock.lock_fd(fd, exclusive=True)
    with pytest.raises(MailfsError, match="can't lock"):
        one.append([entry(2)], wait=0.02)
    os.close(fd)
    monster = Path(one.beside)
    os.truncate(monster, flagfile.MAX_FILE + 1)
    with pytest.raises(MailfsError, match="too big"):
        opened(tmp_path).read()


def test_the_newer_wins() -> None:
    e = FlagEntry("x", 0, 0, Flag.RECENT, Flag.FLAGGED)
    # Nothing new said: ours.  Read elsewhere since: both.
    assert e.merged(int(Flag.RECENT)) == Flag.FLAGGED | Flag.RECENT
    assert e.merged(int(Flag.SEEN)) == Flag.FLAGGED | Flag.SEEN
    e = FlagEntry("x", 0, 0, Flag.SEEN | Flag.FLAGGED, Flag.SEEN | Flag.FLAGGED)
    assert e.merged(int(Flag.SEEN)) == Flag.SEEN
    e = FlagEntry("x", 0, 0, Flag.SEEN, Flag(0))
    assert e.merged(int(Flag.SEEN)) == 0
