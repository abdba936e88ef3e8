"""ndb(6): grammar by table, and the services that ship."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.ndb import shipped
from mailfs.ndb.parse import Entry, Lines, entries, records, show

CASES: list[tuple[str, list[Entry]]] = [
    ("", []),
    ("# nothing\n\n  # more\n", []),
    ("sys=a dom=b.c\n", [[("sys", "a"), ("dom", "b.c")]]),
    (
        "sys=a\n\tdom=b\n ip=1\nsys=c",
        [[("sys", "a"), ("dom", "b"), ("ip", "1")], [("sys", "c")]],
    ),
    ('a="b c" d=e', [[("a", "b c"), ("d", "e")]]),
    ('a="b c', [[("a", "b c")]]),
    ('a="" b=c', [[("a", ""), ("b", "c")]]),
    ('a=b"c d"', [[("a", 'b"c'), ('d"', "")]]),
    ("trusted\n", [[("trusted", "")]]),
    ("a= b=c", [[("a", ""), ("b", "c")]]),
    ("a=b#c d=e # f=g", [[("a", "b#c"), ("d", "e")]]),
    ("a=#b c=d", [[("a", "")]]),
    ('a="#b" c=d', [[("a", "#b"), ("c", "d")]]),
    ("a=b=c", [[("a", "b=c")]]),
    (" a=b", [[("a", "b")]]),
    ("=b c=d", [[("b", ""), ("c", "d")]]),
    ("a=b\r\n c=d\r\n", [[("a", "b"), ("c", "d")]]),
    ("a=b\n#note\n c=d\n", [[("a", "b"), ("c", "d")]]),
    ("a=b\n \t\n c=d\n", [[("a", "b"), ("c", "d")]]),
    ("a=b\n\n c=d\n", [[("a", "b")], [("c", "d")]]),
    ("a=b\n\r\n c=d\n", [[("a", "b")], [("c", "d")]]),
]


@pytest.mark.parametrize(("text", "want"), CASES)
def test_entries(text: str, want: list[Entry]) -> None:
    assert entries(text) == want


LINES: list[tuple[str, list[Lines]]] = [
    ("a=1 b=2\n c=3\n\td=4 e\nf=5", [
        [[("a", "1"), ("b", "2")], [("c", "3")], [("d", "4"), ("e", "")]],
        [[("f", "5")]],
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "want"), LINES)
def test_lines_stay_apart(text: str, want: list[Lines]) -> None:
    assert records(text) == want


@given(st.text(alphabet='ab="# \t\n\r'))
def test_anything_is_taken(text: str) -> None:
    for entry in entries(text):
        assert entry
        assert all(name and "=" not in name for name, _ in entry)


@given(st.lists(st.tuples(st.from_regex(r"[a-z]+", fullmatch=True), st.text(' a#="'))))
def test_what_is_shown_is_read_back(pairs: Entry) -> None:
    plain = [(name, value.replace('"', "")) for name, value in pairs]
    assert entries(show(plain)) == ([plain] if plain else [])


@pytest.mark.parametrize(
    ("service", "port"),
    [("9fs", 564), ("imaps", 993), ("esmtp", 587), ("ssmtp", 465), ("nonesuch", None)],
)
def test_services(service: str, port: int | None) -> None:
    assert shipped.port(service) == port
