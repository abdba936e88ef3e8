"""Octets after DATA: nothing but CRLF ends a line, and no line ends the message."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.smtp import wire

CASES = [
    (b"", b".\r\n"),
    (b"a", b"a\r\n.\r\n"),
    (b"a\n", b"a\r\n.\r\n"),
    (b"a\r\nb\n", b"a\r\nb\r\n.\r\n"),
    (b".\n", b"..\r\n.\r\n"),
    (b"a\n.b\n..\n", b"a\r\n..b\r\n...\r\n.\r\n"),
    (b"a\n.\r\nb", b"a\r\n..\r\nb\r\n.\r\n"),
    (b"a\r.\rMAIL FROM:<b>\n", b"a\r\n..\r\nMAIL FROM:<b>\r\n.\r\n"),
    (b"a\n\n", b"a\r\n\r\n.\r\n"),
]


@pytest.mark.parametrize(("text", "want"), CASES)
def test_wire(text: bytes, want: bytes) -> None:
    assert wire.stuffed(wire.lines(text)) + wire.END == want


def unstuffed(data: bytes) -> bytes:
    """Read data as a server does; RFC 5321 section 4.5.2."""
    lines = []
    for line in data.split(b"\r\n"):
        if line == b".":
            break
        lines.append(line[1:] if line.startswith(b".") else line)
    return b"".join(line + b"\n" for line in lines)


@given(st.text(alphabet="a.\r\n", max_size=30).map(str.encode))
def test_nothing_is_smuggled(text: bytes) -> None:
    data = wire.stuffed(wire.lines(text)) + wire.END
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", data)
    assert data.count(b"\r\n.\r\n") + data.startswith(b".\r\n") == 1
    plain = re.sub(rb"\r\n|\r|\n", b"\n", text)
    assert unstuffed(data) == plain + (
        b"" if plain.endswith(b"\n") or not plain else b"\n"
    )
