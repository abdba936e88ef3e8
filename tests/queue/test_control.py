"""The control file: what upas's qer writes and its runq reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.msg.escape import unescape
from mailfs.queue.control import MAX_CONTROL, BadControl, line, parse

CASES = [  # as plan9port's qer writes them
    (
        b'mail root net!b.com a "joe x"@foo \n',
        ["mail", "root", "net!b.com", "a", '"joe x"@foo'],
    ),
    (
        b"mail o%%27neil net!$smtp a@b.com \n",
        ["mail", "o%%27neil", "net!$smtp", "a@b.com"],
    ),
    (b"smtp \xff net!b a \n", ["smtp", "\udcff", "net!b", "a"]),
    ("mail jü net!b a \n".encode(), ["mail", "jü", "net!b", "a"]),
    (  # no blanks but blanks
        "mail a\x0bb\x0c\x1c net!b\x85 a\u2028b\xa0 \n".encode(),
        ["mail", "a\x0bb\x0c\x1c", "net!b\x85", "a\u2028b\xa0"],
    ),
]


@pytest.mark.parametrize(("octets", "words"), CASES)
def test_control(octets: bytes, words: list[str]) -> None:
    assert parse(octets) == tuple(words)
    assert line(words) == octets


@pytest.mark.parametrize(
    "octets", [b"", b"\n", b"mail glenda\n", b"a b c" + b"x" * MAX_CONTROL]
)
def test_no_control(octets: bytes) -> None:
    with pytest.raises(BadControl):
        parse(octets)


@pytest.mark.parametrize("word", ["", "a\nb", "a\rb", "a\0b", 'a"b'])
def test_no_word(word: str) -> None:
    with pytest.raises(BadControl):
        line(["mail", "x", "y", word])


def test_blanks_are_escaped() -> None:
    assert line(["mail", "x", "y", "joe x@b.com"]) == b"mail x y joe%%20x@b.com \n"
    assert unescape("joe%%20x%%27s@b.com %%zz 5%%") == "joe x's@b.com %%zz 5%%"


@given(st.lists(st.text(min_size=1, max_size=12), min_size=3, max_size=5))
def test_words_stay_apart(words: list[str]) -> None:
    try:
        octets = line(words)
    except BadControl:
        return
    assert octets.count(b"\n") == 1
    assert len(parse(octets)) == len(words)


@given(st.binary(max_size=60))
def test_garbage(octets: bytes) -> None:
    try:
        words = parse(octets)
    except BadControl:
        return
    assert len(words) >= 3
    try:
        again = line(words)
    except BadControl:
        return
    assert parse(again) == words
