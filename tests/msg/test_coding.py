import base64
import binascii
import quopri
import re
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailfs.msg import coding
from tests.msg.cuts import SIZES, fed

B64 = [
    (b"", b""),
    (b"YWJj", b"abc"),
    (b"YWJj\r\nZGVm\r\n", b"abcdef"),
    (b"Y W-J*j\0", b"abc"),
    (b"YQ==", b"a"),
    (b"YWI=", b"ab"),
    (b"YQ=\n=\n", b"a"),
    (b"YQ==YWI=YWJj", b"aababc"),
    (b"=YWJj", b"abc"),
    (b"====", b""),
    (b"Y=", b""),
    (b"YW", b"a"),
    (b"YWJ", b"ab"),
    (b"YWJjZ", b"abc"),
    (b"YWJj\xff\xfeZGVm", b"abcdef"),
    (b"YW=Jj", b"a&"),
    (b"!!!", b""),
]
QP = [
    (b"", b""),
    (b"plain\n", b"plain\n"),
    (b"no newline", b"no newline"),
    (b"=C3=a9", b"\xc3\xa9"),
    (b"soft=\nbreak", b"softbreak"),
    (b"soft=\r\nbreak", b"softbreak"),
    (b"soft= \t\nbreak", b"softbreak"),
    (b"soft= \t\r\nbreak", b"softbreak"),
    (b"trailing \t\nnext  \r\nlast  ", b"trailing\nnext\r\nlast"),
    (b"kept=20\n", b"kept \n"),
    (b"kept=20 \n", b"kept \n"),
    (b"a=\n \nb", b"a\nb"),
    (b"bad =zz =4 =4z =\x00!", b"bad =zz =4 =4z =\x00!"),
    (b"== ===", b"== =="),
    (b"==41 ===41", b"=A ==A"),
    (b"=\rx", b"=\rx"),
    (b"= x", b"= x"),
    (b"end=", b"end"),
    (b"end= ", b"end"),
    (b"end=4", b"end=4"),
    (b"8-bit \xc3\xa9 \0 \x7f", b"8-bit \xc3\xa9 \0 \x7f"),
    (b"_=5F_", b"___"),
    (b"=0D=0A=\n", b"\r\n"),
    (b"a\rb \r \r\n", b"a\rb \r\r\n"),
    (b"From =3D20", b"From =20"),
]
UU = [
    (b"begin 644 a\n#86)C\n`\nend\n", b"abc"),
    (b"words\n\nbegin 0755 a b.c\r\n#86)C\r\n \r\nend\r\nmore\n", b"abc"),
    (b"begin 644 a\n#86)C\n#86)C", b"abcabc"),
    (b"begin 644 a\n#86)C  trailing\n", b"abc"),
    (b"begin 644 a\n\xff\xff\n#86)C\n", b"abc"),
    (b"begin 644 a\n#86)C\nend\n#86)C\nend\n", b"abc"),
    (b"no begin line\n", b"no begin line\n"),
    (b"begin here\n", b"begin here\n"),
    (b"", b""),
]
ALL = [
    *(("base64", raw, out) for raw, out in B64),
    *(("quoted-printable", raw, out) for raw, out in QP),
    *(("x-uuencode", raw, out) for raw, out in UU),
    *((name, b"a= \nYQ==\n", b"a= \nYQ==\n") for name in ("", "7bit", "8bit", "x-y")),
]


@pytest.mark.parametrize(("encoding", "raw", "out"), ALL)
def test_decode(encoding: str, raw: bytes, out: bytes) -> None:
    assert coding.decode(raw, encoding) == out
    for size in range(1, len(raw) + 1):
        assert fed(coding.Decoder(encoding), raw, [size]) == out


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("base64", "base64"),
        (" BASE64 ", "base64"),
        ("base64;", "base64"),
        ("Quoted-Printable", "quoted-printable"),
        ("quoted-printable(comment)", "quoted-printable"),
        ("x-uuencode", "x-uuencode"),
        ("x-uue", "x-uuencode"),
        ("uuencode", "x-uuencode"),
        ("7bit", ""),
        ("binary", ""),
        ("quoted", ""),
        ("", ""),
    ],
)
def test_kind(name: str, kind: str) -> None:
    assert coding.kind(name) == kind


def base64_by_the_character(octets: bytes) -> bytes:
    """RFC 2045 section 6.8 with one octet at a time, as a check on the other way."""
    out, bits, count = bytearray(), 0, 0
    alphabet = coding._B64
    for c in octets:
        if c == ord("="):
            bits = count = 0
        elif c in alphabet:
            bits, count = bits << 6 | alphabet.index(c), count + 6
            if count >= 8:
                count -= 8
                out.append(bits >> count & 255)
            if count == 0:
                bits = 0
    return bytes(out)


