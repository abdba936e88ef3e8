import base64
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.msg.word import MAX_TEXT, printable, unfold, words

WORDS = [
    (b"", ""),
    (b"plain", "plain"),
    (b"  plain \r\n\tfolded  ", "plain  folded"),
    # RFC 2047 section 8, the examples in comments.
    (b"(=?ISO-8859-1?Q?a?=)", "(a)"),
    (b"(=?ISO-8859-1?Q?a?= b)", "(a b)"),
    (b"(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"),
    (b"(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"),
    (b"(=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=)", "(ab)"),
    (b"(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
    (b"(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"),
    # The same section, the header fields.
    (b"=?US-ASCII?Q?Keith_Moore?= <moore@cs.edu>", "Keith Moore <moore@cs.edu>"),
    (b"=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld Jørn Simonsen"),
    (b"=?ISO-8859-1?Q?Andr=E9?= Pirard", "André Pirard"),
    (
        b"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n"
        b" =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
        "If you can read this you understand the example.",
    ),
    (b"=?ISO-8859-1?Q?Patrik_F=E4ltstr=F6m?=", "Patrik Fältström"),
    (
        b"Nathaniel Borenstein <nsb@thumper.bellcore.com>\r\n"
        b"    (=?iso-8859-8?b?7eXs+SDv4SDs6Oj08A==?=)",
        "Nathaniel Borenstein <nsb@thumper.bellcore.com> (םולש ןב לטטפנ)",
    ),
    # Language: RFC 2231 section 5.
    (b"=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"),
    (b"=?utf-8*de-AT?b?w7Y=?=", "ö"),
    # A character over two tokens.
    (b"=?utf-8?B?w?= =?utf-8?B?6k=?=", "\ufffd"),
    (b"=?utf-8?B?ww==?= =?utf-8?B?qQ==?=", "é"),
    (b"=?utf-8?Q?=E2=82?=\n =?UTF-8?q?=AC!?=", "€!"),
    (b"=?utf-8?Q?=E2=82?=x=?utf-8?Q?=AC?=", "\ufffdx\ufffd"),
    (b"=?utf-8?Q?=E2=82?= =?utf-8?B?rA==?=", "\ufffd\ufffd"),
    (b"=?utf-8?Q?=E2=82?= =?iso-8859-1?Q?=AC?=", "\ufffd¬"),
    (b'=?iso-2022-jp?B?GyRCJCIbKEI=?=', "あ"),
    # What is no token, and tokens that say nothing.
    (b"=?utf-8?q?a b?=", "a b"),
    (b"=?utf-8?q?a?b?=", "a?b"),
    (b"=?utf-8?x?a?=", "=?utf-8?x?a?="),
    (b"=?utf-8?q?a", "=?utf-8?q?a"),
    (b"=?q?a?=", "=?q?a?="),
    (b"=??q?a?=", "=??q?a?="),
    (b"=?klingon?q?a=20b?= c", "=?klingon?q?a=20b?= c"),
    (b"=?rot13?q?uryyb?=", "=?rot13?q?uryyb?="),
    (b"=?klingon?q?a?= =?utf-8?q?b?=", "=?klingon?q?a?= b"),
    (b"=?utf-8?q?a?= =?klingon?q?b?= =?utf-8?q?c?=", "a =?klingon?q?b?= c"),
    (b"=?utf-8?q??=", ""),
    (b"=?utf-8?b??=", ""),
    (b"x=?utf-8?q?=C3=A9?=y", "xéy"),
    (b"a  =?utf-8?q?b?=  c", "a  b  c"),
    (b"=?utf-8?q?bad=zz=4?=", "bad=zz=4"),
    (b"=?utf-8?b?YW*J!j?=", "abc"),
    (b"=?utf-8?b?YWI?=", "ab"),
    # Octets over 127 beside tokens.
    (b"caf\xc3\xa9 =?utf-8?q?=C3=A9?=", "café é"),
    (b"caf\xe9 =?utf-8?q?=C3=A9?=", "café é"),
    # One line, whatever is encoded.
    (b"=?utf-8?q?a=0Ab=0D=00c=1Bd=7F?=", "a b cd"),
    (b"=?utf-8?q?a=E2=80=A8b?=", "a b"),
    (b"a\0b\x01c\td\x0ce", "abc de"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "text"), WORDS)
def test_words(raw: bytes, text: str) -> None:
    assert words(raw) == text


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"a\n b", b"a b"),
        (b"a\r\n\t  b", b"a b"),
        (b"a \n b", b"a  b"),
        (b"a\nb", b"a b"),
        (b"a\n\n\nb", b"a   b"),
        (b"a\rb", b"ab"),
        (b"a\tb", b"a b"),
        (b"a\x00\x1b\x7fb", b"ab"),
        (b"\xc3\xa9\x80", b"\xc3\xa9\x80"),
        (b" \n a \n ", b"a"),
        (b"", b""),
    ],
)
def test_unfold(raw: bytes, line: bytes) -> None:
    assert unfold(raw) == line


def test_printable() -> None:
    assert printable("a b\xa0é") == "a b\xa0é"
    assert printable("a\nb\r\tc\x00\x85d\u2029e") == "a b cd e"


PIECES = st.sampled_from(
    [
        b"=?",
        b"?=",
        b"?",
        b"utf-8",
        b"q",
        b"B",
        b"=?utf-8?q?",
        b"=",
        b"_",
        b" ",
        b"\n",
        b"=?utf-8?B?",
        b"=?x?q?",
        b"\xc3",
        b"\xa9",
        b"=C3",
        b"ww==",
    ]
)
NEAR = st.lists(PIECES | st.binary(max_size=3), max_size=30).map(b"".join)


@given(NEAR)
def test_any_octets_give_one_line(raw: bytes) -> None:
    text = words(raw)
    text.encode()
    assert not set(text) & set("\n\r\0\x1b\x7f\x85\u2028")


@given(
    st.text(st.characters(categories=["L", "N", "P"]), max_size=60), st.integers(1, 9)
)
def test_what_is_encoded_comes_back(text: str, size: int) -> None:
    octets = text.encode()
    cut = [octets[i : i + size] for i in range(0, len(octets), size)]
    base = [b"=?utf-8?b?" + base64.b64encode(piece) + b"?=" for piece in cut]
    assert words(b"\n ".join(base)) == text
    quoted = [
        quopri.encodestring(piece, header=True).replace(b"?", b"=3F") for piece in cut
    ]
    quoted = [b"=?UTF-8?Q?" + piece.replace(b"=\n", b"") + b"?=" for piece in quoted]
    assert words(b" ".join(quoted)) == text


def test_a_long_value_is_cut() -> None:
    text = words(b"=?utf-8?q?a?= " * 600_000)
    assert text.startswith("a" * (MAX_TEXT // 14))
    assert len(text) < MAX_TEXT // 14 + 15
    assert words(b"a" * (MAX_TEXT + 9)) == "a" * MAX_TEXT


def test_hostile_values() -> None:
    assert words(b"=?" * 100_000) == "=?" * 100_000
    assert words(b"=?a?q?" * 50_000) == "=?a?q?" * 50_000
    assert words(b"=?utf-8?q?a?= " * 50_000) == "a" * 50_000
    assert words(b" \n" * 100_000 + b"x") == "x"
    assert words(b"\n" * 100_000 + b"x") == "x"
    assert words(b"a" + b" " * 1_000_000 + b"=?utf-8?q?b?=")[-1] == "b"
