"""The text after DATA: whole, octet by octet, smuggled, too long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.serve.smtpd.text import MAX_LINE, BadText, Text

CASES = [
    (b".\r\n", b"", b""),
    (b"a\r\n.\r\n", b"a\n", b""),
    (b"a\r\n..\r\n..b\r\n.\r\nQUIT\r\n", b"a\n.\n.b\n", b"QUIT\r\n"),
    (b"\r\n\r\n.\r\n.\r\n", b"\n\n", b".\r\n"),
    (b".a\r\n.\r\n", b"a\n", b""),
]


@pytest.mark.parametrize(("wire", "message", "rest"), CASES)
def test_whole_and_in_pieces(wire: bytes, message: bytes, rest: bytes) -> None:
    text = Text(1 << 20)
    assert text.feed(wire) == message
    assert (text.ended, text.rest) == (True, rest)
    for cut in range(1, len(wire) - len(rest)):
        text = Text(1 << 20)
        got = text.feed(wire[:cut])
        assert not text.ended
        assert got + text.feed(wire[cut:]) == message
        assert (text.ended, text.rest) == (True, rest)


def _drip(text: Text, wire: bytes) -> None:
    for octet in wire:
        text.feed(bytes([octet]))


SMUGGLED = [
    b"a\n.\nMAIL FROM:<x@y>\r\n.\r\n",
    b"a\n.\r\nMAIL FROM:<x@y>\r\n.\r\n",
    b"a\r\n.\nMAIL FROM:<x@y>\r\n.\r\n",
    b"a\r.\rMAIL FROM:<x@y>\r\n.\r\n",
    b"a\r.\r\nMAIL FROM:<x@y>\r\n.\r\n",
    b"a\r\n.\rMAIL FROM:<x@y>\r\n.\r\n",
    b"a\r\r\n.\r\r\nMAIL FROM:<x@y>\r\n.\r\n",
    b"a\r\n\0.\r\nMAIL FROM:<x@y>\r\n.\r\n",
    b"a\r\n.\0\r\nMAIL FROM:<x@y>\r\n.\r\n",
    b"a\0\r\n.\r\n",
]


@pytest.mark.parametrize("wire", SMUGGLED)
def test_no_message_is_two(wire: bytes) -> None:
    with pytest.raises(BadText):
        Text(1 << 20).feed(wire)
    text = Text(1 << 20)
    with pytest.raises(BadText):  # nor octet by octet
        _drip(text, wire)
    assert not text.ended


def test_bare_newlines_of_old_devices() -> None:
    text = Text(1 << 20, normalize=True)
    assert text.feed(b"a\nb\r\n") == b"a\nb\n"
    assert text.feed(b".\n") == b""
    assert text.ended


def test_long_lines() -> None:
    line = b"x" * MAX_LINE
    assert Text(1 << 20).feed(line + b"\r\n") == line + b"\n"
    for bad in (line + b"x\r\n", line + b"xx"):
        with pytest.raises(BadText, match="over"):
            Text(1 << 20).feed(bad)


def test_a_message_over_its_limit_is_read_to_its_end() -> None:
    text = Text(10)
    assert text.feed(b"12345\r\n") == b"12345\n"
    assert text.feed(b"12345\r\n") == b""
    assert text.over
    assert text.feed(b"more\r\n.\r\nRSET\r\n") == b""
    assert (text.ended, text.rest) == (True, b"RSET\r\n")
    assert text.size == 20


LINES = st.lists(st.binary(max_size=20).filter(lambda b: not set(b) & set(b"\r\n\0")))


@given(LINES, st.integers(1, 50))
def test_what_is_sent_is_what_comes(lines: list[bytes], step: int) -> None:
    wire = b"".join((b"." if l[:1] == b"." else b"") + l + b"\r\n" for l in lines)
    wire += b".\r\nNOOP\r\n"
    text, got, at = Text(1 << 20), b"", 0
    while not text.ended:
        got += text.feed(wire[at : at + step])
        at += step
    assert got == b"".join(line + b"\n" for line in lines)
    assert text.rest + wire[at:] == b"NOOP\r\n"
