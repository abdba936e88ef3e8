"""HTML as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.msg.html import MAX_DEPTH, MAX_HTML, text

TEXTS = [
    ("", ""),
    ("plain", "plain"),
    ("a &amp; b&nbsp;&eacute;", "a & b\xa0é"),
    ("<p>he<b>ll</b>o</p><div>two<br>three</div>", "hello\ntwo three"),
    ("<p>a<p>b</p>c", "a\nb\nc"),
    ("<table><tr><td>a<td>b<tr><td>c</table>", "a\nb\nc"),
    ("<ul><li>one<li>two</ul>", "one\ntwo"),
    ("<title>t</title><style>x{}</style><body>seen<script>x</script>", "seen"),
    ("a<!-- no -->b", "ab"),
    ('<a href="http://x.org">link</a>', "link"),
    ("<p>unclosed <b>bold", "unclosed bold"),
    ("</div></p>x<", "\nx<"),
]


@pytest.mark.parametrize(("html", "want"), TEXTS)
def test_text(html: str, want: str) -> None:
    assert text(html).strip() == want.strip()


HOSTILE = [
    "<div>" * 200_000 + "x",
    "<div></b>" * 100_000 + "x",
    "<b>x" * 100_000,
    "<svg>" * 100_000,
    "<" * MAX_HTML,
    "<table><tr><td>" * 50_000,
]


@pytest.mark.parametrize("html", HOSTILE, ids=lambda html: html[:9])
def test_nesting_is_cut(html: str) -> None:
    assert len(text(html)) <= len(html)


def test_usual_nesting_is_not() -> None:
    deep = "<table><tr><td>" * 60 + "here" + "</td></tr></table>" * 60
    assert text(deep).strip() == "here"
    many = "<div><p><b>x</b><br></div>" * 2000
    assert text(many).split() == ["x"] * 2000
    sloppy = "<div><font>x</div>" * 2000
    assert text(sloppy).split() == ["x"] * 2000
    assert text("<i>" * (MAX_DEPTH + 9) + "x") == ""


@given(st.text("<>/&;abdivp =\"'!-", max_size=60))
def test_anything(html: str) -> None:
    text(html)
