"""Texts from a server: dots, ends, cuts everywhere."""

import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.pop import reader
from mailfs.pop.error import Ambiguous, HungUp
from mailfs.pop.reader import MAX_LINE, Pop3Reader
from mailfs.remote.deadline import Deadline
from tests.pop.drop import stuffed

CASES = [
    # what the message is, what is on the wire
    (b"", b".\r\n"),
    (b"\r\n", b"\r\n.\r\n"),
    (b"a\r\n", b"a\r\n.\r\n"),
    (b".\r\n", b"..\r\n.\r\n"),
    (b"..\r\n", b"...\r\n.\r\n"),
    (b".a\r\n.b\r\n", b"..a\r\n..b\r\n.\r\n"),
    (b"a.\r\n", b"a.\r\n.\r\n"),
    (b"a\0b\xff\r\n", b"a\0b\xff\r\n.\r\n"),
    (b"a\nb\rc\r\r\n", b"a\nb\rc\r\r\n.\r\n"),
    (b"a\n.b\r\n", b"a\n.b\r\n.\r\n"),
    (b"\r\r\n", b"\r\r\n.\r\n"),
    (b".\rx\r\n", b"..\rx\r\n.\r\n"),
    (b"\r\n\r\n\r\n", b"\r\n\r\n\r\n.\r\n"),
    (b"x" * 3000 + b"\r\n", b"x" * 3000 + b"\r\n.\r\n"),
]
BARE = [
    (b"", b".\n"),
    (b"a\n", b"a\n.\n"),
    (b".\n", b"..\n.\n"),
    (b"a\r\n.b\n", b"a\r\n..b\n.\r\n"),
    (b"a\n", b"a\n.\r\n"),
]


