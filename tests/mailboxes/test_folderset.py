"""``DIR/*``: the mailboxes of a directory come, move and go as their files do."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.errors import Refused
from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers.folders import members
from mailfs.mailboxes.registry import MailboxRegistry
from tests.fs.serving import Tree
from tests.wait import until

POLL = 0.05  # seconds between looks, in these tests


def letter(n: int) -> str:
    return f"From a@b Mon Mar  2 09:00:00 2026\nSubject: {n}\n\nbody\n\n"


def maildir(path: Path) -> None:
    for name in ("cur", "new", "tmp"):
        (path / name).mkdir(parents=True)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    tree = Tree(tmp_path / "s")
    place = tree.boxes.place
    tree.boxes = MailboxRegistry(place, tmp_path / "s/cache", poll=POLL)
    yield tree
    tree.close()


def names(tree: Tree) -> set[str]:
    return {box.name for box in tree.boxes}


def found(path: Path) -> dict[str, str]:
    listed = members(f"{path}/*", Place(path / "root", "me"))
    assert listed is not None
    return {one.name: os.path.relpath(one.path, path) for one in listed}


def test_each_kind_of_mailbox_is_found(tmp_path: Path) -> None:
    top = tmp_path / "Mail"
    (top / "lists").mkdir(parents=True)
    (top / "lists" / "go").write_text(letter(1))
    (top / "empty").write_text("")
    (top / "lists" / "notes.txt").write_text("no mail\n")
    (top / "empty.flags").write_text("x")
    (top / ".hidden").write_text(letter(1))
    maildir(top / "Maildir")
    (top / "mh").mkdir()
    (top / "mh" / "1").write_text("Subject: x\n\n")
    (top / "mh" / "inner").mkdir()
    (top / "mh" / "inner" / "7").write_text("Subject: x\n\n")
    (top / "mdir").mkdir()
    (top / "mdir" / "1700000000.00").write_text(letter(1))
    (top / "nothing").mkdir()
    os.mkfifo(top / "fifo")
    (top / "loop").symlink_to(top)
    (top / "away").symlink_to("nowhere")
    assert found(top) == {
        "lists:go": "lists/go",
        "empty": "empty",
        "Maildir": "Maildir",
        "mh": "mh",
        "mh:inner": "mh/inner",
        "mdir": "mdir",
    }


def test_a_maildir_with_subfolders_is_an_account(tmp_path: Path) -> None:
    maildir(tmp_path / "M")
    for name in (".Sent", ".Work.2024", ".Work:2024", ".ctl"):
        maildir(tmp_path / "M" / name)
    (tmp_path / "M" / ".notmail").mkdir()
    titles = found(tmp_path / "M")
    assert titles.pop("") == "."
    assert titles.pop("Sent") == ".Sent"
    assert titles.pop("Work:2024") == ".Work.2024"
    assert sorted(t.partition("~")[0] for t in titles) == ["Work:2024", "ctl"]


def test_odd_names_are_names_of_their_own(tmp_path: Path) -> None:
    odd = [b"ctl", b"event", b"outbox", b"two\nlines", b"x" * 200, b"\xff", b"a:b"]
    for name in odd:
        with open(os.path.join(os.fsencode(tmp_path), name), "w"):
            pass
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("")
    titles = found(tmp_path)
    assert len(titles) == len(odd) + 1
    assert titles["a:b"] == "a/b"
    assert all(title.isprintable() for title in titles)
    assert titles == found(tmp_path)


def test_folders_come_move_and_go(tree: Tree, tmp_path: Path) -> None:
    top = tmp_path / "Mail"
    top.mkdir()
    (top / "one").write_text(letter(1))
    tree.do(tree.boxes.open(f"{top}/*"))
    assert names(tree) == {"one"}
    (top / "two").write_text(letter(2))
    until(lambda: names(tree) == {"one", "two"})
    with tree.client() as client:
        assert client.read("/two/1/subject") == b"2"
        (top / "two").rename(top / "three")
        until(lambda: names(tree) == {"one", "three"})
        assert client.read("/three/1/subject") == b"2"
        (top / "one").unlink()
        until(lambda: names(tree) == {"three"})
        (top / "sub").mkdir()
        (top / "sub" / "deep").write_text(letter(3))
        until(lambda: names(tree) == {"three", "sub:deep"})
        shutil.rmtree(top / "sub")
        until(lambda: names(tree) == {"three"})


def test_a_closed_folder_stays_closed_until_it_is_opened(
    tree: Tree, tmp_path: Path
) -> None:
    top = tmp_path / "Mail"
    top.mkdir()
    for name in ("one", "two"):
        (top / name).write_text(letter(1))
    tree.do(tree.boxes.open(f"{top}/*", "m"))
    assert names(tree) == {"m:one", "m:two"}
    tree.do(tree.boxes.close("m:one"))
    (top / "three").write_text("")
    until(lambda: "m:three" in names(tree))
    assert names(tree) == {"m:two", "m:three"}
    tree.do(tree.boxes.open(f"{top}/*", "m"))
    assert names(tree) == {"m:one", "m:two", "m:three"}
    for name in names(tree):
        tree.do(tree.boxes.close(name))
    tree.do(tree.boxes.open(f"{top}/*", "m"))
    assert len(names(tree)) == 3


def test_a_name_in_use_bars_no_folder(tree: Tree, tmp_path: Path) -> None:
    top, other = tmp_path / "Mail", tmp_path / "one"
    top.mkdir()
    for name in ("one", "two"):
        (top / name).write_text(letter(1))
    other.write_text(letter(9))
    tree.open(other, "one")
    tree.do(tree.boxes.open(f"{top}/*"))
    (mine,) = names(tree) - {"one", "two"}
    assert mine.startswith("one~")
    with tree.client() as client:
        assert client.read("/one/1/subject") == b"9"
        assert client.read(f"/{mine}/1/subject") == b"1"


def test_a_directory_that_is_not_there_yet(tree: Tree, tmp_path: Path) -> None:
    top = tmp_path / "Mail"
    why = tree.do(tree.boxes.serve(f"{top}/*", "m"))
    assert isinstance(why, FileNotFoundError)
    assert names(tree) == {"m"}
    with tree.client() as client:
        assert b"state error\n" in client.read("/m/status")
        with pytest.raises(Refused, match="does not exist"):
            client.ls("/m")
        top.mkdir()
        (top / "one").write_text(letter(1))
        client.write("/ctl", f"open {top}/* m".encode())
    assert names(tree) == {"m:one"}
