"""ENVELOPE, BODYSTRUCTURE and the octets of sections of sample messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.mailbox.octets import Memory
from mailfs.serve.description.address import Address, addresses
from mailfs.serve.description.envelope import envelope
from mailfs.serve.description.structure import Tree, structure
from mailfs.serve.imapd import section
from mailfs.serve.imapd.items import Section, Text

ADDRESSES: list[tuple[bytes, list[Address]]] = [
    (b"a@b", [Address(None, None, b"a", b"b")]),
    (b'"A, B" <a@b>', [Address(b"A, B", None, b"a", b"b")]),
    (b"A B (x) <a@b>", [Address(b"A B", None, b"a", b"b")]),
    (b"a@b (A B)", [Address(b"A B", None, b"a", b"b")]),
    (b"<@r,@s:a@b>", [Address(None, b"@r,@s", b"a", b"b")]),
    (b"a . c @ b . d", [Address(None, None, b"a.c", b"b.d")]),
    (b'"a b"@c', [Address(None, None, b"a b", b"c")]),
    (
        b"g: a@b, c@d;, e@f",
        [
            Address(None, None, b"g", None),
            Address(None, None, b"a", b"b"),
            Address(None, None, b"c", b"d"),
            Address(None, None, None, None),
            Address(None, None, b"e", b"f"),
        ],
    ),
    (
        b"nobody:;",
        [Address(None, None, b"nobody", None), Address(None, None, None, None)],
    ),
    (b"=?utf-8?q?=41?= <a@b>", [Address(b"=?utf-8?q?=41?=", None, b"a", b"b")]),
    (b"a@[1.2.3.4]", [Address(None, None, b"a", b"[1.2.3.4]")]),
    (b"", []),
    (b", ,", []),
]


@pytest.mark.parametrize(("value", "found"), ADDRESSES)
def test_addresses(value: bytes, found: list[Address]) -> None:
    assert addresses(value) == found


@given(st.binary(max_size=80))
def test_any_octets_give_some_list(value: bytes) -> None:
    for one in addresses(value):
        assert len(one) == 4


MIXED = b"""\
From: A <a@b.c>
Subject: =?utf-8?q?x?=
Date: Mon, 30 Nov 2026 01:02:03 +0000
Message-ID: <1@b.c>
Content-Type: multipart/mixed; boundary=o

preamble
--o
Content-Type: text/plain; charset=utf-8; format=flowed
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="a b.txt"

aGVsbG8=
--o
Content-Type: message/rfc822

From: inner@b.c
Subject: two
Content-Type: multipart/alternative; boundary=i

--i

plain
--i
Content-Type: text/html

<p>
--i--
--o--
epilogue
""".replace(b"\n", b"\r\n")
PLAIN = b"From: a@b\r\n\r\none\r\ntwo"


def test_envelope() -> None:
    tree = Tree.of(Memory(MIXED))
    assert envelope(tree.header(tree.top)) == (
        b'("Mon, 30 Nov 2026 01:02:03 +0000" "=?utf-8?q?x?="'
        b' (("A" NIL "a" "b.c")) (("A" NIL "a" "b.c")) (("A" NIL "a" "b.c"))'
        b' NIL NIL NIL NIL "<1@b.c>")'
    )


def test_structures() -> None:
    tree = Tree.of(Memory(MIXED))
    from_ = b'((NIL NIL "inner" "b.c"))'
    _, _, rest = MIXED.partition(b"message/rfc822\r\n\r\n")
    size = len(rest.partition(b"\r\n--o--")[0])
    inner = (
        b'(("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 5 1)'
        b'("TEXT" "HTML" NIL NIL NIL "7BIT" 3 1) "ALTERNATIVE")'
    )
    assert structure(tree, extended=False) == (
        b'(("TEXT" "PLAIN" ("CHARSET" "utf-8" "FORMAT" "flowed") NIL NIL "BASE64" 8 1)'
        b'("MESSAGE" "RFC822" NIL NIL NIL "7BIT" %d (NIL "two" '
        % size
        + b" ".join([from_] * 3)
        + b" NIL NIL NIL NIL NIL) "
        + inner
        + b' 12) "MIXED")'
    )
    extended = structure(tree, extended=True)
    assert b'("ATTACHMENT" ("FILENAME" "a b.txt")) NIL NIL)' in extended.replace(
        b'"attachment"', b'"ATTACHMENT"'
    )
    assert structure(Tree.of(Memory(PLAIN)), extended=False) == (
        b'("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 8 2)'
    )


SECTIONS: list[tuple[bytes, tuple[int, ...], Text, bytes | None]] = [
    (MIXED, (), Text.WHOLE, MIXED),
    (MIXED, (1,), Text.WHOLE, b"aGVsbG8="),
    (MIXED, (2, 1), Text.WHOLE, b"plain"),
    (MIXED, (2, 2), Text.WHOLE, b"<p>"),
    (MIXED, (2, 2), Text.MIME, b"Content-Type: text/html\r\n\r\n"),
    (MIXED, (2,), Text.MIME, b"Content-Type: message/rfc822\r\n\r\n"),
    (MIXED, (3,), Text.WHOLE, None),
    (MIXED, (1, 1), Text.WHOLE, None),
    (MIXED, (1,), Text.HEADER, None),
    (PLAIN, (1,), Text.WHOLE, b"one\r\ntwo"),
    (PLAIN, (2,), Text.WHOLE, None),
    (PLAIN, (), Text.HEADER, b"From: a@b\r\n\r\n"),
    (PLAIN, (), Text.TEXT, b"one\r\ntwo"),
]


@pytest.mark.parametrize(("message", "parts", "text", "found"), SECTIONS)
def test_sections(
    message: bytes, parts: tuple[int, ...], text: Text, found: bytes | None
) -> None:
    octets = section.find(Tree.of(Memory(message)), Section(parts, text))
    assert (octets if octets is None else octets.read(0, len(octets))) == found


def test_fields() -> None:
    tree = Tree.of(Memory(MIXED))
    some = section.find(tree, Section((2,), Text.FIELDS, (b"SUBJECT", b"x")))
    others = section.find(tree, Section((2,), Text.NOT_FIELDS, (b"content-type",)))
    assert some is not None
    assert others is not None
    assert some.read(0, 99) == b"Subject: two\r\n\r\n"
    assert others.read(0, 99) == b"From: inner@b.c\r\nSubject: two\r\n\r\n"


def test_decoded() -> None:
    found = section.decoded(Tree.of(Memory(MIXED)), Section((1,)))
    assert found is not None
    assert found.read(0, 99) == b"hello"
    odd = MIXED.replace(b"base64", b"x-what")
    with pytest.raises(section.UnknownCoding):
        section.decoded(Tree.of(Memory(odd)), Section((1,)))


@given(st.binary(max_size=400))
def test_any_octets_have_a_structure(octets: bytes) -> None:
    text = b"Content-Type: multipart/x; boundary=b\r\n\r\n--b\r\n" + octets
    tree = Tree.of(Memory(text))
    assert structure(tree, extended=True).startswith(b"(")
    assert envelope(tree.header(tree.top)).endswith(b")")