def quoted_by_the_line(octets: bytes) -> bytes:
    """RFC 2045 section 6.7 with one regular expression, as a check on the other way."""
    octets = re.sub(rb"[ \t]+(\r?\n|\Z)", rb"\1", octets)
    octets = octets.removesuffix(b"=")
    # In one go: what a soft break joins is no escape if it was none before.
    return re.sub(
        rb"=(?:\r?\n|([0-9A-Fa-f]{2}))",
        lambda m: bytes.fromhex((m[1] or b"").decode()),
        octets,
    )


def test_a_soft_break_makes_no_escape() -> None:
    assert coding.decode(b"==\n41 =\n41", "quoted-printable") == b"=41 41"


NEAR_B64 = st.text("YWJj=\n -", max_size=60).map(str.encode)
NEAR_QP = st.lists(
    st.sampled_from([b"=", b"=\n", b"=\r\n", b" ", b"\t", b"\r", b"\n", b"a", b"41"])
    | st.binary(max_size=2),
    max_size=40,
).map(b"".join)
NEAR_UU = st.lists(
    st.sampled_from([b"begin 644 x\n", b"#86)C\n", b"end\n", b"\n", b"`", b"M", b"\r"])
    | st.binary(max_size=4),
    max_size=20,
).map(b"".join)


@given(NEAR_B64 | st.binary(max_size=80))
def test_base64_agrees(octets: bytes) -> None:
    assert coding.decode(octets, "base64") == base64_by_the_character(octets)


@given(NEAR_QP)
def test_quoted_printable_agrees(octets: bytes) -> None:
    want = quoted_by_the_line(octets)
    assert coding.decode(octets, "quoted-printable") == want


@given(st.binary(max_size=300))
def test_what_others_encode_comes_back(octets: bytes) -> None:
    assert coding.decode(base64.encodebytes(octets), "base64") == octets
    text = octets.replace(b"\r", b"")  # which quopri may take for part of a line end
    assert coding.decode(quopri.encodestring(text), "quoted-printable") == text
    lines = [octets[i : i + 45] for i in range(0, len(octets), 45)]
    uu = b"".join(map(binascii.b2a_uu, lines))
    assert coding.decode(b"begin 644 x\n" + uu + b"`\nend\n", "x-uuencode") == octets


@settings(max_examples=300)
@given(
    st.sampled_from(["base64", "quoted-printable", "x-uuencode", "8bit"]),
    NEAR_B64 | NEAR_QP | NEAR_UU | st.binary(max_size=80),
    SIZES,
)
def test_any_cuts_give_the_same_octets(
    encoding: str, octets: bytes, sizes: list[int]
) -> None:
    whole = coding.decode(octets, encoding)
    assert fed(coding.Decoder(encoding), octets, sizes) == whole
    with patch.object(coding, "PIECE", 7):
        assert coding.decode(octets, encoding) == whole
        assert fed(coding.Decoder(encoding), octets, sizes) == whole


def test_large_bodies_are_converted_in_pieces() -> None:
    octets = bytes(range(256)) * 5000
    assert coding.decode(base64.encodebytes(octets), "base64") == octets
    assert coding.decode(base64.b64encode(octets), "base64") == octets
    quoted = quopri.encodestring(octets)
    assert coding.decode(quoted, "quoted-printable") == octets


def test_a_begin_line_too_far_down_is_none() -> None:
    begin = b"\nbegin 644 x\n#86)C\nend\n"
    near = b"x" * (coding.UU_PREAMBLE - len(begin)) + begin
    far = b"x" * coding.UU_PREAMBLE + begin
    assert coding.decode(near, "x-uuencode") == b"abc"
    assert coding.decode(far, "x-uuencode") == far
    assert fed(coding.Decoder("x-uuencode"), far, [999]) == far


@pytest.mark.parametrize(
    "text",
    [
        b"=" * 1_000_000,
        b" " * 1_000_000 + b"x",
        b" \n" * 500_000,
        b"=\r" * 500_000,
        b"A=" * 500_000,
        b"x" * 1_000_000,
        b"\0" * 1_000_000,
    ],
    ids=lambda text: repr(text[:4]),
)
@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "x-uuencode"])
def test_hostile_runs(encoding: str, text: bytes) -> None:
    assert fed(coding.Decoder(encoding), text, [65_536]) == coding.decode(
        text, encoding
    )


@given(st.binary(max_size=40))
def test_escapes_leave_what_is_none(text: bytes) -> None:
    want = re.sub(rb"=([0-9A-Fa-f]{2})", lambda m: bytes.fromhex(m[1].decode()), text)
    if b"=\n" not in text and b"=\r\n" not in text:  # values have no newlines
        assert coding.escapes(text) == want


def test_escape_at_the_end() -> None:
    assert coding.escapes(b"a=") == b"a="
    assert coding.escapes(b"a=4") == b"a=4"
    assert coding.escapes(b"==41=") == b"=A="
