"""Messages as the network has them: CRLF, and without the lines of a store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.mailbox.derive import Shape
from mailfs.mailbox.octets import IN_MEMORY, Memory
from mailfs.mailbox.wiretext import network, plaintext, wiretext

MBOX = Shape(envelope=True, blank=True, volatile=(b"status:", b"lines:"))
CASES = [
    (Shape(), b"a: b\n\nc\n", b"a: b\r\n\r\nc\r\n"),
    (Shape(), b"a: b\r\n\r\nc\n", b"a: b\r\n\r\nc\r\n"),
    (Shape(), b"a: b\n\nc\rd\0", b"a: b\r\n\r\nc\rd\x80"),
    (MBOX, b"From x\na: b\n\nc\n\n", b"a: b\r\n\r\nc\r\n"),
    (
        MBOX,
        b"From x\nStatus: RO\na: b\nLines: 1\n 2\n\nStatus: c\n\n",
        b"a: b\r\n\r\nStatus: c\r\n",
    ),
    (MBOX, b"From x\nStatus: RO\n\nc\n\n", b"\r\nc\r\n"),
    (MBOX, b"From x\nStatus: RO\nX: y\n\n", b"X: y\r\n"),
    (Shape(volatile=(b"status:",)), b"\nStatus: c\n", b"\r\nStatus: c\r\n"),
]


@pytest.mark.parametrize(("shape", "stored", "sent"), CASES)
def test_sent(shape: Shape, stored: bytes, sent: bytes) -> None:
    assert wiretext(Memory(stored), shape).read(0, 999) == sent


@pytest.mark.parametrize("shape", [Shape(), MBOX])
def test_long_ones_are_the_same(shape: Shape) -> None:
    line = b"x" * 99 + b"\n"
    stored = (
        b"From x\nStatus: O\n" * shape.envelope
        + b"a: b\n\n"
        + line * (IN_MEMORY // 100 + 9)
    )
    sent = wiretext(Memory(stored), shape)
    head, _, body = stored.partition(b"a: b\n")
    wanted = (b"a: b\n" + body).replace(b"\n", b"\r\n")
    assert sent.read(0, len(sent)) == wanted
    assert len(plaintext(Memory(stored), shape)) == len(stored) - len(head)


@given(
    st.binary(max_size=60).map(lambda b: b.replace(b"a", b"\r\n")), st.integers(1, 9)
)
def test_pieces(octets: bytes, step: int) -> None:
    pieces = [octets[at : at + step] for at in range(0, len(octets), step)]
    assert b"".join(network(pieces)) == b"".join(network([octets] if octets else []))
