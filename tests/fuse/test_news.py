"""What a mount of our own server believes, and how it learns of others' changes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from mailfs import where
from mailfs.fuse.node import FRESH
from mailfs.p9.client import Client
from mailfs.where import DialString
from tests.fuse.world import WAIT, Mounted, fuse, mounting

pytestmark = fuse
SAMPLE = Path(__file__).parents[2] / "mailfs/sample/mbox"


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return Path(shutil.copy(SAMPLE, tmp_path / "box"))


@pytest.fixture
def server(box: Path, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a server of the mailbox, and end it."""
    address = tmp_path / "s"
    words = ["-P", "-m", "mailfs", "fs", "-p", "-f", f"mbox={box}"]
    with subprocess.Popen([sys.executable, *words, "-l", f"unix!{address}"]) as server:
        try:
            within(address.exists)
            yield server
        finally:
            server.send_signal(signal.SIGCONT)
            server.terminate()


@pytest.fixture
def mail(
    server: "subprocess.Popen[bytes]", tmp_path: Path
) -> Iterator[tuple[Mounted, Client]]:
    """Mount it, and be another client of the same server."""
    address = DialString("unix", str(tmp_path / "s"))
    with (
        mounting(tmp_path / "m", "-a", address) as mounted,
        Client(address, uname=where.user(), timeout=WAIT) as other,
    ):
        yield mounted, other


def within(what: Callable[[], bool]) -> None:
    """Wait for something to hold."""
    end = time.monotonic() + WAIT
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def reads(path: Path, octets: bytes) -> bool:
    return path.read_bytes() == octets


def test_what_does_not_change_is_not_asked_for(
    mail: tuple[Mounted, Client], server: "subprocess.Popen[bytes]"
) -> None:
    mounted, _ = mail
    here = os.open(mounted.path / "mbox", os.O_PATH)
    try:
        time.sleep(FRESH / 2)  # by now its news are read
        subjects = [os.open(f"{n}/subject", os.O_RDONLY, dir_fd=here) for n in "123"]
        whole = [os.read(fd, 1000) for fd in subjects]
        sizes = [os.stat(f"{n}/subject", dir_fd=here).st_size for n in "123"]
        server.send_signal(signal.SIGSTOP)
        time.sleep(FRESH * 1.5)
        assert sizes == [os.stat(f"{n}/subject", dir_fd=here).st_size for n in "123"]
        again = [os.open(f"{n}/subject", os.O_RDONLY, dir_fd=here) for n in "123"]
        assert [os.read(fd, 1000) for fd in again] == whole
        for fd in (*subjects, *again):
            os.close(fd)
        server.send_signal(signal.SIGCONT)
    finally:
        os.close(here)


def test_changes_by_others_are_seen(mail: tuple[Mounted, Client], box: Path) -> None:
    mounted, other = mail
    here = mounted.path / "mbox"
    for turn in range(20):
        assert sorted(p.name for p in here.iterdir() if p.is_dir())[:2] == ["1", "2"]
        letter = "+f" if turn % 2 else "-f"
        other.write("/mbox/1/flags", letter.encode())
        within(partial(reads, here / "1/flags", other.read("/mbox/1/flags")))
    other.write("/ctl", b"delete mbox 2 3")
    within(lambda: not (here / "2").exists() and not (here / "3/subject").exists())
    with box.open("ab") as file:
        file.write(b"From a@b Mon Mar  2 13:00:00 2026\nSubject: new\n\nhello\n\n")
    within(lambda: (here / "8/subject").exists())
    assert (here / "8/subject").read_text() == "new"


def test_own_changes_are_seen_at_once(mail: tuple[Mounted, Client]) -> None:
    here = mail[0].path / "mbox"
    for n in "1234567":
        (here / n / "flags").write_text("+f")
        assert (here / n / "flags").read_text()[3] == "f", n
    (here.parent / "ctl").write_text("flag mbox +s 1 2 3")
    assert [(here / n / "flags").read_text()[5] for n in "1234"] == [*"sss-"]
    (here / "1").rmdir()
    (here.parent / "ctl").write_text("delete mbox 3")
    assert [(here / n).exists() for n in "1234"] == [False, True, False, True]


def test_readers_below_a_server_that_hangs_can_be_killed(
    mail: tuple[Mounted, Client], server: "subprocess.Popen[bytes]"
) -> None:
    """It answers neither the request nor its flush.

    Of those who ask at once for a name that the kernel has never seen, only one asks
    us; the kernel has the others wait for its answer, deaf to signals.
    """
    mounted, _ = mail
    assert os.listdir(mounted.path / "mbox")
    server.send_signal(signal.SIGSTOP)
    uses = (["cat", "mbox/2/raw"], ["ls", "mbox"], ["stat", "mbox/7/subject"])
    readers = [subprocess.Popen(words, cwd=mounted.path) for words in uses]
    time.sleep(FRESH / 2)
    for reader, number in zip(
        readers, (signal.SIGKILL, signal.SIGINT, signal.SIGTERM), strict=True
    ):
        assert reader.poll() is None
        reader.send_signal(number)
        assert reader.wait(WAIT) == -number
