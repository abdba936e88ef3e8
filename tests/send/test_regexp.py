"""regexp(6): what matches, in tables, and what cannot be meant."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.send import regexp
from mailfs.send.regexp import BadPattern

MATCHES = [
    ("abc", "abc", True),
    ("abc", "ABC", True),
    ("FOO", "foo", True),
    ("abc", "abcd", False),
    ("abc", "xabc", False),
    ("a.c", "abc", True),
    ("a.c", "a\nc", False),
    (r"a\.c", "abc", False),
    (r"a\.c", "a.c", True),
    ("[a-c]+", "abccba", True),
    ("[^!@.]+", "glenda", True),
    ("[^!@.]+", "a.b", False),
    ("[^a]", "\n", False),
    (r"[\]\-\^]+", "]-^", True),
    ("[a^]+", "a^", True),
    ("[[]", "[", True),
    ("[a&&b]+", "&", True),
    ("a|b|cd", "cd", True),
    ("(a|ab)(c|bcd)", "abcd", True),
    ("a*", "", True),
    ("ab?c", "ac", True),
    ("a{2}", "aa", False),
    ("a{2}", "a{2}", True),
    (r"\d", "d", True),
    (r"\d", "1", False),
    (r"\w+", "ww", True),
    ("(a)\\1", "a1", True),
    ("^a$", "a", True),
    ("a++", "aaa", True),
    ("a*?", "aaa", True),
    (r"\"(.+)\"", '"x y"', True),
    ("x y", "x y", True),
    ("#", "#", True),
    ("é", "É", True),
]


@pytest.mark.parametrize(("pattern", "text", "want"), MATCHES)
def test_matches(pattern: str, text: str, *, want: bool) -> None:
    assert (regexp.compile(pattern).fullmatch(text) is not None) == want


def test_groups_are_those_of_the_text() -> None:
    found = regexp.compile("([^@]+)@([^@]+)").fullmatch("Bob@Example.ORG")
    assert found is not None
    assert found.groups() == ("Bob", "Example.ORG")
    many = regexp.compile("(a)" * 12).fullmatch("a" * 12)
    assert many is not None
    assert len(many.groups()) == 9


@pytest.mark.parametrize(
    "pattern",
    ["", "a|", "|a", "(", ")", "(a", "a)", "()", "*", "a|*", "(*a)", "[", "[]", "[a",
     "[b-a]", "[a-", "[-a]", "(?:a)", "(?P<x>a)", "a" * 5000],
)  # fmt: skip
def test_bad(pattern: str) -> None:
    with pytest.raises(BadPattern):
        regexp.compile(pattern)


@given(
    st.text(alphabet="ab()[]^$.*+?|\\-{}1d&~", max_size=12), st.text("ab-", max_size=6)
)
def test_anything_is_a_pattern_or_refused(pattern: str, text: str) -> None:
    try:
        found = regexp.compile(pattern)
    except BadPattern:
        return
    assert isinstance(found, re.Pattern)
    found.fullmatch(text)


@given(st.text(max_size=20))
def test_quoted_text_matches_itself_alone(text: str) -> None:
    from mailfs.send.rewrite import regexp_quoted

    if text:
        pattern = regexp.compile(regexp_quoted(text))
        assert pattern.fullmatch(text)
        assert not pattern.fullmatch(text + "x")
