"""Patterns of LIST against a plain regular expression."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.serve.imapd.listing import Pattern

CASES = [
    ("*", "a/b", True),
    ("%", "a/b", False),
    ("%/b", "a/b", True),
    ("inbox", "INBOX", True),
    ("InBox/%", "INBOX/x", True),
    ("a*b*c", "aXbYc", True),
    ("a%c", "a/c", False),
    ("", "a", False),
    ("*%*%*%*%a" * 20, "b" * 200, False),
]


@pytest.mark.parametrize(("pattern", "name", "match"), CASES)
def test_matches(pattern: str, name: str, *, match: bool) -> None:
    assert Pattern(pattern).matches(name) is match


@given(st.text("ab/*%", max_size=8), st.text("ab/", max_size=8))
def test_as_a_regular_expression(pattern: str, name: str) -> None:
    parts = {"*": ".*", "%": "[^/]*"}
    regex = "".join(parts.get(c, re.escape(c)) for c in pattern)
    assert Pattern(pattern).matches(name) is bool(re.fullmatch(regex, name))
