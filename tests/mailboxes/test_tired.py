"""A mailbox that nobody uses goes to sleep and is there as before when it wakes."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.mailboxes.registry import MailboxRegistry
from mailfs.p9.client import Client
from tests.fs.serving import Tree
from tests.wait import until

REST = 0.2  # seconds, in these tests


def letter(n: int) -> str:
    return f"From a@b Mon Mar  2 09:00:00 2026\nSubject: {n}\n\nbody {n}\n\n"


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    tree = Tree(tmp_path / "s")
    place = tree.boxes.place
    tree.boxes = MailboxRegistry(place, tmp_path / "s/cache", rest=REST)
    yield tree
    tree.close()


def asleep(tree: Tree) -> bool:
    return all(box.asleep for box in tree.boxes)


def descriptors() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
    return found


def shown(client: Client, name: str) -> dict[str, object]:
    """What a client sees of a mailbox: versions and flags too."""
    seen: dict[str, object] = {"": client.stat(f"/{name}")}
    for entry in client.ls(f"/{name}"):
        if entry.name.isdecimal():
            seen[entry.name] = (entry, client.read(f"/{name}/{entry.name}/flags"))
    return seen


def test_nothing_changes_by_sleep(tree: Tree, tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_text(letter(1) + letter(2))
    tree.open(path, "mbox")
    with path.open("a") as f:
        f.write(letter(3))  # a message that is new in this run
    with tree.client() as client:
        before = shown(client, "mbox")
        with client.open("/mbox/2/body") as file:
            assert file.read(3) == b"bod"
            until(lambda: asleep(tree))
            assert client.stat("/mbox") == before[""]
            assert asleep(tree)  # looking at a list opens nothing
            assert file.read(100) == b"y 2\n"
        until(lambda: not [d for d in descriptors() if str(path) in d])
        until(lambda: not [d for d in descriptors() if "/index/" in d])
        assert b"state asleep" in client.read("/mbox/status")
        assert shown(client, "mbox") == before
        until(lambda: asleep(tree))
        client.write("/mbox/2/flags", b"+f")
        until(lambda: asleep(tree))
        client.write("/ctl", b"delete mbox 1")
        assert set(shown(client, "mbox")) == {"", "2", "3"}


def test_one_that_is_used_stays_awake(tree: Tree, tmp_path: Path) -> None:
    for name in ("used", "idle"):
        (tmp_path / name).write_text(letter(1))
        tree.open(tmp_path / name, name)
    used, idle = tree.boxes
    with tree.client() as client:

        def idle_sleeps() -> bool:
            client.stat("/used")
            assert not used.asleep
            return idle.asleep

        until(idle_sleeps)


def test_who_listens_hears_of_what_came_meanwhile(tree: Tree, tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_text(letter(1))
    tree.open(path, "mbox")
    with tree.client() as client, tree.client() as reader, reader.open("/event") as f:
        # The first message tells that the reader listens.
        heard: list[bytes] = []
        thread = threading.Thread(target=lambda: heard.append(f.read(4096)))
        thread.start()
        until(tree.heard)
        until(lambda: asleep(tree))
        with path.open("a") as box:
            box.write(letter(2))
        thread.join(20)
        assert heard[0].startswith(b"new mbox/2 ")
        assert client.read("/mbox/2/subject") == b"2"


def test_few_are_open_where_many_are_used(tmp_path: Path) -> None:
    idle = threading.active_count()  # other tests leave theirs
    tree = Tree(tmp_path / "s")
    tree.boxes = MailboxRegistry(tree.boxes.place, tmp_path / "s/cache", most=5)
    try:
        top = tmp_path / "Mail"
        top.mkdir()
        for n in range(60):
            (top / f"f{n}").write_text(letter(n))
        tree.do(tree.boxes.open(f"{top}/*"))
        before = threading.active_count()
        assert before - idle < 40
        with tree.client() as client:
            for _ in range(2):
                for n in range(60):
                    assert client.read(f"/f{n}/1/subject") == b"%d" % n
            until(lambda: sum(not box.asleep for box in tree.boxes) <= 5)
            until(lambda: len([d for d in descriptors() if "/index/" in d]) <= 5 * 8)
    finally:
        tree.close()
