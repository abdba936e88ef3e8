"""The file of words."""

import contextlib
import sqlite3
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.fulltext.document import MAX_TEXT, Document, document
from mailfs.fulltext.store import FullText
from mailfs.msg import part
from mailfs.query.grammar import parse
from mailfs.query.tree import Attached, Identifier, MailingList, Text, Thread

BIG = (1 << 64) - 2  # an identity that SQLite has as a negative number


def doc(raw: bytes) -> Document:
    return document(raw, part.parse(raw))


def letter(subject: str, body: str = "", more: str = "") -> Document:
    return doc(f"Subject: {subject}\n{more}\n{body}\n".encode())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FullText]:
    found = FullText(tmp_path / "i" / "words.fts")
    yield found
    found.close()


def named(store: FullText, text: str) -> set[int]:
    query = parse(text)
    assert isinstance(query, Text | Identifier | Thread | MailingList | Attached)
    return store.numbers(query)


def test_put_and_ask(store: FullText) -> None:
    with store.transaction():
        store.put([(1, 7, letter("one", "apple pie")), (2, BIG, letter("pie", "two"))])
        store.put([(9, 1, letter("x", "", "List-Id: <Go.example>\nMessage-ID: <m@x>"))])
    assert named(store, "pie") == {1, 2}
    assert named(store, "subject:pie") == {2}
    assert named(store, "body:pie") == {1}
    assert named(store, '"apple pie"') == {1}
    assert named(store, "list:go") == {9}
    assert named(store, "id:m@x") == {9}
    numbers = array("I", [1, 2, 9])
    assert store.unknown(numbers, array("Q", [7, BIG, 1])) == []
    assert store.unknown(numbers, array("Q", [7, BIG - 1, 1])) == [2]
    assert store.unknown(array("I", [1, 3, 9]), array("Q", [7, 7, 1])) == [3]
    assert store.unknown(array("I", [9, 1, 4]), array("Q", [1, 7, 7])) == [4]


def test_many_rows_agree_but_for_some(store: FullText) -> None:
    with store.transaction():
        store.put([(n, n * 3, letter(str(n))) for n in range(1, 200)])
    numbers = array("I", [n for n in range(1, 203) if n % 10])
    idents = array("Q", [n * 3 + (n == 57) for n in numbers])
    assert store.unknown(numbers, idents) == [57, 201, 202]
    with store.transaction():
        store.put([(201, 603, letter("x")), (202, 606, letter("y"))])
        store.put([(200, 600, letter("z"))])
    assert store.unknown(numbers, idents) == [57]
    assert store.unknown(array("I", [200]), array("Q", [600])) == []


def test_another_process_is_seen(store: FullText) -> None:
    other = FullText(store.path)
    with other.transaction():
        other.put([(1, 7, letter("one"))])
    assert store.unknown(array("I", [1]), array("Q", [7])) == []
    other.optimize()
    assert named(store, "one") == {1}
    other.close()


def test_rewritten(store: FullText) -> None:
    one, ident = array("I", [1]), array("Q", [8])
    with store.transaction():
        store.put([(1, 7, letter("one"))])
        store.put([(1, 8, letter("one", more="Status: RO\n"))])
    assert store.unknown(one, ident) == []  # the same words
    with store.transaction():
        store.put([(1, 8, letter("two"))])
    assert store.unknown(one, ident) == [1]  # it is read from now on
    with store.transaction():
        store.put([(1, 8, letter("two"))])
    assert store.unknown(one, ident) == [1]


@pytest.mark.parametrize("octets", [b"", b"x" * 5000, b"SQLite format 3\0" + bytes(99)])
def test_a_file_that_is_none_is_made_afresh(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "words.fts"
    path.write_bytes(octets)
    store = FullText(path)
    with store.transaction():
        store.put([(1, 7, letter("one"))])
    assert named(store, "one") == {1}
    store.close()


def test_another_version_is_made_afresh(store: FullText) -> None:
    with store.transaction():
        store.put([(1, 7, letter("one"))])
    store.close()
    with sqlite3.connect(store.path) as db:
        db.execute("pragma user_version=99")
    db.close()
    again = FullText(store.path)
    assert named(again, "one") == set()
    again.close()


def test_a_failed_block_leaves_nothing(store: FullText) -> None:
    with contextlib.suppress(ZeroDivisionError), store.transaction():
        store.put([(1, 7, letter("one"))])
        raise ZeroDivisionError
    assert named(store, "one") == set()
    assert store.unknown(array("I", [1]), array("Q", [7])) == [1]


def test_documents() -> None:
    raw = (
        b"From: =?utf-8?q?J=C3=B6rg?= <j@x.org>\nTo: a@x.org\nTo: b@x.org\n"
        b"References: <1@x> <2@x>\nMessage-ID: <3@x>\n"
        b"Content-Type: multipart/mixed; boundary=x\n\npreamble\n"
        b"--x\nContent-Transfer-Encoding: base64\n\nSGVsbG8gd29ybGQ=\n"
        b"--x\nContent-Type: text/html; charset=koi8-r\n\n<b>\xf0\xd2\xc9</b>\xd7\n"
        b"--x\nContent-Type: image/png; name=logo.png\n"
        b"Content-Disposition: inline\n\nP\n"
        b"--x\nContent-Type: message/rfc822\n\nSubject: inside\n\nlast\n--x--\n"
    )
    found = doc(raw)
    assert found.texts["from"] == "Jörg <j@x.org>"
    assert found.texts["to"].split() == ["a@x.org", "b@x.org"]
    assert found.texts["file"] == "logo.png"
    body = found.texts["body"].split()
    assert body == ["Hello", "world", "Прив", "inside", "last"]
    assert (found.messageid, found.root) == ("3@x", "1@x")
    assert not found.attached


def test_documents_are_bounded() -> None:
    long = doc(b"\n" + b"word " * MAX_TEXT)
    assert len(long.texts["body"]) <= MAX_TEXT
    many = b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\nhi\n" * 60_000
    assert len(doc(many).texts["body"]) < 5000
    wide = b"Subject: " + b"=?utf-8?q?a?= " * 1_000_000 + b"\n\nx\n"
    assert len(doc(wide).texts["subject"]) < 1 << 18


@given(st.binary(max_size=300))
def test_any_octets_are_a_document(raw: bytes) -> None:
    found = doc(raw)
    for words in found.words.values():
        assert words.answers(Text("", ("x",))) in (True, False)
