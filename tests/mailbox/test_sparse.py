"""The structure of long messages found without reading their long parts."""

import base64
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.mailbox.octets import Octets
from mailfs.mailbox.sparse import layout
from mailfs.msg import part
from mailfs.msg.part import Part


class Counted(Octets):
    """Octets that know how much of them was read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.read_octets = self.reads = 0

    def __len__(self) -> int:
        return len(self.data)

    def read(self, start: int, end: int) -> bytes:
        found = self.data[start:end]
        self.read_octets += len(found)
        self.reads += 1
        return found


def leaf(type_: str, body: bytes, extra: str = "") -> bytes:
    return f"Content-Type: {type_}\r\n{extra}\r\n".encode() + body


def multi(boundary: str, *parts: bytes, preamble: bytes = b"") -> bytes:
    out = f"Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n".encode()
    out += preamble
    for one in parts:
        out += f"--{boundary}\r\n".encode() + one + b"\r\n"
    return out + f"--{boundary}--\r\n".encode()


def blob(size: int) -> bytes:
    raw = random.Random(size).randbytes(size * 3 // 4)
    return base64.encodebytes(raw).replace(b"\n", b"\r\n").removesuffix(b"\r\n")


def message(data: bytes) -> bytes:
    return b"From: a@example.com\r\nSubject: s\r\nMIME-Version: 1.0\r\n" + data


def big(size: int) -> bytes:
    return leaf("image/png", blob(size), "Content-Transfer-Encoding: base64\r\n")


TEXT = leaf("text/plain", b"short\r\ntext")
CASES = {
    "a text and a blob": multi("x", TEXT, big(2_000_000)),
    "a blob first": multi("x", big(2_000_000), TEXT),
    "several": multi("x", TEXT, big(300_000), TEXT, big(400_000), TEXT),
    "nested": multi("x", multi("y", TEXT, big(500_000)), big(300_000)),
    "in a message": multi(
        "x", TEXT, leaf("message/rfc822", message(multi("z", TEXT, big(600_000))))
    ),
    "one part only": leaf("text/plain", b"line\r\n" * 100_000),
    "a preamble": multi("x", TEXT, big(300_000), preamble=b"as follows\r\n" * 5000),
    "a long header": b"X-Long: " + b"x" * 60_000 + b"\r\n" + multi("x", big(300_000)),
    "many small ones": multi("x", *[TEXT] * 300, big(300_000), *[TEXT] * 300),
    "an empty part": multi("x", leaf("text/plain", b""), big(200_000)),
}


def sizes(tree: Part) -> list[int]:
    """Return what a server says: the line end before a boundary is not counted."""
    return [leaf.end - leaf.body for leaf in tree.walk() if not leaf.parts]


def said(data: bytes) -> list[int]:
    tree = part.parse(data)
    top = not tree.parts
    return [n if top else max(0, n - 2) for n in sizes(tree)]


@pytest.mark.parametrize("name", CASES)
def test_it_is_what_reading_all_finds(name: str) -> None:
    data = message(CASES[name])
    octets = Counted(data)
    assert layout(octets, said(data)) == part.parse(data)
    if "many" not in name and "pre" not in name and "header" not in name:
        assert octets.read_octets < 65536
        assert octets.reads <= 10


@pytest.mark.parametrize("name", CASES)
def test_a_server_that_miscounts_is_not_believed(name: str) -> None:
    data = message(CASES[name])
    right = said(data)
    for at in range(min(len(right), 5)):
        for wrong in (right[at] + 5000, max(0, right[at] - 5000), right[at] * 2 + 7):
            told = [*right[:at], wrong, *right[at + 1 :]]
            found = layout(Counted(data), told)
            assert found is None or found == part.parse(data)
    assert layout(Counted(data), [*right, 5]) in (None, part.parse(data))
    assert layout(Counted(data), right[1:]) in (None, part.parse(data))


def test_a_message_shorter_than_said() -> None:
    class Short(Counted):
        def __len__(self) -> int:
            return len(self.data) + 100_000

    data = message(CASES["a text and a blob"])
    assert layout(Short(data), said(data)) is None


def test_an_encoded_message_is_left_to_whoever_reads_it() -> None:
    inner = base64.encodebytes(message(TEXT)).replace(b"\n", b"\r\n")
    encoded = leaf("message/rfc822", inner, "Content-Transfer-Encoding: base64\r\n")
    data = message(multi("x", encoded, big(200_000)))
    assert layout(Counted(data), [len(inner), 200_000]) is None


@st.composite
def trees(draw: st.DrawFn, depth: int = 0) -> bytes:
    if depth > 2 or draw(st.booleans()):
        size = draw(st.sampled_from([0, 10, 70_000, 200_000]))
        return big(size) if size > 10 else leaf("text/plain", b"x" * size)
    parts: Iterator[bytes] = (
        draw(trees(depth + 1)) for _ in range(draw(st.integers(1, 4)))
    )
    return multi(f"b{depth}-{draw(st.integers(0, 99))}", *parts)


@given(trees())
def test_any_tree(data: bytes) -> None:
    data = message(data)
    octets = Counted(data)
    found = layout(octets, said(data))
    assert found is None or found == part.parse(data)
    assert octets.read_octets <= 3 * len(data) + 65536
