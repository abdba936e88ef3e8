"""BODYSTRUCTURE, as RFCs print it and as servers send it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.imap.grammar.structure import MAX_PARTS, Structure, parse
from mailfs.imap.grammar.tokens import MAX_DEPTH, Malformed

TEXT = b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 1152 23)'
MIXED = (
    b'(("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 1152 23)'
    b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII" "NAME" "cc.diff") '
    b'"<960723163407.20117h@cac.washington.edu>" "Compiler diff" "BASE64" 4554 73) '
    b'"MIXED")'
)  # RFC 9051 section 7.5.2
NESTED = (
    b'((("text" "plain" NIL NIL NIL "7bit" 1 1 NIL NIL NIL NIL)'
    b'("text" "html" NIL NIL NIL "8bit" 2 1 NIL NIL NIL NIL) '
    b'"alternative" ("boundary" "b") NIL NIL NIL)'
    b'("message" "rfc822" NIL NIL NIL "7bit" 500 ("date" "subj" NIL NIL NIL NIL NIL '
    b'NIL NIL "<i>") ("text" "plain" NIL NIL NIL "7bit" 3 1) 9 NIL NIL NIL NIL)'
    b'("message" "rfc822" NIL NIL NIL "7bit" 500 (NIL NIL NIL NIL NIL NIL NIL NIL NIL '
    b'NIL) (("text" "plain" NIL NIL NIL "7bit" 4 1)("image" "png" NIL NIL NIL "base64" '
    b'5) "mixed") 9)'
    b'("application" "pdf" ("name" {5}\r\na".pd) NIL NIL "base64" 700 NIL '
    b'("attachment" ("filename" "x.pdf")) ("en" "de") "http://x")'
    b' "mixed" ("boundary" "c") ("inline" NIL) "en" NIL)'
)


def sections(part: Structure) -> list[tuple[str, str]]:
    out = [(part.section, part.type)]
    for child in part.parts:
        out += sections(child)
    return out


def test_text() -> None:
    part = parse(TEXT)
    assert part.section == "1"
    assert (part.type, part.size, part.lines) == ("text/plain", 1152, 23)
    assert part.params == (("charset", b"US-ASCII"),)
    assert part.encoding == "7bit"
    assert part.find("1") is part
    assert part.find("2") is None


def test_mixed() -> None:
    whole = parse(MIXED)
    assert whole.multipart
    assert sections(whole) == [
        ("", "multipart/mixed"),
        ("1", "text/plain"),
        ("2", "text/plain"),
    ]
    assert whole.parts[1].description == b"Compiler diff"
    assert whole.parts[1].id.startswith(b"<960723163407")


def test_sections() -> None:
    """Numbered as RFC 9051 section 6.4.5.1 says."""
    whole = parse(NESTED)
    assert sections(whole) == [
        ("", "multipart/mixed"),
        ("1", "multipart/alternative"),
        ("1.1", "text/plain"),
        ("1.2", "text/html"),
        ("2", "message/rfc822"),
        ("2.1", "text/plain"),
        ("3", "message/rfc822"),
        ("3", "multipart/mixed"),
        ("3.1", "text/plain"),
        ("3.2", "image/png"),
        ("4", "application/pdf"),
    ]
    assert whole.disposition == "inline"
    assert whole.language == (b"en",)
    pdf = whole.parts[3]
    assert pdf.params == (("name", b'a".pd'),)
    assert (pdf.disposition, pdf.filename) == (
        "attachment",
        (("filename", b"x.pdf"),),
    )
    assert (pdf.language, pdf.location) == ((b"en", b"de"), b"http://x")
    assert whole.parts[1].envelope is not None
    assert whole.parts[1].lines == 9


@pytest.mark.parametrize(
    ("raw", "type", "size"),
    [
        (b'("text")', "text/plain", 0),
        (b'("text" "plain" NIL NIL NIL NIL NIL NIL)', "text/plain", 0),
        (b"(NIL NIL NIL NIL NIL NIL 5)", "text/plain", 5),
        (b'("message" "rfc822" NIL NIL NIL "7bit" 500)', "message/rfc822", 500),
        (b'("message" "rfc822" NIL NIL NIL "7bit" 5 NIL NIL 9)', "message/rfc822", 5),
        (b'(("text" "plain"))', "multipart/mixed", 0),
        (b'(() "mixed")', "multipart/mixed", 0),
        (b'("ALTERNATIVE")', "multipart/alternative", 0),
        (b'("multipart" "signed" NIL NIL NIL "7BIT" -1)', "multipart/signed", 0),
        (b'("text" "plain" NIL NIL NIL "7bit" 5 1 NIL "inline")', "text/plain", 5),
        (b'("text" "plain" NIL NIL NIL "7bit" -1 0)', "text/plain", 0),
        (b'("image" "png" ("name") NIL NIL "b" 7 NIL "attachment")', "image/png", 7),
    ],
)
def test_what_servers_leave_out(raw: bytes, type: str, size: int) -> None:
    part = parse(raw)
    assert (part.type, part.size) == (type, size)


@pytest.mark.parametrize("raw", [b"", b"NIL", b'"x"', b"()", b"(a", b"(a) (b)"])
def test_not_a_structure(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse(raw)


def test_bombs() -> None:
    deep = b"(" * (MAX_DEPTH - 1) + b'"text"' + b")" * (MAX_DEPTH - 1)
    assert parse(deep)
    with pytest.raises(Malformed):
        parse(b"(((" + deep + b")))")
    with pytest.raises(Malformed, match="too many"):
        parse(b"(" + b'("text" "plain")' * MAX_PARTS + b' "mixed")')


@pytest.mark.parametrize("raw", [TEXT, MIXED, NESTED])
def test_cut_anywhere(raw: bytes) -> None:
    for cut in range(len(raw)):
        with pytest.raises(Malformed):
            parse(raw[:cut])


@given(st.text('("text" 12NIL{})\\', max_size=80))
def test_garbage(text: str) -> None:
    try:
        parse(f"({text})".encode())
    except Malformed:
        return
