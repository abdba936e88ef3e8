"""Flags as words, pairs of names and addresses, dates."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.attr import tokenize
from mailfs.errors import EARGS, Refused
from mailfs.fs.keyed import flags
from mailfs.fs.keyed.files import ctime, pasted
from mailfs.fs.keyed.people import line, pairs
from mailfs.mailbox.kinds import Flag
from mailfs.msg.address import Address, addresses

SHOWN = [
    (Flag(0), ""),
    (Flag.SEEN, "seen"),
    (Flag.SEEN | Flag.ANSWERED | Flag.RECENT | Flag.DELETED, "replied seen"),
    (flags.ALL, "replied flagged draft seen"),
]
PARSED = [
    ("+seen", Flag.SEEN, Flag(0)),
    ("-seen\n", Flag(0), Flag.SEEN),
    ("+seen -flagged", Flag.SEEN, Flag.FLAGGED),
    ("+seen -seen", Flag(0), Flag.SEEN),
    ("-seen +seen", Flag.SEEN, Flag(0)),
    ("seen", Flag.SEEN, Flag.ANSWERED | Flag.FLAGGED | Flag.DRAFT),
    ("replied flagged draft seen", flags.ALL, Flag(0)),
]
REFUSED = [
    ("", EARGS),
    ("seen +flagged", EARGS),
    ("-seen flagged", EARGS),
    ("+Seen", r"unknown flag \+Seen"),
    ("++seen", "unknown flag"),
    ("+", "unknown flag"),
    ("junk", "unknown flag junk"),
    ("+seen +nonesuch", "unknown flag"),
]


@pytest.mark.parametrize(("bits", "text"), SHOWN)
def test_show(bits: Flag, text: str) -> None:
    assert flags.show(bits) == text


@pytest.mark.parametrize(("text", "add", "drop"), PARSED)
def test_parse(text: str, add: Flag, drop: Flag) -> None:
    assert flags.parse(text) == (add, drop)


@pytest.mark.parametrize(("text", "error"), REFUSED)
def test_refused(text: str, error: str) -> None:
    with pytest.raises(Refused, match=error):
        flags.parse(text)


PEOPLE = [
    ("", "", ""),
    ("j@x", "'' j@x", "j@x"),
    ('"Doe, John" <j@x>', "'Doe, John' j@x", "Doe, John <j@x>"),
    ("John <j@x>, c@y", "John j@x '' c@y", "John <j@x>, c@y"),
    ("c@y (O'Neil)", "'O''Neil' c@y", "O'Neil <c@y>"),
    ("=?utf-8?q?J=C3=B6hn?= <j@x>", "Jöhn j@x", "Jöhn <j@x>"),
    ("a b <>", "", ""),
]


@pytest.mark.parametrize(("value", "words", "shown"), PEOPLE)
def test_people(value: str, words: str, shown: str) -> None:
    boxes = addresses([value.encode()])
    assert pairs(boxes) == words
    assert line(boxes) == shown


TEXT = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), max_size=20)


@given(st.lists(st.tuples(TEXT, TEXT.filter(str.strip))))
def test_pairs_are_read_back(boxes: list[tuple[str, str]]) -> None:
    words = tokenize(pairs(Address(name, addr) for name, addr in boxes))
    assert list(zip(words[::2], words[1::2], strict=True)) == boxes


DATES = [
    ("UTC", "Wed Mar 29 03:58:10 UTC 2006"),
    ("CST6", "Tue Mar 28 21:58:10 CST 2006"),
    ("CET-1CEST,M3.5.0,M10.5.0/3", "Wed Mar 29 05:58:10 CES 2006"),  # three letters
    (
        "<+0530>-5:30",
        "Wed Mar 29 03:58:10 GMT 2006",
    ),  # no name: faces could not read it
]


@pytest.mark.parametrize(("zone", "shown"), DATES)
def test_ctime(zone: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert ctime(1143604690) == shown
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("epoch", [-(1 << 62), -1, 0, 1 << 62])
def test_any_epoch_has_a_date(epoch: int) -> None:
    assert len(tokenize(ctime(epoch))) == 6


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("план 2.pdf", "план_2.pdf"),
        ("a;rm -rf $HOME.txt", "a_rm_-rf__HOME.txt"),
        ("`id`'\"|&<>(){}[]*?!#^=~\\.txt", "_id" + "_" * 21 + ".txt"),
        ("-rf", "_rf"),
        ("..", "__"),
        ("a\u202eb", "a_b"),
        ("", ""),
    ],
)
def test_file_name_inside_a_command(name: str, safe: str) -> None:
    assert pasted(name) == safe
    info = pasted(f"x{name}")
    assert not set(info) & set(" \t\n'\"`$&;|<>()[]{}*?!#^=~\\")
