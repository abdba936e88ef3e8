"""Stored files and their listing."""

import hashlib
import os
from pathlib import Path

import pytest

from mailfs.secstore import shelf
from mailfs.secstore.error import SecstoreError
from mailfs.secstore.shelf import Shelf, StoredFile, good_name, listing, parse_listing

DIGEST = bytes(range(20))
TEXT = (
    "a       \t   32 Nov 22 12:59:33 GMT 2026 AAECAwQFBgcICQoLDA0ODxAREhM=\n"
    "factotum\t10032 Jan 01 00:00:00 GMT 1970 AAECAwQFBgcICQoLDA0ODxAREhM=\n"
)
ENTRIES = [
    StoredFile("a", 32, "Nov 22 12:59:33 GMT 2026", DIGEST),
    StoredFile("factotum", 10032, "Jan 01 00:00:00 GMT 1970", DIGEST),
]


def test_listing_both_ways() -> None:
    assert listing(ENTRIES) == TEXT
    assert parse_listing(TEXT) == ENTRIES
    assert listing([]) == ""
    assert parse_listing("") == []


@pytest.mark.parametrize(
    "text", ["x\n", "a\tb c d\n", "a\t1 x\n", "../x\t1 a b\n", "\t1 a b\n", ".x\t1 a b"]
)
def test_bad_listing(text: str) -> None:
    with pytest.raises(SecstoreError, match="bad directory listing"):
        parse_listing(text)


def test_long_listing() -> None:
    with pytest.raises(SecstoreError, match="too many files"):
        parse_listing(TEXT * 501)


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("factotum", True),
        ("a b", True),
        ("x" * 200, True),
        ("x" * 201, False),
        ("", False),
        (".", False),
        ("..", False),
        (".x", False),
        ("a/b", False),
        (" a", False),
        ("a\t", False),
        ("a\nb", False),
        ("a\0", False),
    ],
)
def test_good_name(name: str, good: bool, tmp_path: Path) -> None:
    assert good_name(name) is good
    if not good:
        for work in (Shelf(tmp_path).get, Shelf(tmp_path).remove):
            with pytest.raises(SecstoreError, match="illegal name"):
                work(name)
        with pytest.raises(SecstoreError, match="illegal name"):
            Shelf(tmp_path).put(name, b"")


def test_put_get_list_remove(tmp_path: Path) -> None:
    one = Shelf(tmp_path)
    one.put("b", b"two")
    one.put("a", b"one")
    one.put("a", b"three")
    assert one.get("a") == b"three"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    os.utime(tmp_path / "a", (0, 0))
    (tmp_path / ".temp").write_text("x")
    (tmp_path / "folder").mkdir()
    entries = one.entries()
    assert [e.name for e in entries] == ["a", "b"]
    assert entries[0] == StoredFile(
        "a",
        5,
        "Jan 01 00:00:00 GMT 1970",
        hashlib.sha1(b"three").digest(),
    )
    one.remove("a")
    with pytest.raises(FileNotFoundError):
        one.get("a")
    with pytest.raises(FileNotFoundError):
        one.remove("a")


def test_disk_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int) -> None:
        raise OSError(28, "No space left on device")

    Shelf(tmp_path).put("a", b"old")
    with monkeypatch.context() as m:
        m.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space"):
            Shelf(tmp_path).put("a", b"new")
    assert Shelf(tmp_path).get("a") == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "MAX_FILES", 2)
    monkeypatch.setattr(shelf, "MAX_FILE", 4)
    one = Shelf(tmp_path)
    one.put("a", b"1234")
    one.put("b", b"12345")
    one.put("b", b"12345")
    with pytest.raises(SecstoreError, match="too many files"):
        one.put("c", b"")
    with pytest.raises(SecstoreError, match="implausible filesize"):
        one.get("b")
    (tmp_path / "b").write_bytes(b"1")
    (tmp_path / "c").write_bytes(b"1")
    with pytest.raises(SecstoreError, match="too many files"):
        one.entries()
