"""The index gives back what it was given, and rebuilds itself when it cannot."""

import sqlite3
from array import array
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from mailfs.mailbox.index import Index, index_path
from mailfs.mailbox.view import View, first_view, merge

from .test_view import STORE, listing


def save(index: Index, old: View | None, new: View) -> View:
    new = replace(new, generation=(old.generation if old else 0) + 1)
    with index.transaction():
        index.save(old, new)
    return new


def loaded(index: Index) -> View:
    view = index.load(STORE)
    assert view is not None
    return view


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path / "x" / "i.db", "mbox", "/var/mail/me")


def again(index: Index) -> Index:
    return Index(index.path, "mbox", "/var/mail/me")


def test_round_trip(index: Index) -> None:
    assert index.load(STORE) is None
    assert index.generation == 0
    top = (1 << 64) - 1
    rows = listing([1, top, 3], [4, 0, 6], dates=[-5, 1000, 1 << 40], flags=[0, 64, 32])
    view = save(index, None, first_view(rows, 99))
    other = again(index)
    found = loaded(other)
    assert found == view
    assert other.generation == 1
    other.close()
    index.close()


def test_names_as_keys(index: Index) -> None:
    rows = replace(listing([1, 2]), keys=["cur/a:2,S", "new/b"])
    view = save(index, None, first_view(rows, 99))
    assert loaded(index) == view
    index.close()


@pytest.mark.parametrize(
    "after", [[1, 2, 3, 4, 5], [2, 3], [], [1, 9, 3], [3, 2, 1], [1, 2, 3]]
)
def test_save_writes_the_difference(index: Index, after: list[int]) -> None:
    view = save(index, None, first_view(listing([1, 2, 3]), 1))
    new = save(index, view, merge(view, listing(after), 2)[0])
    found = loaded(index)
    order = sorted(found.numbers)
    assert order == list(new)
    assert [found.listing.idents[found.rows([n])[0]] for n in order] == [
        new.listing.idents[new.rows([n])[0]] for n in order
    ]
    assert found.next == new.next
    index.close()


def test_derived_rows_go_with_their_message(index: Index) -> None:
    view = save(index, None, first_view(listing([1, 2, 3]), 1))
    assert list(index.missing("head")) == [1, 2, 3]
    with index.transaction():
        index.put_heads([(1, 0, 10, "a"), (2, 5, 20, "b"), (7, 0, 0, "nobody")])
        index.put_bodies([(2, b"\1" * 20, 3, b"p")])
    assert index.head(2) == (5, 20, "b")
    assert index.head(7) is None
    assert index.body(2) == (b"\1" * 20, 3, b"p")
    assert list(index.missing("head")) == [3]
    save(index, view, merge(view, listing([1, 3]), 2)[0])
    assert index.head(2) is None
    assert index.body(2) is None
    with index.transaction():
        index.outdate([1])
    assert index.head(1) is None
    index.close()


def test_failed_transaction_leaves_no_trace(index: Index) -> None:
    save(index, None, first_view(listing([1]), 1))
    later = replace(loaded(index), generation=7)
    with suppress(ZeroDivisionError), index.transaction():
        index.outdate(None)
        index.save(None, later)
        raise ZeroDivisionError
    assert index.generation == 1
    index.close()


def damage(path: Path, how: str) -> None:
    if how == "garbage":
        path.write_bytes(b"no database at all, but long enough to be read as one" * 99)
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:4096])
    elif how == "torn":
        data = bytearray(path.read_bytes())
        data[4096:12000] = b"\xff" * (12000 - 4096)
        path.write_bytes(data)
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "version":
        db = sqlite3.connect(path)
        db.execute("pragma user_version=9999")
        db.close()


@pytest.mark.parametrize("how", ["garbage", "truncated", "torn", "empty", "version"])
def test_a_bad_index_is_made_afresh(index: Index, how: str) -> None:
    save(index, None, first_view(listing(list(range(1, 500))), 1))
    index.close()
    assert index.path is not None
    for suffix in ("-wal", "-shm"):
        Path(f"{index.path}{suffix}").unlink(missing_ok=True)
    damage(index.path, how)
    other = again(index)
    assert other.load(STORE) is None
    view = save(other, None, first_view(listing([1, 2]), 1))
    assert loaded(other) == view
    other.close()


def test_an_index_of_another_mailbox_is_not_used(index: Index) -> None:
    save(index, None, first_view(listing([1]), 1))
    index.close()
    other = Index(index.path, "mbox", "/var/mail/you")
    assert other.load(STORE) is None
    other.close()


def test_where_nothing_can_be_written_it_is_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    index = Index(tmp_path / "file" / "i.db", "mbox", "x")
    assert index.path is None
    view = save(index, None, first_view(listing([1, 2]), 1))
    assert loaded(index) == view
    index.close()


def test_paths_differ() -> None:
    cache = Path("/c")
    names = ["/a", "/b", "/a/", "\udcff"]
    assert len({index_path(cache, name) for name in names}) == len(names)


def test_offsets_come_back_in_order(index: Index) -> None:
    rows = replace(listing([1, 2, 3]), keys=array("Q", [0, 50, 70]))
    view = save(index, None, first_view(rows, 1))
    swapped = replace(listing([3, 1, 2]), keys=array("Q", [0, 50, 70]))
    save(index, view, merge(view, swapped, 1)[0])
    found = loaded(index)
    assert list(found.listing.keys) == [0, 50, 70]
    assert list(found.numbers) == [3, 1, 2]
    assert list(found) == [1, 2, 3]
    index.close()
