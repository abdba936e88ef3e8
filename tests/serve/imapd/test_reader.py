"""A client's octets as events: whole, octet by octet, cut anywhere, and junk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.serve.imapd.reader import (
    FRIEND,
    STRANGER,
    Bad,
    Begin,
    Bounds,
    Command,
    Continue,
    Event,
    Literal,
    Octets,
    Reader,
    Upload,
)

SMALL = Bounds(line=40, literals=10, count=2)


def _events(octets: bytes, step: int = 0, bounds: Bounds = STRANGER) -> list[Event]:
    """Return the events that octets give, uploads accepted, their pieces joined."""
    reader = Reader(bounds, uploads=True)
    found: list[Event] = []
    for at in range(0, len(octets), step or len(octets)):
        reader.feed(octets[at : at + (step or len(octets))])
        while (event := reader.next()) is not None:
            if isinstance(event, Begin):
                reader.accept()
            if isinstance(event, Octets) and found and isinstance(found[-1], Octets):
                found[-1] = Octets(found[-1].data + event.data)
                continue
            found.append(event)
    return found


CASES: list[tuple[bytes, list[Event]]] = [
    (b"a noop\r\n", [Command((b"a noop",))]),
    (b"a noop\nb noop\r\n", [Command((b"a noop",)), Command((b"b noop",))]),
    (b"\r\na noop\r\n", [Command((b"a noop",))]),
    (
        b"a login {1}\r\nx {2+}\r\n\r\n\r\n",
        [
            Continue(),
            Command((b"a login ", Literal(b"x"), b" ", Literal(b"\r\n"), b"")),
        ],
    ),
    (b"a x ~{1+}\r\n\0\r\n", [Command((b"a x ", Literal(b"\0", True), b""))]),
    (b"a x {1+}\r\n\0\r\nb y\r\n", [Bad(b"a", "NUL in a literal"), Command((b"b y",))]),
    (b"a \0\r\nb y\r\n", [Bad(b"a", "NUL in a command"), Command((b"b y",))]),
    (
        b"a x\ry\r\nb y\r\n",
        [Bad(b"a", "CR without LF in a command"), Command((b"b y",))],
    ),
    # A refused command swallows exactly its own literals.
    (
        b"a \0 {3+}\r\nx\r\n {4+}\r\nb z\n\r\nc y\r\n",
        [Bad(b"a", "NUL in a command"), Command((b"c y",))],
    ),
    (
        b"a append x {3}\r\nabc {2+}\r\n\r\n\r\n",
        [
            Begin(Upload(0, 3), True, b"a"),
            Octets(b"abc"),
            Begin(Upload(1, 2), False, b"a"),
            Octets(b"\r\n"),
            Command((b"a append x ", Upload(0, 3), b" ", Upload(1, 2), b"")),
        ],
    ),
    (
        b"a append {1+}\r\nx {0+}\r\n\r\n",
        [
            Begin(Upload(0, 0), False, b"a"),
            Command((b"a append ", Literal(b"x"), b" ", Upload(0, 0), b"")),
        ],
    ),
]


@pytest.mark.parametrize(("octets", "events"), CASES)
def test_events(octets: bytes, events: list[Event]) -> None:
    assert _events(octets) == events
    for step in range(1, 6):
        assert _events(octets, step) == events


REFUSED: list[tuple[bytes, list[Event]]] = [
    (
        b"a " + b"x" * 60 + b"\r\nb y\r\n",
        [Bad(b"a", "command line too long", "TOOBIG"), Command((b"b y",))],
    ),
    (b"a " + b"x" * 60, [Bad(b"", "command line too long", "TOOBIG", True)]),
    (
        b"a x {11}\r\nb y\r\n",
        [Bad(b"a", "literals too large", "TOOBIG"), Command((b"b y",))],
    ),
    (b"a x {11+}\r\n", [Bad(b"", "literals too large", "TOOBIG", True)]),
    (b"a x {4294967295}\r\n", [Bad(b"a", "literals too large", "TOOBIG")]),
    (
        b"a {1+}\r\nx {1+}\r\nx {1+}\r\nx\r\nb y\r\n",
        [Bad(b"a", "literals too large", "TOOBIG"), Command((b"b y",))],
    ),
    (
        b"a {9+}\r\n123456789 {2+}\r\n",
        [Bad(b"", "literals too large", "TOOBIG", True)],
    ),
]


@pytest.mark.parametrize(("octets", "events"), REFUSED)
def test_bounds(octets: bytes, events: list[Event]) -> None:
    reader = Reader(SMALL)
    reader.feed(octets)
    found = []
    while (event := reader.next()) is not None:
        found.append(event)
    assert found == events


def test_line_without_end_is_bounded() -> None:
    reader = Reader()
    for _ in range(20):
        reader.feed(b"x" * 8192)
        reader.next()
    assert not reader.buffered


def test_refused_upload_that_waits_is_not_sent() -> None:
    reader = Reader(FRIEND, uploads=True)
    reader.feed(b"a append x {3}\r\n")
    assert isinstance(reader.next(), Begin)
    reader.refuse(waits=True)
    reader.feed(b"b noop\r\n")
    assert reader.next() == Command((b"b noop",))


def test_refused_upload_that_does_not_wait_is_swallowed() -> None:
    reader = Reader(FRIEND, uploads=True)
    reader.feed(b"a append x {8+}\r\nb noop\r\n {2+}\r\n\r\n\r\nc noop\r\n")
    assert isinstance(reader.next(), Begin)
    reader.refuse(waits=False)
    assert reader.next() == Command((b"c noop",))


@given(st.binary(max_size=300), st.integers(1, 40))
def test_junk_gives_the_same_however_it_is_cut(octets: bytes, step: int) -> None:
    text = octets.replace(b"z", b"{1}\r\n").replace(b"y", b"{2+}\r\n") + b"\r\n"
    assert _events(text) == _events(text, step)
