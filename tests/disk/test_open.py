"""Opening regular files only: nothing else is opened, followed or waited for."""

import os
import socket
import stat
from pathlib import Path

import pytest

from mailfs.disk.open import NotRegular, open_regular, read_regular

WAYS = [os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_TRUNC]


def test_a_file_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"octets")
    fd = open_regular(path)
    assert os.read(fd, 10) == b"octets"
    assert not os.get_inheritable(fd)
    os.close(fd)
    assert read_regular(path, 3) == b"oct"


def test_a_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError):
        open_regular(path)
    os.close(open_regular(path, os.O_WRONLY | os.O_CREAT, 0o640))
    assert stat.S_IMODE(path.stat().st_mode) & ~0o640 == 0
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        os.close(open_regular("file", dir_fd=folder))
    finally:
        os.close(folder)


@pytest.mark.parametrize("flags", WAYS)
@pytest.mark.parametrize("follow", [False, True])
def test_nothing_else_is(tmp_path: Path, flags: int, *, follow: bool) -> None:
    fifo, folder, door = (tmp_path / name for name in ("fifo", "folder", "door"))
    os.mkfifo(fifo)
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(door))
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "tofifo").symlink_to("fifo")
    for name in ("fifo", "folder", "door", "tofifo", "/dev/null"):
        with pytest.raises(NotRegular, match="not a regular file"):
            open_regular(tmp_path / name, flags, follow=follow)
    with pytest.raises(OSError, match=r"not a regular file|symbolic links"):
        open_regular(tmp_path / "loop", flags, follow=follow)


@pytest.mark.parametrize("flags", WAYS)
def test_a_link_is_followed_on_request_only(tmp_path: Path, flags: int) -> None:
    (tmp_path / "file").write_bytes(b"octets")
    link = tmp_path / "link"
    link.symlink_to("file")
    with pytest.raises(NotRegular):
        open_regular(link, flags)
    assert (tmp_path / "file").read_bytes() == b"octets"
    os.close(open_regular(link, flags, follow=True))


def test_a_file_of_another_is_refused_before_it_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"octets")
    other = os.geteuid() + 1
    with pytest.raises(PermissionError):
        open_regular(path, os.O_WRONLY | os.O_TRUNC, owners={other})
    assert path.read_bytes() == b"octets"
    os.close(open_regular(path, os.O_WRONLY | os.O_TRUNC, owners={os.geteuid()}))
    assert path.read_bytes() == b""
