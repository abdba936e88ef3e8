from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailfs.msg import charset
from tests.msg.cuts import SIZES, fed

# label, octets, text
DECODED: list[tuple[str | None, bytes, str]] = [
    (None, b"plain", "plain"),
    (None, b"caf\xc3\xa9", "café"),
    (None, b"caf\xe9", "café"),
    (None, b"\x93q\x94 \x80", "“q” €"),
    (None, b"\x81\x8d\x8f\x90\x9d", "\x81\x8d\x8f\x90\x9d"),
    (None, b"\xc3\xa9 and \xe9", "Ã© and é"),
    (None, b"a\0b", "a\0b"),
    ("us-ascii", b"caf\xc3\xa9", "café"),
    ("ANSI_X3.4-1968", b"caf\xe9", "café"),
    ("unknown-8bit", b"caf\xe9", "café"),
    ("x-unknown", b"caf\xc3\xa9", "café"),
    ("", b"caf\xe9", "café"),
    ("no such charset", b"caf\xc3\xa9", "café"),
    ("utf-8", b"caf\xc3\xa9", "café"),
    ("UTF8", b"caf\xc3\xa9", "café"),
    ('"utf-8"', b"caf\xc3\xa9", "café"),
    ("utf-8", b"caf\xe9!", "caf\ufffd!"),
    ("utf-8", b"\xe2\x82", "\ufffd"),
    ("utf-8", b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
    ("iso-8859-1", b"\x93\xe9\x94", "“é”"),
    ("ISO_8859-1:1987", b"\xe9", "é"),
    ("latin1", b"\xe9", "é"),
    ("iso-8859-2", b"\xb1", "ą"),
    ("iso8859-15", b"\xa4", "€"),
    ("iso-8859-9", b"\xfd\x80", "\u0131€"),
    ("windows-1251", b"\xcf\xf0", "Пр"),
    ("cp1251", b"\xcf", "П"),
    ("x-cp1251", b"\xcf", "П"),
    ("koi8-r", b"\xf0", "П"),
    ("KOI8-U", b"\xa4", "є"),
    ("windows-874", b"\xa1\x80", "ก€"),
    ("tis-620", b"\xa1", "ก"),
    ("iso-8859-11", b"\xa1", "ก"),
    ("iso-8859-8-i", b"\xe0", "א"),
    ("x-mac-roman", b"\x8e", "é"),
    ("macintosh", b"\x8e", "é"),
    ("x-mac-cyrillic", b"\x80", "А"),
    ("gb2312", b"\xc4\xe3", "你"),
    ("GB2312", b"\x81\x30\x81\x30", "\x80"),
    ("gbk", b"\x80\xc4\xe3", "€你"),
    ("x-gbk", b"\xc4\xe3", "你"),
    ("hz-gb-2312", b"~{Dc~}a", "你a"),
    ("big5", b"\xa7\x41", "你"),
    ("big5-hkscs", b"\x87\x40", "䏰"),
    ("ks_c_5601-1987", b"\xb0\xa1\x81\x41", "가갂"),
    ("euc-kr", b"\xb0\xa1", "가"),
    ("iso-2022-kr", b"\x1b$)C\x0e0!\x0f", "가"),
    ("shift_jis", b"\x82\xa0\x87\x40", "あ①"),
    ("x-sjis", b"\x82\xa0", "あ"),
    ("Windows-31J", b"\x82\xa0", "あ"),
    ("euc-jp", b"\xa4\xa2", "あ"),
    ("x-euc-jp", b"\xa4\xa2", "あ"),
    ("iso-2022-jp", b'\x1b$B$"\x1b(B!', "あ!"),
    ("csISO2022JP", b'\x1b$B$"\x1b(B!', "あ!"),
    ("iso-2022-jp", b"\x1b(I1\x1b(B", "\uff71"),
    ("utf-7", b"Hi Mom -+Jjo--!", "Hi Mom -☺-!"),
    ("unicode-1-1-utf-7", b"A+ImIDkQ.", "A≢Α."),
    ("utf-7", b"+2AA-", "\ufffd"),
    ("utf-16", b"\xfe\xff\0a", "a"),
    ("utf-16", b"\xff\xfea\0", "a"),
    ("utf-16", b"\0a", "a"),
    ("utf-16be", b"\0a", "a"),
    ("utf-16", b"a", "\ufffd"),
    ("utf-32", b"\0\0\xfe\xff\0\0\0a", "a"),
    # What Python's registry would take, and what no sender may reach.
    ("rot13", b"uryyb", "uryyb"),
    ("rot_13", b"uryyb", "uryyb"),
    ("zlib", b"x\x9c", "xœ"),
    ("idna", b"xn--n3h", "xn--n3h"),
    ("punycode", b"n3h-", "n3h-"),
    ("unicode_escape", b"\\n", "\\n"),
    ("raw_unicode_escape", b"\\u0041", "\\u0041"),
    ("undefined", b"a", "a"),
    ("base64", b"YQ==", "YQ=="),
    ("mbcs", b"a", "a"),
    ("../../etc/passwd", b"a", "a"),
    ("a\0b", b"a", "a"),
]


@pytest.mark.parametrize(("label", "octets", "text"), DECODED)
def test_decode(label: str | None, octets: bytes, text: str) -> None:
    assert charset.decode(octets, label) == text
    for size in (1, 2, 3):
        got = fed(charset.Transcoder(label), octets, [size])
        assert got == text.encode()
    settled = charset.settle(octets, label)
    assert charset.decode(octets, settled) == text
    assert fed(charset.Transcoder(settled), octets, [1]) == text.encode()


def test_known() -> None:
    for label in ("utf-8", "US-ASCII", "ascii", "koi8-r", "x-sjis"):
        assert charset.known(label)
    for other in (None, "", "unknown-8bit", "x-unknown", "rot13", "klingon"):
        assert not charset.known(other)


@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (b"", "utf-8"),
        (b"abc", "utf-8"),
        (b"\xc3\xa9" * 9, "utf-8"),
        (b"\xc3\xa9" * 9 + b"\xe9", "windows-1252"),
        (b"a\xc3", "windows-1252"),
    ],
)
def test_sniffer(octets: bytes, name: str) -> None:
    assert charset.settle(octets) == name
    sniffer = charset.Sniffer()
    for i in range(len(octets)):
        sniffer.feed(octets[i : i + 1])
    assert sniffer.feed(b"", True) == (name == "utf-8")
    assert sniffer.charset() == name


