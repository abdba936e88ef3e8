"""What queries mean, and what is wrong with those that mean nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.errors import Refused
from mailfs.query import values
from mailfs.query.grammar import MAX_DEPTH, parse
from mailfs.query.lexer import MAX_QUERY, BadQuery
from mailfs.query.tree import (
    FIELDS,
    FLAGS,
    And,
    Arrived,
    Attached,
    Flagged,
    Identifier,
    Inside,
    Leaf,
    MailingList,
    Not,
    Or,
    Query,
    Sized,
    Tagged,
    Text,
    Thread,
    holds,
)

NOW = 1_790_000_000.0


def text(words: str, field: str = "", *, prefix: bool = False) -> Text:
    return Text(field, tuple(words.split()), prefix)


A, B, C = text("a"), text("b"), text("c")
QUERIES: list[tuple[str, Query]] = [
    ("needle", text("needle")),
    ("Café", text("cafe")),
    ("a b", And((A, B))),
    ("a and b", And((A, B))),
    ("a or b c", Or((A, And((B, C))))),
    ("(a or b) c", And((Or((A, B)), C))),
    ("a OR b or c", Or((A, B, C))),
    ("not a", Not(A)),
    ("-a b", And((Not(A), B))),
    ("a -b", And((A, Not(B)))),
    ("not not a", A),
    ("a AND not (b or -c)", And((A, Not(Or((B, Not(C))))))),
    ('"and" or b', Or((text("and"), B))),
    ('"on call"', text("on call")),
    ("skb_linearize", text("skb linearize")),
    ("on-call", text("on call")),
    ("bud*", text("bud", prefix=True)),
    ('"on ca"*', text("on ca", prefix=True)),
    ("日本語", text("日本 本語")),
    ("日", text("日", prefix=True)),
    ("from:glenda", text("glenda", "from")),
    ("From:glenda@example.org", text("glenda example org", "from")),
    ('subject:"on call"', text("on call", "subject")),
    ("subject:'on call' x", And((text("on call", "subject"), text("x")))),
    ("from:(a or b) c", And((Or((text("a", "from"), text("b", "from"))), C))),
    ("from:(a to:b)", And((text("a", "from"), text("b", "to")))),
    ("file:report.pdf", text("report pdf", "file")),
    ("body:x-y", text("x y", "body")),
    ("it's", text("it s")),
    ("http://x.org/", text("http x org")),
    ("12:30", text("12 30")),
    ("id:<a@b>", Identifier("a@b")),
    ("thread:a@b", Thread("a@b")),
    ("list:GoLang", MailingList("golang")),
    ("tag:work", Tagged("work")),
    ("tag:unread", Flagged("s", False)),
    ("tag:attachment", Attached()),
    ("is:unread", Flagged("s", False)),
    ("is:Flagged", Flagged("f", True)),
    ("-is:draft", Not(Flagged("d", True))),
    ("has:attachment", Attached()),
    ("in:work/now", Inside("work/now")),
    ('in:"my box"', Inside("my box")),
    ("size:>1M", Sized((1 << 20) + 1, math.inf)),
    ("size:>=1m", Sized(1 << 20, math.inf)),
    ("size:<10kb", Sized(0, 10239)),
    ("size:<=10", Sized(0, 10)),
    ("size:2k", Sized(2048, math.inf)),
    ("size:1k..1M", Sized(1024, 1 << 20)),
    ("size:..9", Sized(0, 9)),
    ("date:7d", Arrived(NOW - 7 * 86400, math.inf)),
    ("date:30d..7d", Arrived(NOW - 30 * 86400, NOW - 7 * 86400)),
]


@pytest.mark.parametrize(("asked", "query"), QUERIES)
def test_parse(asked: str, query: Query) -> None:
    assert parse(asked, NOW) == query
    assert parse(f"  {asked}\n", NOW) == query
    assert parse(f"({asked})", NOW) == query


REFUSED = [
    ("", "nothing to look for"),
    (" \n", "nothing to look for"),
    ("x" * (MAX_QUERY + 1), f"over {MAX_QUERY} characters"),
    ("frm:glenda", "frm: (character 1): no such field"),
    ("a frm:glenda", "frm: (character 3): no such field"),
    ("from: glenda", "from: (character 1): a value is wanted right behind it"),
    ("from:", "from: (character 1): a value is wanted"),
    ("(a or b", "( (character 1): parenthesis that nothing closes"),
    ("a) b", ") (character 2): parenthesis that nothing opens"),
    ("()", ") (character 2): nothing before it"),
    ("a or", "the end (character 5): a word is wanted here"),
    ("or a", "or (character 1): a word is wanted here"),
    ("a and and b", "and (character 7): a word is wanted here"),
    ("not", "the end (character 4): a word is wanted here"),
    ('a "b', '"b (character 3): quote without its end'),
    ("a ...", "... (character 3): no letter and no digit in it"),
    ("is:purple", "purple (character 4): no is; one of unread, "),
    ("has:fun", "fun (character 5): no has; attachment"),
    ("date:soon", "soon (character 6): no date; as in"),
    ("date:2026-13", "no date"),
    ("date:2026-00", "no date"),
    ("date:2026-01-00", "no date"),
    ("date:99999d", "no date"),
    ("date:..", "no date"),
    ("size:big", "big (character 6): no size"),
    ("size:", "size: (character 1): a value is wanted"),
    ("size:(1 or 2)", "( (character 6): size: takes one value"),
    ("id:<>", "<> (character 4): no id"),
    ("(" * (MAX_DEPTH + 1) + "a", f"over {MAX_DEPTH} parentheses"),
]


@pytest.mark.parametrize(("asked", "why"), REFUSED)
def test_refused(asked: str, why: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(asked, NOW)
    assert why in str(caught.value)
    assert len(str(caught.value)) < 250


def begins(year: int, month: int, day: int) -> float:
    """Days of a simple calendar."""
    if not 0 < year < 9999:
        raise OverflowError(year)
    return year * 10_000 + month * 100 + day


DATES = [
    ("2026", 20260101, 20270101),
    ("2026-03", 20260301, 20260401),
    ("2026-12", 20261201, 20270101),
    ("2026-3-5", 20260305, 20260306),
    ("2026-01..2026-03", 20260101, 20260401),
    ("2026..", 20260101, math.inf),
    ("..2026-01-31", -math.inf, 20260132),
    ("2026-01-01..1d", 20260101, NOW - 86400),
]


@pytest.mark.parametrize(("asked", "since", "before"), DATES)
def test_dates(asked: str, since: float, before: float) -> None:
    assert values.dates(asked, NOW, begins) == Arrived(since, before)


def test_a_day_is_a_day_here() -> None:
    today = values.dates("today", NOW)
    yesterday = values.dates("yesterday", NOW)
    assert today is not None
    assert yesterday is not None
    assert today.since <= NOW < today.before
    assert yesterday.before == today.since
    assert values.dates("0000", NOW, begins) is None


def test_many_words_and_signs_nest_no_deeper() -> None:
    assert parse("-" * 900 + "a") == A
    assert parse("not " * 201 + "a") == Not(A)
    many = parse("a " * 500)
    assert isinstance(many, And)
    assert len(many.queries) == 500
    deep = parse("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH)
    assert deep == A


def test_what_holds() -> None:
    query = parse("(a or b) -c is:unread")

    def found(*leaves: object) -> bool:
        return holds(query, lambda leaf: leaf in leaves)

    unread = Flagged("s", False)
    assert found(A, unread)
    assert found(B, unread)
    assert not found(A)
    assert not found(A, C, unread)
    assert not found(unread)


PIECES = st.sampled_from(
    "a|or|and|not|-|(|)|\"|'|*|:| |from:|is:|date:|2026|..|7d|size:|>1M|日本|é|_|id:<x>"
    "|in:b".split("|")
)


@given(st.text(max_size=80) | st.lists(PIECES, max_size=30).map("".join))
def test_anything_is_understood_or_refused(asked: str) -> None:
    try:
        query = parse(asked, NOW)
    except BadQuery:
        return
    seen: list[Leaf] = []

    def note(leaf: Leaf) -> bool:
        seen.append(leaf)
        return False

    holds(query, note)
    for leaf in seen:
        if isinstance(leaf, Text):
            assert leaf.words
            assert leaf.field in ("", *FIELDS)
        if isinstance(leaf, Flagged):
            assert (leaf.letter, leaf.set) in FLAGS.values()
    assert parse(f"({asked})", NOW) == query
    assert parse(f"not ({asked})", NOW) == Not(query)
