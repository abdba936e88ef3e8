"""What senders do against the standards, and what is read all the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.msg import charset, coding, header, param, part
from mailfs.msg.address import addresses
from mailfs.msg.envelope import envelope
from mailfs.msg.word import words

# The empty line behind the header was forgotten: header, body.
FORGOTTEN = [
    (b"Subject: x\n", b"It is done\nand well\n"),
    (b"Subject: x\n", b"Disk is full\nDisk: 99% used\n\nmore\n"),
    (b"Subject: x\nX-Mailer: y\n", b"** Note: this\nis text\n"),
    (b'Content-Type: multipart/mixed; boundary="b"\n', b"--b\n\ntext\n--b--\n"),
    (b'Content-Type: multipart/mixed;\n\tboundary="b:c"\n', b"--b:c\nX: y\n\nt\n"),
    (b"Subject: x\r\n", b"It is done\r\n\r\nreally\r\n"),
    (b"Subject: x\n y\n", b"text\n indented\n"),
]


@pytest.mark.parametrize(("head", "body"), FORGOTTEN)
def test_a_body_without_an_empty_line(head: bytes, body: bytes) -> None:
    found = header.scan(head + body)
    assert (found.end, found.body) == (len(head), len(head))
    outer = b"Content-Type: multipart/mixed; boundary=o\n\n--o\n"
    tree = part.parse(outer + head + body + b"\n--o--\n")
    inner = tree.parts[0]
    assert inner.body - inner.start == len(head)


# Lines that are no fields, but with a header going on behind them.
MANGLED = [
    b"Subject: a long\nsubject unfolded\nTo: a@b\n\nbody\n",
    b"Subject: x\n>From here it was forwarded\nTo: a@b\n\nbody\n",
    b"From: a\nno colon\nX-Spam: no\nneither\nReceived: by b\n\nbody\n",
    b"Subject: x\n>From the spool\n\nbody\n",
]


@pytest.mark.parametrize("octets", MANGLED)
def test_a_header_goes_on(octets: bytes) -> None:
    assert octets[header.scan(octets).body :] == b"body\n"


@given(st.binary(max_size=200))
def test_a_header_and_a_body_are_all_there_is(octets: bytes) -> None:
    found = header.scan(octets)
    assert 0 <= found.start <= found.end <= found.body <= len(octets)
    assert octets[found.end : found.body] in (b"", b"\n", b"\r\n")


WORDS = [
    (b"=?utf-8?B?R3LDtsOf\n ZQ==?=", "Größe"),
    (b"=?utf-8?Q?two words?= and more", "two words and more"),
    (b"=?utf-8?Q?a?= =?utf-8?Q?b c?=", "ab c"),
    (b"=?utf-8?Q?Really? Yes?=", "Really? Yes"),
    (b"=?utf-8?Q?Really?=C3=BC?=", "Really?ü"),
    (b"=?utf-8?Q?a?=text", "atext"),
    (b"=?utf-8?Q?a =?utf-8?Q?b?=", "=?utf-8?Q?a b"),
    (b"=?unknown-8bit?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
    (b"=?x-unknown?Q?Gr=FC=DFe?=", "Grüße"),
    (b"=?nonesuch?Q?a?=", "=?nonesuch?Q?a?="),
    (b"\x1b$B$3$s\x1b(B", "こん"),
]


@pytest.mark.parametrize(("raw", "text"), WORDS)
def test_words(raw: bytes, text: str) -> None:
    assert words(raw) == text


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("koi8-r", "Привет"),
        ("gb2312", "你好"),
        ("windows-1251", "Привет"),
        ("euc-jp", "こん①"),
        ("utf-8", "Grüße"),
    ],
)
def test_raw_headers_in_the_charset_of_the_text(label: str, text: str) -> None:
    raw = b"\xa4\xb3\xa4\xf3\xad\xa1" if label == "euc-jp" else text.encode(label)
    octets = (
        b"Subject: %b\nFrom: %b <a@b>\nContent-Type: text/plain; charset=%b\n\nx\n"
        % (raw, raw, label.encode())
    )
    found = envelope(header.scan(octets))
    assert (found.subject, found.ffrom) == (text, text)


def test_a_hint_that_cannot_be_meant() -> None:
    for label in ("utf-16", "iso-2022-jp", "utf-7", "nonesuch", None):
        assert words(b"Gr\xfc\xdfe", label) == "Grüße"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"=?UTF-8?Q?J=C3=B6rg M=C3=BCller?= <j@x>", "Jörg Müller"),
        (b"=?UTF-8?Q?M=C3=BCller, J=C3=B6rg?= <j@x>", "Müller, Jörg"),
        (b"=?UTF-8?Q?Is it? =C3=BC?= <j@x>", "Is it? ü"),
    ],
)
def test_names(value: bytes, name: str) -> None:
    assert [(a.name, a.addr) for a in addresses([value])] == [(name, "j@x")]


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (b"(by X) base64", "base64"),
        (b'"base64"', "base64"),
        (b"base64 (as it were)", "base64"),
        (b"(a (nested) one) QUOTED-printable;", "quoted-printable"),
        (b"(never closed base64", ""),
        (b"", ""),
        (None, ""),
    ],
)
def test_transfer_encodings(value: bytes | None, word: str) -> None:
    assert param.encoding(value) == word


@pytest.mark.parametrize(
    ("value", "kind", "params"),
    [
        (b"(c) text/html; charset=utf-8", "text/html", {"charset": "utf-8"}),
        (b"text/html (a; b); charset=x", "text/html", {"charset": "x"}),
        (b"text (one) / (two) html", "text/html", {}),
        (b"application/x; name=a (1).pdf", "application/x", {"name": "a (1).pdf"}),
        (b'"text/html"; charset=utf-8', "text/html", {"charset": "utf-8"}),
        (b'"text/html; charset=utf-8"', "text/html", {"charset": "utf-8"}),
        (b'"TEXT/HTML" (c); charset="x"', "text/html", {"charset": "x"}),
        (b'"text" / "html"', "text/html", {}),
        (b"'text/html'; charset=x", "text/html", {"charset": "x"}),
        (b'"text/html;charset=x', "text/html", {"charset": "x"}),
        (
            b'text/plain; name="\xf0\xd2\xc9.txt"; charset=koi8-r',
            "text/plain",
            {"name": "При.txt", "charset": "koi8-r"},
        ),
    ],
)
def test_types(value: bytes, kind: str, params: dict[str, str]) -> None:
    assert param.media(value) == (kind, params)


def test_dispositions() -> None:
    assert param.disposition(b"(x) attachment; filename=y") == (
        "attachment",
        {"filename": "y"},
    )
    for quoted in (b'"attachment"; filename=y', b'"attachment; filename=y"'):
        assert param.disposition(quoted) == ("attachment", {"filename": "y"})
    name = b'attachment; filename="=?UTF-8?Q?Gr=C3=BC=C3=9Fe aus.pdf?="'
    assert param.disposition(name)[1] == {"filename": "Grüße aus.pdf"}


RAW = [
    (b'filename="\xf0\xd2\xc9.txt"', "koi8-r", "При.txt"),
    (b"filename=\xf0\xd2\xc9.txt", "koi8-r", "При.txt"),
    (b'filename*0="\xf0\xd2"; filename*1="\xc9.txt"', "koi8-r", "При.txt"),
    (b'filename="\xc4\xe3\xba\xc3.doc"', "gb2312", "你好.doc"),
    (b'filename="\x83e\x83X\x83g.txt"', "windows-31j", "テスト.txt"),
    ('filename="é.txt"'.encode(), "koi8-r", "é.txt"),
    (b'filename="caf\xe9.txt"', "", "café.txt"),
    (b'filename="caf\xe9.txt"', "utf-16", "café.txt"),
]


@pytest.mark.parametrize(("value", "label", "name"), RAW)
def test_raw_names_of_files(value: bytes, label: str, name: str) -> None:
    kind = b"Content-Type: text/plain; charset=" + label.encode() + b"\n"
    place = b"Content-Disposition: attachment; " + value + b"\n"
    alone = kind * bool(label) + place + b"\nx\n"
    assert part.parse(alone).filename == name
    assert envelope(header.scan(alone)).filename == name
    mixed = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n"
    data = b"\n--b\nContent-Type: application/pdf\n"
    # a part without a charset is named as the text before it is written
    after = mixed + kind * bool(label) + b"\nhello" + data + place + b"\n%PDF\n--b--\n"
    assert part.parse(after).parts[1].filename == name
    named = value.replace(b"filename", b"name")
    inside = b"Content-Type: application/pdf; " + named + b"\n\n%PDF\n--b--\n"
    after = mixed + kind * bool(label) + b"\nhello\n--b\n" + inside
    assert part.parse(after).parts[1].filename == name


JAPANESE = [
    (b"\x1b$B-!-j-5\x1b(B", "iso-2022-jp", "①㈱Ⅰ"),
    (b"\x1b$B|b\x1b(B", "iso-2022-jp", "髙"),
    (b"\x1b$B$3-!$s\x1b(Bx", "iso-2022-jp", "こ①んx"),
    (b"\xad\xa1\xa4\xb3\xad\xea", "euc-jp", "①こ㈱"),
    (b"\xfc\xe2", "euc-jp", "髙"),
    (b"\xad", "euc-jp", "\ufffd"),
    (b"\x87\x40", "shift_jis", "①"),
    (b"\x87\x40\xfa\x40\xfb\xfc", "windows-31j", "①ⅰ髙"),
    (b"\x8f\xb0\xa1\xa4\xa2", "euc-jp", "丂あ"),
    (b"\x8f\xf3\xf3\x8f\xf4\xab\xa4\xa2", "eucJP-ms", "ⅰ㈱あ"),
    (b"\x8f\xf4\xfe\xad\xa1", "euc-jp", "黑①"),
    (b"\x8f\xf3\xa1\xa4\xa2", "eucJP-ms", "\ufffdあ"),
    (b"\x8f\xf4", "eucJP-ms", "\ufffd"),
    (b"\x1b$(D0!st\x1b$B-!\x1b(B", "iso-2022-jp", "丂ⅱ①"),
    (b"\x1b$(D0!\nss\ntt\x1b$B-!\x1b(B", "iso-2022-jp", "丂\nⅰ\n霻①"),
    (b"\x1b$(D~~\x1b(B", "iso-2022-jp-2", "\ufffd"),
    (b"\x8c\x63\xb0\xa1", "cp949", "똠가"),
    (b"\x8c\x63\xb0\xa1", "euc-kr", "똠가"),
    (b"\x80\x81\x40\xc4\xe3", "gbk", "€丂你"),
    (b"\x80\xc4\xe3", "cp936", "€你"),
    (b"\0G\0r", "utf-16", "Gr"),
    (b"\0\0\0G", "utf-32", "G"),
]


@pytest.mark.parametrize(("octets", "label", "text"), JAPANESE)
def test_charsets(octets: bytes, label: str, text: str) -> None:
    assert charset.decode(octets, label) == text
    for cut in range(len(octets) + 1):
        pieces = charset.Transcoder(label)
        found = pieces.feed(octets[:cut]) + pieces.feed(octets[cut:], final=True)
        assert found.decode() == text


def test_many_tokens_are_linear() -> None:
    """Each token is looked at once, whether or not it ends."""
    for raw in (b"=?utf-8?Q?" * 50_000, b"=?utf-8?Q?" + b"a?" * 250_000):
        assert words(raw) == raw.decode()


def test_an_encoded_text_of_a_part() -> None:
    octets = b"Content-Transfer-Encoding: (x) base64\n\nSGVsbG8=\n"
    tree = part.parse(octets)
    assert coding.decode(octets[tree.body : tree.end], tree.encoding) == b"Hello"
