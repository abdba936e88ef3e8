"""Bodies in pieces give what they give as a whole, however they are cut."""

import base64
import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.smtp import wire
from mailfs.smtp.body import WireBody
from mailfs.smtp.fate import DeliveryError
from mailfs.smtp.header import take
from mailfs.smtp.letter import SmtpLetter
from mailfs.smtp.source import FileSource, MessageSource, OctetSource, pieces

BITS = st.sampled_from(
    [b"a", b" ", b"\t", b"\r", b"\n", b"\r\n", b".", b"\xe9", b"x" * 500, b"\n\n"]
)
OCTETS = st.lists(BITS, max_size=30).map(b"".join)


class Cut(MessageSource):
    """A source that gives few octets at a time."""

    def __init__(self, octets: bytes, most: int) -> None:
        self._octets = octets
        self._most = most

    @property
    def size(self) -> int:
        return len(self._octets)

    def read(self, offset: int, count: int) -> bytes:
        return self._octets[offset : offset + min(count, self._most)]


@given(OCTETS, st.integers(1, 9))
def test_in_pieces(octets: bytes, most: int) -> None:
    body, whole = WireBody(Cut(octets, most), 0), wire.lines(octets)
    assert b"".join(body.pieces()) == whole
    assert body.size == len(whole)
    assert body.ascii == whole.isascii()
    longest = max(map(len, whole.split(b"\r\n")))
    assert body.fits(eight=True) == (longest <= 998)
    stuffed = b"".join(map(wire.stuffed, body.pieces()))
    assert stuffed == wire.stuffed(whole)


@given(OCTETS, st.integers(1, 9))
def test_digest(octets: bytes, most: int) -> None:
    """As RFC 6376 section 3.4.4 has it, done on the whole."""
    text = re.sub(rb"[ \t]+\r\n", b"\r\n", wire.lines(octets))
    text = re.sub(rb"[ \t]+", b" ", text).rstrip(b"\r\n")
    want = hashlib.sha256(text + b"\r\n" if text else b"").digest()
    found = WireBody(Cut(octets, most), 0).digest()
    assert base64.b64decode(found) == want


@given(OCTETS, st.integers(0, 40))
def test_a_header_is_whole_or_says_so(octets: bytes, cut: int) -> None:
    text = b"From a Sun Nov 22 12:45:08 2026\nTo: a\r\nSubject: b\n" + octets
    part, whole = take(text[:cut]), take(text)
    if part.whole:
        assert (part.fields, part.body) == (whole.fields, whole.body)


def letter(source: MessageSource) -> SmtpLetter:
    return SmtpLetter(source, sender="a@b.c", domain="b.c", now=0, token=lambda: "0")


def data(source: MessageSource, *, eight: bool = True) -> bytes:
    form = letter(source).form(eight=eight, utf8=False)
    octets = b"".join(form.data())
    assert form.size == len(octets)  # no line of these begins with a dot
    return octets


def test_a_long_header_is_read_to_its_end() -> None:
    fields = b"".join(b"X-%d: y\n" % n for n in range(20_000))
    octets = data(OctetSource(b"Subject: x\n" + fields + b"To: a\n\nbody\n"))
    assert octets.endswith(b"X-19999: y\r\nTo: a@b.c\r\n\r\nbody\r\n")


def test_recoded_in_many_rows() -> None:
    text = "ä" * 40 + "\n"
    octets = data(OctetSource(b"Subject: x\n\n" + text.encode() * 9000), eight=False)
    head, _, rest = octets.partition(b"\r\n\r\n")
    assert head.endswith(b"Content-Transfer-Encoding: base64")
    lines = rest.split(b"\r\n")
    assert {len(line) for line in lines[:-2]} == {76}
    assert base64.b64decode(rest) == text.replace("\n", "\r\n").encode() * 9000
    mixed = ("plain text and more of it, ä\n" * 20_000).encode()
    octets = data(OctetSource(b"Subject: x\n\n" + mixed), eight=False)
    assert octets.count(b"=C3=A4\r\n") == 20_000


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "D.x"
    path.write_bytes(b"skip" + b"Subject: x\n\nhello\n")
    with path.open("rb+") as f:
        source = FileSource(f.fileno(), 4)
        assert data(source).endswith(b"Subject: x\r\n\r\nhello\r\n")
        assert list(pieces(source, 12, 4)) == [b"hell", b"o\n"]
        f.truncate(10)
        with pytest.raises(DeliveryError, match="became shorter") as told:
            data(source)
    assert not told.value.permanent
