"""What search is asked for, and what matches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.errors import EARGS, Refused
from mailfs.mailboxes.query import FIELDS, MAX_QUERY, Term, is_query, parse

QUERIES = [
    ("needle", [("", "needle")]),
    ("two  words\n", [("", "two words")]),
    ("from:glenda", [("from", "glenda")]),
    ("From:Glenda budget 2026", [("from", "Glenda"), ("", "budget 2026")]),
    ("subject:'on  call' to:x@y z", [("subject", "on call"), ("to", "x@y"), ("", "z")]),
    ("body:it''s", [("body", "its")]),
    ("subject:'it''s here'", [("subject", "it's here")]),
    ("'from:glenda'", [("", "from:glenda")]),
    ("budget from:glenda", [("", "budget from:glenda")]),
    ("http://x.org/", [("", "http://x.org/")]),
    ("from: glenda", [("", "from: glenda")]),
    ("from:'' x", [("", "x")]),
    ("it's", [("", "it's")]),
    ("header:x-spam body:y", [("header", "x-spam"), ("body", "y")]),
]


@pytest.mark.parametrize(("text", "terms"), QUERIES)
def test_parse(text: str, terms: list[tuple[str, str]]) -> None:
    assert parse(text) == tuple(Term(*term) for term in terms)


@pytest.mark.parametrize(("text", "_"), QUERIES)
def test_plain_texts_are_no_queries(text: str, _: object) -> None:
    assert not is_query(text)
    for plain in ("a-b", "salt and pepper", "what? (1)", "x*y", "5 * 3", "at 10:30"):
        assert is_query(plain) == ("(" in plain)


@pytest.mark.parametrize("text", ["", " \n", "from:''", "x" * (MAX_QUERY + 1)])
def test_refused(text: str) -> None:
    with pytest.raises(Refused, match=EARGS):
        parse(text)


MATCHES = [
    ("needle", "a Needle here", True),
    ("needle", "needl", False),
    ("two words", "two\n  words", True),
    ("two words", "the two wordsmiths", True),
    ("two words", "words two", False),
    ("a.c", "abc", False),
    ("a.c d", "abc d", False),
    ("STRASSE", "Hauptstraße 3", True),
    ("ÉCLAIR", "un éclair", True),
    ("a " * 449 + "b", "a " * 500_000, False),
    ("a " * 449 + "b", "a\n" * 500_000 + "b", True),
    ("x y", " " * 1_000_000 + "x" + "\t" * 1_000_000 + "y", True),
]


@pytest.mark.parametrize(("sought", "text", "found"), MATCHES)
def test_finder(sought: str, text: str, *, found: bool) -> None:
    assert Term("", " ".join(sought.split())).finder()(text) == found


@given(st.text(max_size=60) | st.from_regex(r"(from:|'|''|to:|\s|[a-z]){1,12}"))
def test_anything_is_refused_or_understood(text: str) -> None:
    try:
        terms = parse(text)
    except Refused:
        return
    for term in terms:
        assert term.field in ("", *FIELDS)
        assert term.text == " ".join(term.text.split()) != ""
        # what is sought is found in itself
        assert term.finder()(f"x{term.text}x")
