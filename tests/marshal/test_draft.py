"""Texts taken apart: typed by a person, or made by a program."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailfs.errors import MailfsError
from mailfs.marshal import draft
from mailfs.marshal.attachment import Attachment

Fields = list[tuple[str, str]]

TYPED: list[tuple[str, Fields, str]] = [
    ("", [], ""),
    ("hello\n", [], "hello\n"),
    ("\nhello\n", [], "\nhello\n"),
    ("note: hi\n", [], "note: hi\n"),
    ("To: a\n\nhello\n", [("To", " a")], "hello\n"),
    ("to:a\nhello\n", [("to", "a")], "hello\n"),
    ("To: a\n\n\nhello\n", [("To", " a")], "\nhello\n"),
    ("To: a", [("To", " a")], ""),
    ("To: a\n", [("To", " a")], ""),
    ("To: a,\n b\nSubject: c\n\nx", [("To", " a,\n b"), ("Subject", " c")], "x"),
    ("To: a\n \nx", [("To", " a")], " \nx"),
    ("To: a\r\n\r\nx\r\n", [("To", " a")], "x\n"),
    ("X-Any: a\nnote: b\n", [("X-Any", " a")], "note: b\n"),
    ("subject : a\n\nx", [("subject", " a")], "x"),
    ("Tomorrow: rain\n", [], "Tomorrow: rain\n"),
    (" To: a\n", [], " To: a\n"),
    ("References: <a@b>\n\nx", [("References", " <a@b>")], "x"),
    ("List-Id: <a.b>\n\nx", [("List-Id", " <a.b>")], "x"),
]


@pytest.mark.parametrize(("text", "fields", "body"), TYPED)
def test_typed(text: str, fields: Fields, body: str) -> None:
    found = draft.typed(text.encode())
    assert [(name, value.decode()) for name, value in found.fields] == fields
    assert found.body.decode() == body


MESSAGES: list[tuple[str, Fields, str]] = [
    ("to: a\n\nx\n", [("to", " a")], "x\n"),
    ("to: a\nnote: b\n\nx", [("to", " a"), ("note", " b")], "x"),
    ("to: a\n b\n\nx", [("to", " a\n b")], "x"),
    ("to: a\r\n\r\nx\r\n", [("to", " a")], "x\n"),
    ("to: a\n", [("to", " a")], ""),
    ("to: a", [("to", " a")], ""),
    ("From a@b Mon Mar  2 09:00:00 2026\nto: a\n\nx", [("to", " a")], "x"),
    ("to: a\n\nx\n\nto: b\n", [("to", " a")], "x\n\nto: b\n"),
]


@pytest.mark.parametrize(("text", "fields", "body"), MESSAGES)
def test_message(text: str, fields: Fields, body: str) -> None:
    found = draft.message(text.encode())
    assert [(name, value.decode()) for name, value in found.fields] == fields
    assert found.body.decode() == body


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("\nx", 1),
        ("x\n\n", 1),
        (" a: b\n", 1),
        ("to: a\nx\n\n", 2),
        ("é: a", 1),
    ],
)
def test_no_message(text: str, line: int) -> None:
    with pytest.raises(MailfsError, match=f"line {line} is no header field"):
        draft.message(text.encode())


def test_too_many_fields() -> None:
    text = b"X-y: z\n" * draft.MAX_FIELDS + b"Bcc: a\n\n"
    for taken in (draft.message, draft.typed):
        with pytest.raises(MailfsError, match=f"more than {draft.MAX_FIELDS} header"):
            taken(text)
    found = draft.typed(text[7:])
    assert len(found.fields) == draft.MAX_FIELDS
    assert found.all("bcc") == [b" a"]


@settings(max_examples=80)
@given(st.binary(max_size=200))
def test_any_text_is_all_there(text: bytes) -> None:
    found = draft.typed(text)
    octets = b"".join(
        b"%s:%s\n" % (name.encode(), value) for name, value in found.fields
    )
    flat = text.replace(b"\r\n", b"\n")
    kept = (octets + found.body).translate(None, b" \t\n")
    assert kept == flat.translate(None, b" \t\n")


def test_attachments() -> None:
    text = b"Attach: a b\nTo: x\nInclude:  c\nattach:\n\nbody"
    rest, files = draft.attachments(draft.typed(text))
    assert [name for name, _ in rest.fields] == ["To"]
    assert files == [Attachment("a b"), Attachment("c", None, True)]


def test_a_headers_file() -> None:
    found = draft.fields(b"\nFrom: a\nX-B: c\n d\n\nTo: e\n")
    assert found == (("From", b" a"), ("X-B", b" c\n d"), ("To", b" e"))
    assert draft.fields(b"") == draft.fields(b"\n \n") == ()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"nonsense\n", 1),
        (b"From: a\n\nnonsense: \xff\nOrganisation x\n", 4),
        (b" folded\nFrom: a\n", 1),
        (b"From: a\n# b\n c\n", 2),
        (b"From: a\n# b\n\n: d\n", 2),
        (b"From: a\nA: b\x00c\n", 2),
        (b"From: a\rBcc: b\n", 1),
    ],
)
def test_a_line_of_headers_that_is_none_is_refused(text: bytes, number: int) -> None:
    with pytest.raises(MailfsError, match=f"line {number} is no header field"):
        draft.fields(text)
