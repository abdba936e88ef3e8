"""The one atomic replace: whatever step fails, the file is the old one or the new."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from mailfs.disk.replace import Steps, create, replace, replacing, sweep, write_all


class Failing(Steps):
    """Fails at one step; before it is done."""

    def __init__(self, step: str) -> None:
        self.step = step

    def _at(self, step: str) -> None:
        if step == self.step:
            raise OSError(28, "no space left on device")

    def sync(self, fd: int) -> None:
        self._at("sync")
        super().sync(fd)

    def rename(self, temp: str, path: str) -> None:
        self._at("rename")
        super().rename(temp, path)

    def link(self, temp: str, path: str) -> None:
        self._at("link")
        super().link(temp, path)

    def sync_dir(self, path: str) -> None:
        self._at("sync_dir")
        super().sync_dir(path)


class Noting(Steps):
    """Notes the order of the steps."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def sync(self, fd: int) -> None:
        self.done.append("sync")
        super().sync(fd)

    def rename(self, temp: str, path: str) -> None:
        self.done.append("rename")
        super().rename(temp, path)

    def link(self, temp: str, path: str) -> None:
        self.done.append("link")
        super().link(temp, path)

    def sync_dir(self, path: str) -> None:
        self.done.append(f"sync {path}")
        super().sync_dir(path)


def by_block(path: Path, data: bytes, steps: Steps) -> None:
    with replacing(str(path), steps=steps) as fd:
        write_all(fd, data)


def by_call(path: Path, data: bytes, steps: Steps) -> None:
    replace(path, data, steps=steps)


WAYS = [by_block, by_call]
Way = Callable[[Path, bytes, Steps], None]


@pytest.mark.parametrize("way", WAYS)
def test_the_order(tmp_path: Path, way: Way) -> None:
    steps = Noting()
    way(tmp_path / "file", b"new", steps)
    assert steps.done == ["sync", "rename", f"sync {tmp_path}"]
    assert (tmp_path / "file").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("step", ["sync", "rename", "sync_dir"])
def test_a_step_fails(tmp_path: Path, way: Way, step: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="no space"):
        way(path, b"new", Failing(step))
    assert path.read_bytes() == (b"new" if step == "sync_dir" else b"old")
    assert os.listdir(tmp_path) == ["file"]


def test_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), replacing(str(path)) as fd:
        write_all(fd, "no octets")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_owner_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with replacing(str(path)):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    with replacing(str(path), like=False):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    replace(path, b"", 0o666)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666  # whatever the umask


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    replace(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


def test_creating(tmp_path: Path) -> None:
    path = tmp_path / "file"
    steps = Noting()
    assert create(path, b"new", 0o666, steps=steps)
    assert steps.done == ["sync", "link", f"sync {tmp_path}"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert not create(path, b"newer")
    assert path.read_bytes() == b"new"
    path.unlink()
    path.symlink_to("nonesuch")
    assert not create(path, b"newer")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("step", ["sync", "link", "sync_dir"])
def test_creating_fails(tmp_path: Path, step: str) -> None:
    path = tmp_path / "file"
    with pytest.raises(OSError, match="no space"):
        create(path, b"new", steps=Failing(step))
    assert os.listdir(tmp_path) == (["file"] if step == "sync_dir" else [])


def test_creating_where_links_are_unknown(tmp_path: Path) -> None:
    class NoLinks(Steps):
        def link(self, temp: str, path: str) -> None:
            raise PermissionError(1, "no links here")

    path = tmp_path / "file"
    assert create(path, b"new", steps=NoLinks())
    assert not create(path, b"newer", steps=NoLinks())
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


def test_what_a_killed_process_left(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        with replacing(str(tmp_path / "file")) as fd:
            write_all(fd, b"half")
            os._exit(0)
    os.waitpid(pid, 0)
    assert len(os.listdir(tmp_path)) == 1
    sweep(str(tmp_path / "file"))
    assert os.listdir(tmp_path) == []
