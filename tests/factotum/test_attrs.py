"""Attribute lists: parsed and printed; spec 1.3 of factotum's manual."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.attr import (
    MAX_ATTRS,
    Attr,
    normal,
    parse,
    reveal,
    show,
    tokenize,
    value,
    without,
)
from mailfs.errors import MailfsError

CASES = [
    ("", [], ""),
    ("a=b", [("a", "b")], "a=b"),
    ("a=b\tc=d\r\n", [("a", "b"), ("c", "d")], "a=b c=d"),
    ("a='b c'", [("a", "b c")], "a='b c'"),
    ("a'b c'=d", [("ab c", "d")], "'ab c'=d"),
    ("a='it''s'", [("a", "it's")], "a='it''s'"),
    ("a=b=c", [("a", "b=c")], "a=b=c"),
    ("a=", [("a", "")], "a=''"),
    ("confirm", [("confirm", "")], "confirm=''"),
    ("user?", [("user", None)], "user?"),
    ("user? user=al", [("user", "al")], "user=al"),
    ("user=al user?", [("user", "al")], "user=al"),
    ("user? user?", [("user", None)], "user?"),
    ("owner=a owner=b", [("owner", "a"), ("owner", "b")], "owner=a owner=b"),
    ("!password=x", [("!password", "x")], "!password=x"),
    ("!password?", [("!password", None)], "!password?"),
    ("?", [("", None)], "''?"),
    ("=x", [("", "x")], "''=x"),
    ("a=b?", [("a", "b?")], "a=b?"),
    ("x='*=#' y=é", [("x", "*=#"), ("y", "é")], "x=*=# y=é"),
]


@pytest.mark.parametrize(("text", "want", "printed"), CASES)
def test_lists(text: str, want: list[tuple[str, str | None]], printed: str) -> None:
    attrs = parse(text)
    assert attrs == tuple(Attr(*pair) for pair in want)
    assert reveal(attrs) == printed
    assert parse(printed) == attrs


def test_private_values_do_not_print() -> None:
    attrs = parse("user=al !password=hush")
    assert show(attrs) == "user=al !password?"
    assert "hush" not in f"{attrs} {attrs!r} {attrs[1]}"
    assert reveal(attrs) == "user=al !password=hush"


def test_too_many_is_refused_without_the_text() -> None:
    parse("hush " * MAX_ATTRS)
    for text in ("hush " * (MAX_ATTRS + 1), "hush\0"):
        with pytest.raises(MailfsError) as e:
            parse(text)
        assert "hush" not in str(e.value)


def test_parts_of_lists() -> None:
    attrs = parse("a=1 b? a=2")
    assert value(attrs, "a") == "1"
    assert value(attrs, "b") is None
    assert without(attrs, "a") == (Attr("b", None),)
    assert normal((*attrs, Attr("b", "3"))) == parse("a=1 a=2 b=3")


TEXT = st.text(
    st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=12
)
NAME = TEXT.filter(lambda s: "=" not in s)


@given(st.lists(st.builds(Attr, NAME, st.none() | TEXT), max_size=6))
def test_what_prints_parses(attrs: list[Attr]) -> None:
    kept = normal(attrs)
    assert parse(reveal(kept)) == kept


@given(st.text(" \t\r\n'ab=?!\0é", max_size=40))
def test_garbage_parses_or_is_refused(text: str) -> None:
    try:
        attrs = parse(text)
    except MailfsError:
        assert "\0" in text
        return
    assert parse(reveal(attrs)) == attrs
    assert len(attrs) <= len(tokenize(text))
