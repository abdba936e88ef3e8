"""ndb(6): grammar by table, and the services that ship."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.ndb import shipped
from mailfs.ndb.parse import Entry, entries

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
    ("trusted\n", [[("trusted", "")]]),
    ("a= b=c", [[("a", ""), ("b", "c")]]),
    ("a=b#c d=e # f=g", [[("a", "b#c"), ("d", "e")]]),
    ("a=b=c", [[("a", "b=c")]]),
    (" a=b", [[("a", "b")]]),
]


@pytest.mark.parametrize(("text", "want"), CASES)
def test_entries(text: str, want: list[Entry]) -> None:
    assert entries(text) == want


@given(st.text(alphabet='ab="# \t\n'))
def test_anything_is_taken(text: str) -> None:
    for entry in entries(text):
        assert entry
        assert all(name and "=" not in name for name, _ in entry)


@pytest.mark.parametrize(
    ("service", "port"), [("9fs", 564), ("imaps", 993), ("nonesuch", None)]
)
def test_services(service: str, port: int | None) -> None:
    assert shipped.port(service) == port
