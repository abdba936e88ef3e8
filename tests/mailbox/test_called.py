"""What the folders of an account are called."""

import random

from mailfs.imap.folders import FolderInfo
from mailfs.mailbox.drivers.imap.account import MAX_CALLED, called

NAMES = [
    *("INBOX", "Work", "Work/2024", "a/b", "a:b", "ctl", "event", "outbox", "mbox"),
    *("..", ".", "two\nlines", "nul\0", "x" * 300, "x" * 301, "ä" * 200, "\udce4pfel"),
    *("\udce5pfel", "a\x7fb", "a\u2028b", "ordinary name"),
]


def test_each_has_a_name_of_its_own() -> None:
    folders = [FolderInfo(name, b"", "/") for name in NAMES]
    names = called(folders)
    assert len({*names.values()}) == len(NAMES)
    assert names["INBOX"] == ""
    assert names["Work/2024"] == "Work:2024"
    assert names["a/b"] == "a:b"
    assert names["ordinary name"] == "ordinary name"
    for folder, name in names.items():
        assert folder == "INBOX" or name not in {"", ".", "..", "ctl", "event", "mbox"}
        assert name.isprintable()
        assert "/" not in name
        assert len(name.encode()) <= MAX_CALLED + 9


def test_in_whatever_order_they_are_listed() -> None:
    folders = [FolderInfo(name, b"", "/") for name in NAMES]
    names = called(folders)
    for seed in range(20):
        random.Random(seed).shuffle(folders)
        assert called(folders) == names


def test_another_delimiter() -> None:
    folders = [FolderInfo(name, b"", ".") for name in ("a.b", "a/b", "a_b", "a:b")]
    names = called(folders)
    assert (names["a.b"], names["a_b"]) == ("a:b", "a_b")
    assert len({*names.values()}) == 4
