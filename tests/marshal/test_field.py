"""Header fields written, read back by our reader and by the standard library's."""

import email
import email.header
import email.policy
import email.utils

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailfs.errors import MailfsError
from mailfs.msg import address, field, header, param, word
from mailfs.msg.address import Address

LONG = "x" * 2000

TEXTS = [
    ("", "Subject:\n"),
    ("hello", "Subject: hello\n"),
    ("  hello  ", "Subject: hello\n"),
    ("a  b", "Subject: a  b\n"),
    ("héllo", "Subject: =?utf-8?q?h=C3=A9llo?=\n"),
    ("a é b", "Subject: a =?utf-8?q?=C3=A9?= b\n"),
    ("é ü", "Subject: =?utf-8?q?=C3=A9_=C3=BC?=\n"),
    ("日本", "Subject: =?utf-8?b?5pel5pys?=\n"),
    ("=?utf-8?q?ready?=", "Subject: =?utf-8?q?ready?=\n"),
    ("a\nBcc: b", "Subject: a Bcc: b\n"),
    ("a\r\n\r\nbody", "Subject: a body\n"),
    ("bell\x07", "Subject: bell\n"),
    (
        "word " * 20,
        f"Subject: {' '.join(['word'] * 14)}\n {' '.join(['word'] * 6)}\n",
    ),
]


@pytest.mark.parametrize(("text", "wire"), TEXTS)
def test_text(text: str, wire: str) -> None:
    assert field.text("Subject", text) == wire.encode()


def value_of(octets: bytes) -> bytes:
    """Return the value of the only field in octets, folded as it is."""
    scanned = header.scan(octets + b"\n")
    assert len(scanned.lines) == 1
    assert scanned.end == len(octets)
    return scanned.fields[0][1]


def check_lines(octets: bytes) -> None:
    """Check that lines are no longer than they may be, and none is blank."""
    assert octets.endswith(b"\n")
    for line in octets[:-1].split(b"\n"):
        assert line.strip()
        assert len(line) <= field.MAX_LINE
        if b"=?utf-8?" in line:
            assert len(line) <= field.WORD_LINE
        for token in word.TOKEN.finditer(line):
            assert len(token[0]) <= field.MAX_WORD


WORDS = st.lists(
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=90)
    | st.sampled_from(["héllo", LONG, "日本語" * 40, "🎉" * 30, "plain", '"', "=?"]),
    max_size=6,
)


@settings(max_examples=50)
@given(WORDS)
def test_any_text_comes_back(words: list[str]) -> None:
    text = " ".join(" ".join(words).split())
    if word.TOKEN.search(text.encode()):
        return  # one that was encoded already is left alone
    octets = field.text("Subject", text)
    check_lines(octets)
    assert octets.isascii()
    assert word.words(value_of(octets)) == text


def test_texts_the_other_reader_reads() -> None:
    for text in ["héllo wörld " * 20, "日本語の件名 " * 20, "a é b ü c", "🎉 " * 30]:
        octets = field.text("Subject", text)
        parsed = email.message_from_bytes(octets + b"\n", policy=email.policy.default)
        assert parsed["subject"] == " ".join(text.split())


BOXES = [
    ([Address("", "a@x")], "To: a@x\n"),
    ([Address("Bob", "b@x")], "To: Bob <b@x>\n"),
    ([Address("Bob B", "b@x"), Address("", "fred")], "To: Bob B <b@x>, fred\n"),
    ([Address("B, Bob", "b@x")], 'To: "B, Bob" <b@x>\n'),
    ([Address('Q "x" \\', "b@x")], 'To: "Q \\"x\\" \\\\" <b@x>\n'),
    ([Address("", "b@x", "Bob")], "To: Bob <b@x>\n"),
    ([Address("Zoë", "z@x")], "To: =?utf-8?q?Zo=C3=AB?= <z@x>\n"),
    ([Address("=?x?", "z@x")], 'To: "=?x?" <z@x>\n'),
    ([Address("a\nBcc: evil", "z@x")], 'To: "a Bcc: evil" <z@x>\n'),
    ([Address("", "jürgen@x")], "To: jürgen@x\n"),
]


@pytest.mark.parametrize(("boxes", "wire"), BOXES)
def test_addresses(boxes: list[Address], wire: str) -> None:
    assert field.addresses("To", boxes) == wire.encode()


NAMES = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=60
).map(lambda s: " ".join(s.split()))
LOCALS = st.from_regex(r"[a-z0-9.!+_-]{1,40}@[a-z0-9-]{1,20}\.example", fullmatch=True)


