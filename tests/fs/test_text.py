"""The file text: a message for reading."""

from pathlib import Path

import pytest

from mailfs.msg.flowed import joined
from mailfs.msg.markdown import markdown

from .conftest import mbox, names
from .serving import serving

ALTERNATIVE = "Content-Type: multipart/alternative; boundary=a\n\n--a\n"
MIXED = "Content-Type: multipart/mixed; boundary=m\n\n--m\n"
HTML = "Content-Type: text/html; charset=utf-8\n\n"
LETTERS = [
    ("Subject: plain\n\nhello\nyou\n", "hello\nyou\n"),
    ("Subject: empty\n\n\n", ""),
    (
        "Content-Type: text/plain; format=flowed; charset=iso-8859-1\n"
        "Content-Transfer-Encoding: quoted-printable\n\n"
        "a caf=E9 =20\nin Paris\n> quoted=20\n> on\n",
        "a café  in Paris\n> quoted on\n",
    ),
    (
        f"{HTML}<h1>Hi</h1><p>see <a href='https://x.org'>this</a></p>",
        "# Hi\n\nsee [this](https://x.org)\n",
    ),
    (
        f"{ALTERNATIVE}\nthe plain text\n--a\n{HTML}<p>the rich text\n--a--\n",
        "the plain text\n",
    ),
    (
        f"{ALTERNATIVE}\nsee HTML\n--a\n{HTML}<p>{'word ' * 40}\n--a--\n",
        "word " * 39 + "word\n",
    ),
    (
        f"{MIXED}{ALTERNATIVE}\nplain\n--a\n{HTML}<p>rich\n--a--\n--m\n"
        "Content-Type: application/pdf\n"
        "Content-Disposition: attachment; filename=a.pdf\n\n%PDF\n--m--\n",
        "plain\n\n[2: a.pdf, application/pdf, ",
    ),
    (
        f"{MIXED}\nabove\n--m\nContent-Type: message/rfc822\n\n"
        "From: b@example.org\nSubject: inner\n\ninside\n--m\n\nbelow\n--m--\n",
        "above\n\n--- message/rfc822\nFrom: b@example.org\nSubject: inner\n\n"
        "inside\n\nbelow\n",
    ),
    (
        f"{HTML}<p>a<img src=x width=1 height=1><div style='display: none'>b</div>",
        "a\n\n[2 invisible elements left out]\n",
    ),
    ("Content-Type: image/png; name=x.png\n\nP\n", "[message: x.png, image/png, "),
]  # fmt: skip


def test_text(tmp_path: Path) -> None:
    box = tmp_path / "box"
    date = "Mon Mar  2 09:00:00 2026"
    box.write_bytes(mbox([("a@example.org", date, text) for text, _ in LETTERS]))
    with serving(tmp_path, mbox=box) as tree, tree.client() as client:
        for number, (_, want) in enumerate(LETTERS, 1):
            found = client.read(f"/mbox/{number}/text").decode()
            assert found == want or (want.endswith(", ") and found.startswith(want))
        assert client.read("/mbox/7/1/2/text") == b"rich\n"
        assert "text" not in names(client, "/mbox/1")
        with tree.client("upas/all") as every:
            assert "text" in names(every, "/mbox/1")


MARKDOWN = [
    ("a <b>bold</b> word", "a **bold** word"),
    ("<ol><li>a<li>b<ul><li>c</ul></ol>d", "1. a\n2. b\n  - c\n\nd"),
    ("<blockquote><p>a<br>b</blockquote>c", "> a\n> b\n\nc"),
    ("<pre>a  b\n  c</pre>", "a  b\n  c"),
    ('<a href="http://x.org"><div>block</div></a>', "block <http://x.org>"),
    ('<a href="http://x.org">http://x.org</a>', "http://x.org"),
    ('<a href="javascript:x()">no</a>', "no"),
    ('<a href="mailto:a@x.org">a@x.org</a>', "a@x.org"),
    ('<a href="http://[">bad</a>', "bad"),
    ("<table><tr><td>a<td>b<tr><td>c</table>", "a b\nc"),
    ("one<hr>two", "one\n\n---\n\ntwo"),
    ('<img alt="A tree">', "[A tree]"),
    ("a\u00adb\u200bc  d", "abc d"),
]


@pytest.mark.parametrize(("html", "want"), MARKDOWN)
def test_markdown(html: str, want: str) -> None:
    assert markdown(html)[0] == want


def test_flowed() -> None:
    assert joined("a \nb\n\nc \n") == "a b\n\nc "
    assert joined("a \nb", delsp=True) == "ab"
    assert joined("> a \n>> b\n> c") == "> a \n>> b\n> c"
    assert joined("text \n-- \nsig") == "text \n-- \nsig"
    assert joined(" From here\n >no quote") == "From here\n>no quote"
