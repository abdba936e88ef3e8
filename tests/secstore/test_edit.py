"""Editing in memory."""

import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from mailfs.secstore import edit
from mailfs.secstore.error import SecstoreError

SHM = Path("/dev/shm")
memory = pytest.mark.skipif(
    edit.kind(SHM) not in edit.MEMORY, reason="/dev/shm is no file system in memory"
)


def editor(code: str) -> list[str]:
    """Return a command that runs Python code with path = the file."""
    start = "import sys, os, pathlib; path = pathlib.Path(sys.argv[-1]);"
    return [sys.executable, "-c", start + code]


@pytest.fixture
def left() -> list[str]:
    return [n for n in os.listdir(SHM) if n.startswith("mailfs.")]


def same(left: list[str]) -> bool:
    return left == [n for n in os.listdir(SHM) if n.startswith("mailfs.")]


MOUNTS = """\
22 1 {ours} / / rw,relatime shared:1 - ext4 /dev/root rw
23 22 0:99 / /x rw - tmpfs tmpfs rw
"""


def test_kind(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    ours = f"{os.major(device)}:{os.minor(device)}"
    mounts = tmp_path / "mountinfo"
    for text, kind in (
        (MOUNTS.format(ours=ours), "ext4"),
        (MOUNTS.format(ours=ours).replace("ext4", "tmpfs"), "tmpfs"),
        (MOUNTS.format(ours="7:7"), ""),
        ("", ""),
        ("hello\n - \n", ""),
    ):
        mounts.write_text(text)
        assert edit.kind(tmp_path, mounts) == kind
    assert edit.kind(tmp_path, tmp_path / "none") == ""
    assert edit.kind(tmp_path / "none", mounts) == ""


def test_no_memory_no_editing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit, "kind", lambda path: "ext4")
    with pytest.raises(SecstoreError, match="no file system in memory"):
        edit.memory_folder()
    with pytest.raises(SecstoreError, match="not in memory"):
        edit.edit(b"x", "f", editor(""), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_memory_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit, "kind", lambda path: "tmpfs")
    assert edit.memory_folder([None, "/nonexistent", str(tmp_path)]) == tmp_path


def test_swapping(tmp_path: Path) -> None:
    swaps = tmp_path / "swaps"
    swaps.write_text("Filename Type Size\n")
    assert not edit.swapping(swaps)
    swaps.write_text("Filename Type Size\n/dev/sda2 partition 1\n")
    assert edit.swapping(swaps)
    assert edit.swapping(tmp_path / "none")


@memory
def test_edit(left: list[str]) -> None:
    code = "path.write_bytes(path.read_bytes().upper() + path.name.encode())"
    assert edit.edit(b"secret ", "factotum", editor(code), SHM) == b"SECRET factotum"
    assert same(left)


@memory
def test_editor_that_renames_and_leaves_things(left: list[str]) -> None:
    code = (
        "os.rename(path, str(path) + '~'); path.write_text('new');"
        "(path.parent / 'd').mkdir(); (path.parent / 'd/x').write_text('y');"
        "(path.parent / 'link').symlink_to('/etc/passwd')"
    )
    assert edit.edit(b"secret", "f", editor(code), SHM) == b"new"
    assert same(left)
    assert Path("/etc/passwd").read_text()


@memory
def test_file_is_private(left: list[str]) -> None:
    code = (
        "print(oct(path.stat().st_mode), oct(path.parent.stat().st_mode),"
        "file=path.open('a'))"
    )
    out = edit.edit(b"", "f", editor(code), SHM).split()
    assert [stat.S_IMODE(int(n, 8)) for n in out] == [0o600, 0o700]


@memory
@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("sys.exit(3)", "exit status 3"),
        ("path.unlink()", "f: no such file"),
        ("path.write_bytes(bytes((10 << 20) + 1))", "f: over 10485760 octets"),
    ],
)
def test_editor_that_fails(left: list[str], code: str, why: str) -> None:
    with pytest.raises(SecstoreError, match=why):
        edit.edit(b"secret", "f", editor(code), SHM)
    assert same(left)


@memory
def test_no_such_editor(left: list[str]) -> None:
    with pytest.raises(SecstoreError, match="/nonexistent: No such file"):
        edit.edit(b"secret", "f", ["/nonexistent"], SHM)
    assert same(left)


@memory
def test_signal_leaves_nothing(left: list[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    code = f"os.kill(os.getppid(), {int(signal.SIGTERM)}); import time; time.sleep(9)"
    with pytest.raises(SystemExit):
        edit.edit(b"secret", "f", editor(code), SHM)
    assert same(left)
    assert signal.getsignal(signal.SIGTERM) is before


@memory
def test_clear_text_is_overwritten() -> None:
    code = "os.link(path, path.parent.parent / 'mailfs-test-link')"
    link = SHM / "mailfs-test-link"
    try:
        edit.edit(b"secret", "f", editor(code), SHM)
        assert link.read_bytes() == bytes(6)
    finally:
        link.unlink(missing_ok=True)


@memory
def test_vim_is_told_to_keep_nothing(tmp_path: Path) -> None:
    fake = tmp_path / "vim"
    fake.write_text('#!/bin/sh\nfor last; do :; done\nprintf "%s " "$@" >"$last"\n')
    fake.chmod(0o755)
    out = edit.edit(b"", "f", [str(fake)], SHM).decode()
    assert out.startswith("-n -i NONE +set nobackup nowritebackup noundofile /dev/shm/")
