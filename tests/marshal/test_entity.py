"""Parts made of texts and files, and what comes out of them again."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailfs.errors import MailfsError
from mailfs.marshal import entity
from mailfs.marshal.entity import Entity, Token
from mailfs.msg import coding, header

from .reading import Leaf, both

LONG = b"y" * 999

ENCODINGS = [
    (b"", "7bit"),
    (b"plain\n", "7bit"),
    (b"y" * 998 + b"\n", "7bit"),
    (LONG + b"\n", "quoted-printable"),
    ("é\n".encode(), "8bit"),
    ("é".encode() * 600, "base64"),
    (LONG + "é\n".encode(), "quoted-printable"),
    (b"bell\x07 and some more text\n", "quoted-printable"),
    (b"a lonely\rreturn in a text\n", "quoted-printable"),
    (b"\0\1\2\3", "base64"),
    (b"From here\n", "7bit"),
    (b"blank \n", "7bit"),
]
SEVEN = [
    (b"plain\n", "7bit"),
    (b"From here on there is text\n", "quoted-printable"),
    (b"a line and\nFrom here\n", "quoted-printable"),
    (b"some text with a blank \n", "quoted-printable"),
    (b"some text with a tab\t\n", "quoted-printable"),
    (b"some text, no newline and a blank ", "quoted-printable"),
    ("some text and é\n".encode(), "quoted-printable"),
    ("日本語\n".encode(), "base64"),
]


def check(octets: bytes, encoding: str, body: bytes) -> None:
    """Check that a body is what its encoding says, and says the octets."""
    assert coding.decode(body, encoding) == octets
    assert max(map(len, body.split(b"\n"))) <= 998
    if encoding != "8bit":
        assert body.isascii()
    if encoding not in ("7bit", "8bit"):
        assert max(map(len, body.split(b"\n"))) <= 76
        assert b"\r" not in body


@pytest.mark.parametrize(("octets", "encoding"), ENCODINGS)
def test_encoding(octets: bytes, encoding: str) -> None:
    found, body = entity.encode(octets)
    assert found == encoding
    check(octets, found, body)


@pytest.mark.parametrize(("octets", "encoding"), SEVEN)
def test_encoding_for_a_signature(octets: bytes, encoding: str) -> None:
    found, body = entity.encode(octets, seven=True)
    assert found == encoding
    check(octets, found, body)
    lines = body.split(b"\n")
    assert not any(line.startswith(b"From ") for line in lines)
    assert not any(line.endswith((b" ", b"\t")) for line in lines)


@settings(max_examples=60)
@given(
    st.lists(
        st.binary(max_size=40)
        | st.sampled_from([b"\n", b"\r\n", b"From ", b" \n", LONG, "é".encode()]),
        max_size=8,
    ).map(b"".join),
    st.booleans(),
)
def test_any_octets_come_back(octets: bytes, seven: bool) -> None:
    encoding, body = entity.encode(octets, seven=seven)
    check(octets, encoding, body)


TEXTS = [
    (b"hello", {}, "US-ASCII", b"hello\n"),
    (b"hello\r\nworld\r\n", {}, "US-ASCII", b"hello\nworld\n"),
    ("é\n".encode(), {}, "UTF-8", "é\n".encode()),
    (b"caf\xe9\n", {}, "UTF-8", "café\n".encode()),
    (b"\xa4\n", {"charset": "iso-8859-15"}, "UTF-8", "€\n".encode()),
    (b"x\n", {"charset": "utf-8"}, "utf-8", b"x\n"),
    (b"", {}, "US-ASCII", b""),
]


@pytest.mark.parametrize(("octets", "params", "charset", "text"), TEXTS)
def test_text(octets: bytes, params: dict[str, str], charset: str, text: bytes) -> None:
    made = entity.text(octets, "text/plain", params)
    head = header.scan(made.fields + b"\n")
    kind = head.raw(b"content-type") or b""
    assert kind.decode() == f'text/plain; charset="{charset}"'
    encoding = (head.raw(b"content-transfer-encoding") or b"").decode()
    assert coding.decode(made.body, encoding) == text


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
MAIL = b"From: a@x\nSubject: inner\n\nhello\n"

# A file's name, its octets, a type given; the type and octets that arrive.
FILES = [
    ("a.txt", b"hello", None, "text/plain", b"hello"),
    ("a.txt", b"dos\r\n", None, "text/plain", b"dos\r\n"),
    ("a.txt", LONG, None, "text/plain", LONG),
    ("a.txt", "é\n".encode(), None, "text/plain", "é\n".encode()),
    ("a.txt", b"caf\xe9\n", None, "application/octet-stream", b"caf\xe9\n"),
    ("a.html", b"<p>\n", None, "text/html", b"<p>\n"),
    ("a.json", b"{}\n", None, "application/json", b"{}\n"),
    ("a.png", PNG, None, "image/png", PNG),
    ("photo", PNG, None, "image/png", PNG),
    ("a.bin", PNG, "application/x-own", "application/x-own", PNG),
    ("a.eml", MAIL, None, "message/rfc822", MAIL),
    (
        "a.eml",
        b"From a@x Mon Mar  2 09:00:00 2026\n" + MAIL,
        None,
        "message/rfc822",
        MAIL,
    ),
    ("a.eml", MAIL.replace(b"\n", b"\r\n"), None, "message/rfc822", MAIL),
    ("a.eml", MAIL + LONG, None, "application/octet-stream", MAIL + LONG),
    ("a.eml", b"\nno header\n", None, "application/octet-stream", b"\nno header\n"),
    ("empty", b"", None, "text/plain", b""),
    ("日本 語.txt", b"x\n", None, "text/plain", b"x\n"),
]


def counting() -> Token:
    """Return tokens that can be told beforehand."""
    numbers = itertools.count()
    return lambda: f"token{next(numbers)}"


def whole(made: Entity) -> bytes:
    """Return an entity as a message."""
    return b"MIME-Version: 1.0\n" + made.octets()


@pytest.mark.parametrize("seven", [False, True])
@pytest.mark.parametrize(("name", "octets", "given", "kind", "arrives"), FILES)
def test_file(  # one row
    name: str, octets: bytes, given: str | None, kind: str, arrives: bytes, seven: bool
) -> None:
    made = entity.file(octets, name, given, inline=False, seven=seven)
    if kind.startswith("text/") and not arrives.endswith(b"\n"):
        made = Entity(made.fields, made.body)
    message = whole(entity.multipart(entity.MIXED, [made], counting()))
    assert both(message) == [Leaf(kind, name.replace(" ", "_"), arrives)]
    if seven:
        assert message.isascii()


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_any_files_arrive(files: list[bytes]) -> None:
    parts = [
        entity.file(octets, f"{i}.bin", "application/octet-stream", inline=False)
        for i, octets in enumerate(files)
    ]
    message = whole(entity.multipart(entity.MIXED, parts, counting()))
    assert [leaf.octets for leaf in both(message)] == files


def test_disposition() -> None:
    for inline, word in ((True, b"inline"), (False, b"attachment")):
        made = entity.file(b"x", "a b", None, inline=inline)
        head = header.scan(made.fields + b"\n")
        assert head.raw(b"content-disposition") == word + b'; filename="a b"'


def test_a_boundary_is_in_no_part() -> None:
    text = entity.text(b"a\n--upas-token0\nb\n--upas-token0--\n")
    made = entity.multipart(entity.MIXED, [text, text], counting())
    assert b"upas-token1" in made.fields
    assert len(both(whole(made))) == 2


READY = b"Content-Type: text/x-own\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n"


def test_a_part_ready_made() -> None:
    made = entity.file(READY, "x", "mime", inline=False)
    message = whole(entity.multipart(entity.MIXED, [made], counting()))
    assert both(message) == [Leaf("text/x-own", "", b"hello")]


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"no part\n",
        b"Subject: x\n\nbody\n",
        b"Content-Type: a/b\n",
        b"Content-Type: a/b\n\n\0",
        b"Content-Type: a/b\n\n" + LONG,
    ],
)
def test_what_is_no_part(octets: bytes) -> None:
    with pytest.raises(MailfsError, match="x: not a MIME part"):
        entity.file(octets, "x", "mime", inline=False)


def test_tokens() -> None:
    token = entity.tokens(lambda n: bytes(range(n)))
    assert token() == "abcdefghijklmnopqrstuvwxyz"
