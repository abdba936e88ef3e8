"""A file system that does not answer stops nobody but who asks for it."""

import ctypes
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.mailboxes import registry
from mailfs.mailboxes.registry import CLOSING
from mailfs.p9.client import Client
from tests.fs.serving import Tree

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        os.geteuid() != 0 or not os.path.exists("/dev/fuse"),
        reason="only root can mount what never answers",
    ),
]

SOON = 2.0  # seconds in which who has to do with other mailboxes is served
DETACH = 2  # MNT_DETACH of umount2(2)


@pytest.fixture
def hung(tmp_path: Path) -> Iterator[Path]:
    """A FUSE mount whose server reads no request: each access waits."""
    place = tmp_path / "hung"
    place.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0".encode()
    path = os.fsencode(place)
    assert libc.mount(b"hung", path, b"fuse", 0, options) == 0
    yield place
    libc.umount2(path, DETACH)
    os.close(fd)  # whoever waits is told that nobody is connected


@pytest.mark.parametrize(
    "command", ["open {}/x", "create {}/x", "remove {}/x", "rename {}/x {}/y"]
)
def test_commands_about_it_stop_nobody(
    tmp_path: Path, hung: Path, command: str
) -> None:
    box = tmp_path / "box"
    box.write_text("From a@b Mon Mar  2 09:00:00 2026\nSubject: 1\n\nx\n\n")
    tree = Tree(tmp_path / "s")
    tree.open(box, "mbox")
    asking = []

    def ask() -> None:
        try:
            with tree.client() as client:
                client.write("/ctl", command.format(hung, hung).encode())
        except Exception:  # noqa: BLE001  # it never is answered, or the server ends
            return

    for _ in range(20):  # more than the threads of any pool
        asking.append(threading.Thread(target=ask, daemon=True))
        asking[-1].start()
    end = time.monotonic() + SOON
    with Client(tree.address, uname="glenda", timeout=SOON) as client:
        while time.monotonic() < end:
            assert client.read("/mbox/1/subject") == b"1"
            with box.open("a") as f:
                f.write("From a@b Mon Mar  2 09:00:00 2026\n\nx\n\n")
            time.sleep(0.05)
        assert len(client.ls("/mbox")) > 10
        assert any(thread.is_alive() for thread in asking)
    began = time.monotonic()
    tree.close()
    assert time.monotonic() - began < CLOSING + 10


def test_a_mailbox_there_holds_up_no_start(
    tmp_path: Path, hung: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "ANSWER", 0.2)
    box = tmp_path / "box"
    box.write_text("From a@b Mon Mar  2 09:00:00 2026\nSubject: 1\n\nx\n\n")
    tree = Tree(tmp_path / "s")
    why = tree.do(tree.boxes.serve(f"{hung}/x", "bad"))
    assert isinstance(why, TimeoutError)
    assert tree.do(tree.boxes.serve(str(box), "good")) is None
    with Client(tree.address, uname="glenda", timeout=SOON) as client:
        assert b"file system does not answer" in client.read("/bad/status")
        assert client.read("/good/1/subject") == b"1"
        assert {"bad", "good"} <= {entry.name for entry in client.ls("/")}
    tree.close()