@settings(max_examples=50)
@given(st.lists(st.builds(Address, NAMES, LOCALS, st.just("")), min_size=1, max_size=6))
def test_any_addresses_come_back(boxes: list[Address]) -> None:
    boxes = [b for b in boxes if not word.TOKEN.search(b.name.encode())]
    if not boxes:
        return
    octets = field.addresses("To", boxes)
    check_lines(octets)
    assert address.addresses([value_of(octets)]) == boxes
    unfolded = octets.decode().replace("\n ", " ")
    pairs = email.utils.getaddresses([unfolded.partition(":")[2]])
    assert [addr for _, addr in pairs] == [box.addr for box in boxes]


PARAMS = [
    ({"filename": "a.txt"}, 'X: a; filename="a.txt"\n'),
    ({"filename": 'a "b" \\'}, 'X: a; filename="a \\"b\\" \\\\"\n'),
    ({"filename": "é.txt"}, "X: a; filename*=utf-8''%C3%A9.txt\n"),
    ({"filename": ""}, 'X: a; filename=""\n'),
    ({"filename": "a\nb"}, 'X: a; filename="a b"\n'),
    ({"a": "x" * 60, "b": "1"}, f'X: a; a="{"x" * 60}"; b="1"\n'),
    ({"a": "x" * 68, "b": "1"}, f'X: a;\n\ta="{"x" * 68}";\n\tb="1"\n'),
]


@pytest.mark.parametrize(("params", "wire"), PARAMS)
def test_parameters(params: dict[str, str], wire: str) -> None:
    assert field.parameters("X", "a", params) == wire.encode()


@settings(max_examples=50)
@given(NAMES | st.sampled_from(["日本語" * 30 + ".txt", "a" * 300, "'%41"]))
def test_any_parameter_comes_back(name: str) -> None:
    wire = field.parameters("Content-Disposition", "attachment", {"filename": name})
    check_lines(wire)
    assert max(map(len, wire.split(b"\n"))) <= field.WIDTH
    if not word.TOKEN.search(name.encode()):
        _, params = param.disposition(word.unfold(value_of(wire)))
        assert params["filename"] == name
    other = email.message_from_bytes(wire + b"\n")
    assert email.utils.collapse_rfc2231_value(other.get_filename() or "") == name


RAW = [
    ("To", b" a@x,\n\tb@x (c)", b"To: a@x,\n\tb@x (c)\n"),
    ("to", b"a@x", b"to:a@x\n"),
    ("To", " Zoë <z@x>".encode(), b"To: =?utf-8?q?Zo=C3=AB?= <z@x>\n"),
    ("Subject", " é".encode(), b"Subject: =?utf-8?q?=C3=A9?=\n"),
    ("Subject", b" \xe9t\xe9", b"Subject: =?utf-8?q?=C3=A9t=C3=A9?=\n"),
    ("Subject", b" a\x00b", b"Subject: ab\n"),
    ("Subject", b" a\rBcc: b", b"Subject: aBcc: b\n"),
    ("Subject", b" a\n \t \n b", b"Subject: a  b\n"),
    (
        "Content-Type",
        ' text/plain; name="é"'.encode(),
        b"Content-Type: text/plain; name*=utf-8''%C3%A9\n",
    ),
    (
        "Content-Disposition",
        " attachment; filename=é".encode(),
        b"Content-Disposition: attachment; filename*=utf-8''%C3%A9\n",
    ),
    ("X-Long", b" " + b"a b " * 30, b"X-Long: " + b"a b " * 30 + b"\n"),
]


@pytest.mark.parametrize(("name", "value", "wire"), RAW)
def test_raw(name: str, value: bytes, wire: bytes) -> None:
    assert field.raw(name, value) == wire


@pytest.mark.parametrize("name", ["Subject", "To", "X-Any", "Content-Type"])
@settings(max_examples=50)
@given(st.binary(max_size=300) | st.sampled_from([b"y" * 3000, b"a, " * 2000]))
def test_any_octets_stay_in_their_field(name: str, octets: bytes) -> None:
    value = b" " + octets.replace(b"\n", b"\n ")
    try:
        wire = field.raw(name, value)
    except MailfsError as e:
        assert "too long" in str(e)  # noqa: PT017
        return
    scanned = header.scan(wire + b"Next: x\n\n")
    assert [found for found, _ in scanned.fields] == [name.encode(), b"Next"]
    assert max(map(len, wire.split(b"\n"))) <= field.MAX_LINE
