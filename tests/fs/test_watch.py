"""Watching stores: what is watched and for how long, and polling where that fails."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailfs.disk.inotify import Inotify
from mailfs.disk.mounts import filesystem
from mailfs.mailbox.driver import Driver, Place
from mailfs.mailbox.drivers.maildir import Maildir
from mailfs.mailbox.drivers.mbox.driver import Spool
from mailfs.mailbox.drivers.mdir import Mdir
from mailfs.mailbox.drivers.mh import Mh
from mailfs.mailbox.drivers.missing import Missing
from mailfs.mailboxes import watch
from mailfs.mailboxes.watch import Watch
from tests.wait import until

from .conftest import MESSAGES, mbox
from .serving import Tree
from .test_event import FIFTH, Reader, append


@contextmanager
def watching(tree: Tree, watch: Watch) -> Iterator[Watch]:
    """Watch the tree's only mailbox."""
    (box,) = tree.boxes

    async def do(work: Callable[[], object]) -> None:
        work()

    tree.do(do(lambda: watch.add(box)))
    try:
        yield watch
    finally:
        tree.do(do(lambda: watch.discard(box)))
        assert watch._inotify is None
        assert watch._timer is None


def count(tree: Tree) -> int:
    (box,) = tree.boxes
    return box.view.count


@pytest.mark.parametrize("network", [frozenset[str](), None])
def test_an_mbox(tree: Tree, box: Path, network: frozenset[str] | None) -> None:
    """Watched by inotify, then by polling, as on a network's file system."""
    kinds = {filesystem(str(box)).partition(".")[0]} if network is None else network
    with watching(tree, Watch(poll=0.02, network=kinds)) as watch:
        until(lambda: all(w.placing is None for w in watch._boxes.values()))
        assert all(w.polled == (network is None) for w in watch._boxes.values())
        append(box, FIFTH)
        until(lambda: count(tree) == 5)
        new = box.with_name("new")
        new.write_bytes(mbox(MESSAGES[:2]))
        new.rename(box)
        until(lambda: count(tree) == 2)
        box.write_bytes(mbox(MESSAGES[:1]))
        until(lambda: count(tree) == 1)


def test_a_mailbox_reached_by_a_link(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    real = tmp_path / "there" / "real"
    real.write_bytes(mbox(MESSAGES))
    (tmp_path / "link").symlink_to(real)
    tree.open(tmp_path / "link", "linked")
    reader = Reader(tree, "/linked/event")
    append(real, FIFTH)
    assert reader.next().startswith("new linked/5 ")
    reader.close()


def test_a_directory_that_goes_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL", 0.02)
    tree = Tree(tmp_path / "s")
    tree.boxes._watch = Watch(poll=0.02)
    box = tmp_path / "box"
    for name in ("cur", "new", "tmp"):
        (box / name).mkdir(parents=True)
    tree.open(box, "mbox")
    reader = Reader(tree, "/mbox/event")
    (box / "new/1772445764.1.x").write_text("Subject: one\n\n")
    assert reader.next().startswith("new mbox/1 ")
    (box / "new/1772445764.1.x").unlink()
    assert reader.next().startswith("delete mbox/1 ")
    box.rename(tmp_path / "away")
    for name in ("cur", "new", "tmp"):
        (box / name).mkdir(parents=True)
    (box / "new/1772445765.1.x").write_text("Subject: two\n\n")
    assert reader.next().startswith("new mbox/2 ")
    (box / "new/1772445766.1.x").write_text("Subject: three\n\n")
    assert reader.next().startswith("new mbox/3 ")
    reader.close()
    tree.close()


def test_two_mailboxes_in_one_directory(tree: Tree, box: Path) -> None:
    other = box.with_name("other")
    other.write_bytes(mbox(MESSAGES[:1]))
    tree.open(other, "other")
    one, two = Reader(tree, "/mbox/event"), Reader(tree, "/other/event")
    two.close()
    until(lambda: sum(bool(b.listeners) for b in tree.boxes) == 1)
    append(other, FIFTH)
    append(box, FIFTH)
    assert one.next().startswith("new mbox/5 ")
    assert not any(w.polled for w in tree.boxes._watch._boxes.values())
    one.close()


def test_nothing_is_watched_unless_somebody_listens(tree: Tree) -> None:
    assert tree.boxes._watch._inotify is None
    one, two = Reader(tree, "/event"), Reader(tree, "/mbox/event")
    assert tree.boxes._watch._inotify is not None
    one.close()
    assert tree.boxes._watch._inotify is not None
    two.close()
    until(lambda: tree.boxes._watch._inotify is None)


def test_the_names_that_matter_only(tree: Tree, box: Path) -> None:
    looked = []
    with watching(tree, Watch()) as watch:
        watch._look = lambda box, watched: looked.append(box)  # type: ignore[method-assign]
        for name in ("other", "box.lock", "boxes", ".box"):
            box.with_name(name).write_text("x")
        box.with_name("box.flags").write_text("")
        until(lambda: bool(looked))
        assert {box.name for box in looked} == {"mbox"}
        assert len(looked) <= 3  # made, written, closed


def test_an_inotify_that_overflows_looks_at_all(tree: Tree) -> None:
    looked = []
    with watching(tree, Watch()) as watch:
        watch._look = lambda box, watched: looked.append(box)  # type: ignore[method-assign]
        inotify = watch._inotify
        assert inotify is not None
        inotify.read = lambda: iter([(-1, 0x4000, "")])  # type: ignore[method-assign]
        watch._happened()
        del inotify.read
    assert len(looked) == 1


def test_inotify(tmp_path: Path) -> None:
    inotify = Inotify()
    number = inotify.add(str(tmp_path))
    assert list(inotify.read()) == []
    (tmp_path / "ä b").write_text("x")
    names = {(n, name) for n, _, name in inotify.read()}
    assert names == {(number, "ä b")}
    (tmp_path / "ä b").read_text()
    os.listdir(tmp_path)
    assert list(inotify.read()) == []
    with pytest.raises(NotADirectoryError):
        inotify.add(str(tmp_path / "ä b"))
    with pytest.raises(FileNotFoundError):
        inotify.add(str(tmp_path / "nonesuch"))
    inotify.remove(number)
    inotify.close()


def test_filesystem() -> None:
    assert filesystem("/proc/self") == "proc"
    assert filesystem("/") != ""


@pytest.mark.parametrize(
    ("kind", "dirs"),
    [
        (Spool, [("/a", {"b", "b.flags"})]),
        (Maildir, [("/a/b", {"new", "cur"}), ("/a/b/new", None), ("/a/b/cur", None)]),
        (Mh, [("/a/b", None), ("/a", {"b.flags"})]),
        (Mdir, [("/a/b", None), ("/a", {"b.flags"})]),
        (Missing, []),
    ],
)
def test_a_driver_names_what_tells_of_changes(
    tmp_path: Path, kind: type[Driver], dirs: list[tuple[str, set[str] | None]]
) -> None:
    place = Place(tmp_path, "glenda")
    path = str(tmp_path / "linked")
    if kind is Missing:
        driver: Driver = Missing(path, place, OSError())
    else:
        driver = kind(path, place)
    assert list(driver.watched("/a/b")) == dirs
