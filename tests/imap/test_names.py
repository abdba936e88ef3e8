"""Folder names and strings on the wire, held against imapclient's modified UTF-7."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imapclient import imap_utf7

from mailfs.imap.grammar.names import (
    MAX_NAME,
    BadMailboxName,
    Literal,
    astring,
    decode,
    encode,
)

CASES = [
    ("INBOX", b"INBOX"),
    ("a&b", b"a&-b"),
    ("Entwürfe", b"Entw&APw-rfe"),
    ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501, 5.1.3
    ("\U0001f4ec", b"&2D3c7A-"),
    ("a\tb", b"a&AAk-b"),
]


@pytest.mark.parametrize(("name", "raw"), CASES)
def test_both_ways(name: str, raw: bytes) -> None:
    assert encode(name) == raw
    assert decode(raw) == name
    assert decode(encode(name, utf8=True), utf8=True) == name


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"a & b", "a & b"),
        (b"&", "&"),
        (b"&AGE-", "&AGE-"),  # an "a" that had no need of it
        (b"&2D0-", "&2D0-"),  # half a pair
        (b"&APw", "&APw"),
        (b"&A-", "&A-"),
        ("Entwürfe".encode(), "Entwürfe"),
        (b"Entw\xfcrfe", "Entw\udcfcrfe"),
        (b"", ""),
    ],
)
def test_what_is_no_utf7(raw: bytes, name: str) -> None:
    assert decode(raw) == name


def test_octets_that_are_no_text_come_back() -> None:
    assert encode(decode(b"Entw\xfcrfe")) == b"Entw\xfcrfe"


@pytest.mark.parametrize(
    "name", ["", "a\r\nb", "a\0b", "\ud800", "x" * (MAX_NAME + 1), "é" * MAX_NAME]
)
@pytest.mark.parametrize("utf8", [False, True])
def test_refused(name: str, utf8: bool) -> None:
    with pytest.raises(BadMailboxName):
        encode(name, utf8=utf8)


TEXT = st.text(
    st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), min_size=1
)


@given(TEXT, st.booleans())
def test_round_trip(name: str, utf8: bool) -> None:
    raw = encode(name, utf8=utf8)
    assert decode(raw, utf8=utf8) == name
    if not utf8:
        assert raw == imap_utf7.encode(name)
        assert imap_utf7.decode(raw) == name


@given(st.binary(max_size=20) | st.text("&-,+/AZaz09=é", max_size=20))
def test_decode_never_fails(raw: bytes | str) -> None:
    octets = raw if isinstance(raw, bytes) else raw.encode()
    for utf8 in (False, True):
        name = decode(octets, utf8=utf8)
        try:
            encode(name, utf8=utf8)
        except BadMailboxName:
            continue


@pytest.mark.parametrize(
    ("raw", "sent"),
    [
        (b"INBOX", b"INBOX"),
        (b"a/b.c-d_e", b"a/b.c-d_e"),
        (b"2024", b'"2024"'),
        (b"nil", b'"nil"'),
        (b"", b'""'),
        (b"a b", b'"a b"'),
        (b'a"b\\', b'"a\\"b\\\\"'),
        (b"a%*", b'"a%*"'),
        (b"(a)", b'"(a)"'),
        (b"{5}", b'"{5}"'),
        ("é".encode(), Literal("é".encode())),
        (b"a\r\nb", Literal(b"a\r\nb")),
    ],
)
def test_astring(raw: bytes, sent: bytes | Literal) -> None:
    assert astring(raw) == sent