class Fed(Pop3Reader):
    """A reader whose octets come in given pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._buffer = b""
        self._server = "server"
        self.timeout = 1.0
        self.received = 0
        self._pieces = list(pieces)

    def _more(self, deadline: Deadline, *, end: bool = False) -> bytes:
        return self._pieces.pop(0)

    def _silent(self) -> bool:
        return not self._pieces


def cuts(wire: bytes) -> Iterator[list[bytes]]:
    yield [wire]
    yield [wire[i : i + 1] for i in range(len(wire))]
    for i in range(1, min(len(wire), 40)):
        yield [wire[:i], wire[i:]]
        yield [wire[:-i], wire[-i:]]


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(("text", "wire"), CASES)
def test_texts(text: bytes, wire: bytes, alone: bool) -> None:
    assert stuffed(text) == wire
    for pieces in cuts(wire):
        assert b"".join(Fed(*pieces).text(alone=alone)) == text
    for pieces in cuts(wire + b"+OK\r\n"):
        found = Fed(*pieces)
        assert b"".join(found.text(alone=alone)) == text
        assert found.line() == b"+OK\r\n"


@pytest.mark.parametrize(("text", "wire"), BARE)
def test_servers_that_end_lines_with_lf(text: bytes, wire: bytes) -> None:
    for pieces in cuts(wire + b"+OK\n"):
        found = Fed(*pieces)
        assert b"".join(found.text(bare=True)) == text
        assert found.line() == b"+OK\n"


@given(st.lists(st.sampled_from([b".", b"\r\n", b"\n", b"\r", b"a", b"bc"])), st.data())
def test_any_text_cut_anywhere(words: list[bytes], data: st.DataObject) -> None:
    text = b"".join(words) + b"\r\n"
    wire = stuffed(text) + b"+OK\r\n"
    sizes = data.draw(st.lists(st.integers(1, 9), max_size=len(wire)))
    pieces, at = [], 0
    for size in sizes:
        pieces.append(wire[at : at + size])
        at += size
    pieces.append(wire[at:])
    found = Fed(*[p for p in pieces if p])
    try:
        assert b"".join(found.text(alone=False)) == text
    except Ambiguous:
        assert re.search(rb"(?<!\r)\n\.\r\n", wire)


def test_where_a_message_ends_is_not_guessed_at() -> None:
    # A message with a bare LF and a dot, and one from a server that keeps bare LFs,
    # look the same until more comes, or does not.
    wire = b"Subject: x\n\n.\r\n"
    for pieces in cuts(wire):
        with pytest.raises(Ambiguous):
            list(Fed(*pieces, b"+OK\r\nforged\r\n.\r\n").text(alone=False))
        assert b"".join(Fed(*pieces).text()) == wire.removesuffix(b".\r\n")
        whole = b"".join(Fed(*pieces, b"+OK\r\nforged\r\n.\r\n").text())
        assert whole == wire + b"+OK\r\nforged\r\n"


def test_silence_ends_a_doubtful_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "QUIET", 0.05)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"one\n.\r\n")
        assert b"".join(Pop3Reader(ours, "server").text()) == b"one\n"


def test_lines_are_bounded() -> None:
    ours, theirs = socket.socketpair()

    def flood() -> None:
        try:
            while True:
                theirs.sendall(b"x" * 1000)
        except OSError:
            pass

    with ours, theirs:
        thread = threading.Thread(target=flood)
        thread.start()
        with pytest.raises(ConnectionError, match="line too long"):
            Pop3Reader(ours, "server").line()
        ours.close()
        thread.join()
    assert Fed(b"x" * (MAX_LINE - 2) + b"\r\n").line()


def test_the_end_of_the_connection_is_no_end_of_a_text() -> None:
    for wire in (b"", b"a\r\n", b"a\r\n.", b"a\r\n.\r"):
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                theirs.sendall(wire)
            with pytest.raises(ConnectionError, match="server hung up"):
                list(Pop3Reader(ours, "server").text())


def test_every_wait_ends() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(TimeoutError, match="server: timed out"):
            Pop3Reader(ours, "server", 0.05).line()


@pytest.mark.parametrize("what", ["line", "text"])
def test_dripping_is_bounded_in_all(what: str) -> None:
    """Octets that come one at a time extend no wait; only many do."""
    ours, theirs = socket.socketpair()
    done = threading.Event()

    def drip() -> None:
        while not done.wait(0.05):
            theirs.sendall(b"x")

    with ours, theirs:
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            reading = Pop3Reader(ours, "server", 0.3)
            read = reading.line if what == "line" else lambda: list(reading.text())
            with pytest.raises(TimeoutError, match="server: timed out"):
                read()
        finally:
            done.set()
            thread.join()


def test_a_slow_reader_is_not_the_servers_fault() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        text = b"x" * 78 + b"\r\n"
        thread = threading.Thread(target=theirs.sendall, args=(text * 4000 + b".\r\n",))
        thread.start()
        size = 0
        for piece in Pop3Reader(ours, "server", 0.2).text():
            size += len(piece)
            time.sleep(0.1)
        thread.join()
        assert size == 4000 * len(text)


@pytest.mark.parametrize(
    ("wire", "last", "line"),
    [
        (b"-ERR bye", False, b"-ERR bye"),
        (b"+OK bye", True, b"+OK bye"),
        (b"+OK 1 uid-cut-sho", False, None),
        (b"", True, None),
    ],
)
def test_a_last_line_without_its_end(
    wire: bytes, last: bool, line: bytes | None
) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.sendall(wire)
        theirs.close()
        if line is None:
            with pytest.raises(HungUp, match="server hung up"):
                Pop3Reader(ours, "server").line(last=last)
        else:
            assert Pop3Reader(ours, "server").line(last=last) == line


@pytest.mark.parametrize("wire", [b"1 a\r\n.", b"1 a\r\n.\r"])
def test_a_listing_may_lack_its_last_line_end(wire: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.sendall(wire)
        theirs.close()
        assert b"".join(Pop3Reader(ours, "server").text(whole=False)) == b"1 a\r\n"