def test_a_sniffer_says_at_once_that_it_has_seen_enough() -> None:
    sniffer = charset.Sniffer()
    assert sniffer.feed(b"abc\xc3")
    assert not sniffer.feed(b"abc")
    assert not sniffer.feed(b"abc")


def test_ascii_passes_before_the_charset_is_decided() -> None:
    transcoder = charset.Transcoder()
    assert transcoder.feed(b"abc") == b"abc"
    assert transcoder.feed(b"\xe9") == b""
    assert transcoder.feed(b"abc") == b"\xc3\xa9abc"
    assert transcoder.feed(b"\xe9", True) == b"\xc3\xa9"


LABELS = [*sorted(set(charset._LABELS)), "us-ascii", "unknown"]
SHIFTY = st.sampled_from(
    [
        *(b"\x1b$B", b"\x1b(B", b"\x1b(J", b"\x1b$(D", b"\x1b(I", b"\x1b", b"\x1b$"),
        *(b"\n", b"~{", b"~}", b"+", b"-", b"+2AA-", b"\x0e", b"\x0f", b"\x1b$)C"),
        *(b"A", b"0!", b"\x8e", b"\x8f", b"\xff", b"\xfe\xff", b"\0\0"),
    ]
)
MIXED = st.lists(SHIFTY | st.binary(max_size=6), max_size=20).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(LABELS), MIXED, SIZES)
def test_any_cuts_give_the_same_text(
    label: str, octets: bytes, sizes: list[int]
) -> None:
    text = charset.decode(octets, label)
    assert fed(charset.Transcoder(label), octets, sizes) == text.encode()


@given(st.text(max_size=80) | st.none(), st.binary(max_size=40))
def test_no_label_raises(label: str | None, octets: bytes) -> None:
    charset.decode(octets, label).encode()


@pytest.mark.parametrize("label", ["utf-7", "iso-2022-jp", "hz"])
def test_a_line_without_end_is_not_held(label: str) -> None:
    transcoder = charset.Transcoder(label)
    out = sum(len(transcoder.feed(b"A" * 1000)) for _ in range(100))
    assert out > 95_000


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(charset._BY_LINE), MIXED, SIZES)
def test_where_a_long_line_is_cut_does_not_depend_on_the_pieces(
    label: str, octets: bytes, sizes: list[int]
) -> None:
    with patch.object(charset, "_MAX_LINE", 7):
        text = charset.decode(octets, label)
        assert fed(charset.Transcoder(label), octets, sizes) == text.encode()
