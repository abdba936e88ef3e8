"""Words of texts, and whether a text has what is sought."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.errors import Refused
from mailfs.query import fulltext
from mailfs.query.grammar import parse
from mailfs.query.match import Words, answers
from mailfs.query.tokens import MAX_TOKEN, sought, words
from mailfs.query.tree import FIELDS, Text

WORDS = [
    ("Hello, World-wide web_site", "hello world wide web site"),
    ("Crème brûlée à la Straße", "creme brulee a la strasse"),
    ("ÅÄÖ Łódź İstanbul", "aao łodz istanbul"),
    ("日本語 text 本", "日本 本語 語 text 本"),
    ("東京2026年", "東京 京 2026 年"),
    ("안녕하세요", "안녕 녕하 하세 세요 요"),
    ("カタカナ", "カタ タカ カナ ナ"),
    ("ﾃｽﾄ", "テス スト ト"),
    ("ﬁle ①", "file 1"),
    ("x" * 100, "x" * MAX_TOKEN),
    ("", ""),
    ("... _ -", ""),
]


@pytest.mark.parametrize(("text", "found"), WORDS)
def test_words(text: str, found: str) -> None:
    assert words(text) == found.split()


ANSWERS = [
    ("needle", "a Needle here", True),
    ("needle", "needles", False),
    ("needl*", "needles", True),
    ("creme", "Crème", True),
    ("crème", "CREME", True),
    ('"two words"', "two\n words", True),
    ('"two words"', "words two", False),
    ('"a a b"', "a a a b", True),
    ('"a b a c"', "a b a b a c", True),
    ('"a b a c"', "a b a b a", False),
    ('"two wor"*', "the two words", True),
    ("skb_linearize", "call skb_linearize(skb)", True),
    ("skb_linearize", "skb to linearize", False),
    ("日", "本日", True),
    ("日", "日本", True),
    ("本日", "日本日", True),
    ("日本語", "日本 語", False),
    ("日本語", "ここは日本語です", True),
    ('"日本 語"', "日本 語", True),
    ('"x 日本"', "x 日本語", True),
]


@pytest.mark.parametrize(("asked", "text", "found"), ANSWERS)
def test_answers(asked: str, text: str, found: bool) -> None:
    query = parse(asked)
    assert isinstance(query, Text)
    assert Words(text).answers(query) == found
    fields = {"subject": Words("other"), "body": Words(text)}
    assert answers(fields, query) == found
    assert not answers(fields, Text("subject", query.words, query.prefix))
    assert answers(fields, Text("body", query.words, query.prefix)) == found
    assert not answers(fields, Text("from", query.words, query.prefix))


def test_many_words_are_linear() -> None:
    query = Text("", ("a",) * 400 + ("b",))
    assert not Words("a " * 500_000).answers(query)
    assert Words("a " * 500_000 + "b").answers(query)


TEXTS = st.text(st.sampled_from("abAé日本語_ -.'\u0301ﬁ가나"), max_size=25) | st.text(
    max_size=25
)


@given(TEXTS, TEXTS, st.booleans(), st.sampled_from(["", *FIELDS]))
def test_fts5_finds_all_that_answers(
    text: str, part: str, prefix: bool, field: str
) -> None:
    """The table names every document that answers, and no other where that is said."""
    asked = sought(part)
    if not asked:
        return
    query = Text(field, asked, prefix)
    table = sqlite3.connect(":memory:")
    table.execute(
        "create virtual table t using fts5(word, content='', columnsize=0,"
        " detail=none, tokenize='ascii')"
    )
    texts = {"body": text, "subject": part[:3], "file": text[:5]}
    marked = fulltext.marked({name: words(one) for name, one in texts.items()})
    table.execute("insert into t(rowid, word) values (1, ?)", (marked,))
    expression = fulltext.match(query)
    found = table.execute("select rowid from t where t match ?", (expression,))
    named = found.fetchall() == [(1,)]
    table.close()
    answered = answers({name: Words(one) for name, one in texts.items()}, query)
    assert named or not answered
    if fulltext.exact(query):
        assert named == answered
    assert Words(part).answers(query)


@given(TEXTS)
def test_a_text_is_found_by_itself(text: str) -> None:
    try:
        query = parse(f'"{text}"') if '"' not in text else parse(text)
    except Refused:
        return
    if isinstance(query, Text):
        assert Words(f"x {text} y").answers(query)
