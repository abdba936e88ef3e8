"""Folders of an account sleep until somebody looks; commands find them all the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.errors import EROFS, Refused
from mailfs.mailbox.drivers import open_store
from mailfs.mailboxes.scope import Scope
from mailfs.mailboxes.scopedset import ScopedMailboxes
from tests.fs.serving import Tree, serving


def letters(first: int, last: int) -> str:
    date = "Mon Mar  2 09:00:00 2026"
    return "".join(
        f"From a{i}@b {date}\nSubject: {i}\n\nbody\n\n" for i in range(first, last + 1)
    )


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    """One open mailbox and one that sleeps, as an account has them."""
    with serving(tmp_path / "s") as tree:
        for name, (first, last) in {"mbox": (1, 2), "Work": (3, 5)}.items():
            path = tmp_path / f"box{name}"
            path.write_text(letters(first, last))
            driver = open_store(str(path), tree.boxes.place)
            wake = name == "mbox"
            tree.do(tree.boxes.add(name, str(path), driver, wake=wake))
        assert [box.asleep for box in tree.boxes] == [False, True]
        yield tree


def left(tree: Tree, name: str) -> list[int]:
    with tree.client() as client:
        return [int(e.name) for e in client.ls(f"/{name}") if e.name.isdecimal()]


COMMANDS = [
    ("delete Work 1", [2, 3]),
    ("expunge Work 1 3", [2]),
    ("flag Work +s 2", [1, 2, 3]),
    ("copy Work 1 mbox", [1, 2, 3]),
    ("move Work 2 mbox", [1, 3]),
]


@pytest.mark.parametrize(("command", "stay"), COMMANDS)
def test_commands_on_a_sleeping_folder(
    tree: Tree, command: str, stay: list[int]
) -> None:
    with tree.client() as client:
        client.write("/ctl", command.encode())
        assert left(tree, "Work") == stay
        if command.startswith("flag"):
            assert client.read("/Work/2/flags") == b"----rs-"
        moved = command.endswith("mbox")
        assert left(tree, "mbox") == ([1, 2, 3] if moved else [1, 2])


def test_mail_is_moved_into_a_sleeping_folder(tree: Tree) -> None:
    with tree.client() as client:
        client.write("/ctl", b"move mbox 1 Work")
    assert left(tree, "mbox") == [2]
    assert left(tree, "Work") == [1, 2, 3, 4]


def test_a_narrowed_scope_wakes_it_too(tree: Tree) -> None:
    box = ScopedMailboxes(tree.boxes, Scope(newest=2)).get("Work")
    assert box is not None
    tree.do(box.delete([1, 2]))  # 1 is not seen
    assert left(tree, "Work") == [1, 3]


def test_a_readonly_scope_changes_nothing(tree: Tree) -> None:
    box = ScopedMailboxes(tree.boxes, Scope(readonly=True)).get("Work")
    assert box is not None
    for change in (box.delete([1]), box.expunge([1]), box.move([1], "mbox")):
        with pytest.raises(Refused, match=EROFS):
            tree.do(change)
    assert left(tree, "Work") == [1, 2, 3]


def test_a_sleeping_folder_that_cannot_be_opened(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "boxWork").unlink()
    with tree.client() as client:
        with pytest.raises(Refused, match="does not exist"):
            client.write("/ctl", b"delete Work 1")
        assert b"state error\nerror " in client.read("/Work/status")
        (tmp_path / "boxWork").write_text(letters(3, 5))
        client.write("/ctl", b"delete Work 1")
    assert left(tree, "Work") == [2, 3]
