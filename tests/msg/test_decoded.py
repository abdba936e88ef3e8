import pytest
from hypothesis import given

from mailfs.msg.decoded import header
from mailfs.msg.header import scan
from tests.msg.test_header import NEAR

# header block, ignored beginnings, text
BLOCKS: list[tuple[bytes, list[bytes], str]] = [
    (b"", [], ""),
    (b"A: b\n", [], "A: b\n"),
    (b"A: b", [], "A: b\n"),
    (b"A: b\r\nC: d\r\n e\r\n", [], "A: b\nC: d\n e\n"),
    (b"A: b\n\tc\n  d \n", [], "A: b\n\tc\n  d \n"),
    (b"A: b\n \nC: d\n", [], "A: b\n \nC: d\n"),
    (b"Subject: =?utf-8?q?h=C3=A9llo?= there\n", [], "Subject: héllo there\n"),
    (b"S: =?utf-8?q?a?=\n =?utf-8?q?b?=\n c\n", [], "S: ab\n c\n"),
    (b"S: =?utf-8?b?w==?=\r\n\t=?utf-8?b?qQ==?=\r\n", [], "S: \ufffd\n"),
    (b"S: =?utf-8?b?ww==?=\r\n\t=?utf-8?b?qQ==?=\r\n", [], "S: é\n"),
    (b"S: x\n =?utf-8?q?a?=\n y\n", [], "S: x\n a\n y\n"),
    (b"S: =?kling?q?a?=\n =?kling?q?b?=\n", [], "S: =?kling?q?a?= =?kling?q?b?=\n"),
    (b"S: a\n =?utf-8?q?b?=  c  =?utf-8?q?d=0AX:_y?=\n", [], "S: a\n b  c  d X: y\n"),
    (b"S:\t=?utf-8?q?a?=\n", [], "S: a\n"),
    (b"S: caf\xe9\nT: caf\xc3\xa9\n", [], "S: café\nT: café\n"),
    (b"A: b\njunk\nTo: d\n", [], "A: b\njunk\nTo: d\n"),
    (b"A: b\0c\n", [], "A: b\0c\n"),
    (b"A: 1\nB: 2\n 3\nC: 4\n", [b"b"], "A: 1\nC: 4\n"),
    (b"A: 1\nBcc: 2\nBB: 3\n", [b"B"], "A: 1\n"),
    (b"A: 1\nBcc: 2\nBB: 3\n", [b"bcc:", b"x"], "A: 1\nBB: 3\n"),
    (b"A: 1\nX-Spam: =?utf-8?q?a?=\n", [b"x-"], "A: 1\n"),
    (b"A: 1\n", [b""], ""),
]  # fmt: skip


@pytest.mark.parametrize(("block", "ignore", "text"), BLOCKS)
def test_header(block: bytes, ignore: list[bytes], text: str) -> None:
    for octets in (block, block.rstrip(b"\r\n") + b"\n\nbody: x\n"):
        if block:
            assert header(scan(octets), ignore).decode() == text
    octets = b"zz\n" + block
    assert header(scan(octets, 3), ignore).decode() == text


@given(NEAR)
def test_any_octets(octets: bytes) -> None:
    text = header(scan(octets))
    text.decode()
    assert text == b"" or text.endswith(b"\n")
    assert b"\n\n" not in text


def test_a_bare_return_at_the_end_is_no_line() -> None:
    assert header(scan(b"A: b\n\r")) == b"A: b\n"


@pytest.mark.parametrize("fold", [b" ", b"\n "])
def test_long_fields_are_decoded_in_part(fold: bytes) -> None:
    token = b"=?utf-8?q?a?="
    line = b"S: " + (token + fold) * 100_000 + b"\xe9"
    text = header(scan(line + b"\n\n"))
    assert text.startswith(b"S: aaaaaaaaaa")
    assert text.endswith(token + fold + "é\n".encode())
    line = b"S: " + "é".encode() * 1_000_000 + b"\n"
    assert header(scan(line)) == line


def test_hostile_folds() -> None:
    block = b"S: " + b"=?utf-8?q?a?=\n " * 50_000 + b"b\n"
    assert header(scan(block)) == b"S: " + b"a" * 50_000 + b"\n b\n"
    blanks = b"S: =?utf-8?q?a?=" + b" " * 1_000_000 + b"x\n"
    assert header(scan(blanks)).startswith(b"S: a ")
    assert len(header(scan(b"S: " + b"?= \t" * 200_000 + b"\n"))) == 800_004
