"""What the folders of an account are called."""

import random

from mailfs.mailbox.drivers.called import MAX_CALLED, called

NAMES = [
    *("INBOX", "Work", "Work/2024", "a/b", "a:b", "ctl", "event", "outbox", "mbox"),
    *("..", ".", "two\nlines", "nul\0", "x" * 300, "x" * 301, "ä" * 200, "\udce4pfel"),
    *("\udce5pfel", "a\x7fb", "a\u2028b", "ordinary name"),
]


def test_each_has_a_name_of_its_own() -> None:
    names = called(dict.fromkeys(NAMES, "/"), "INBOX")
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
    names = called(dict.fromkeys(NAMES, "/"), "INBOX")
    shuffled = NAMES[:]
    for seed in range(20):
        random.Random(seed).shuffle(shuffled)
        assert called(dict.fromkeys(shuffled, "/"), "INBOX") == names


def test_another_delimiter() -> None:
    names = called(dict.fromkeys(("a.b", "a/b", "a_b", "a:b"), "."), "INBOX")
    assert (names["a.b"], names["a_b"]) == ("a:b", "a_b")
    assert len({*names.values()}) == 4
