"""Open files as descriptors, as lib9pclient asks for them; mailfs.p9.openfd."""

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.errors import EISDIR
from mailfs.p9.budget import Budget
from mailfs.p9.client import Client
from mailfs.p9.errstr import EBADFID, EBADTYPE, EMODE, EOPEN
from mailfs.p9.fcall import (
    OEXEC,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    Rerror,
    Topen,
    Tread,
    Twalk,
    unpack,
)
from mailfs.p9.openfd import ROPENFD, TOPENFD
from mailfs.p9.pending import ETOOMANY
from mailfs.p9.session import Limits
from tests.wait import until

from .serving import WAIT, Raw, Served, serving


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Serve a file that holds numbers."""
    with serving(tmp_path) as served, Client(served.unix, uname="g") as client:
        with client.create("/numbers", 0o666, OWRITE) as file:
            file.write(LONG)
        yield served


LONG = b"".join(b"%07d\n" % i for i in range(50_000))


def exactly(sock: socket.socket, count: int) -> bytes:
    """Read count octets as read(2) does, which loses descriptors that come along."""
    octets = b""
    while len(octets) < count:
        octets += sock.recv(count - len(octets))
    return octets


def openfd(raw: Raw, fid: int, mode: int, tag: int = 1) -> int | str:
    """Do as lib9pclient does; return the descriptor, or the error."""
    raw.send(struct.pack("<IBHIB", 12, TOPENFD, tag, fid, mode))
    size = exactly(raw.sock, 4)
    frame = size + exactly(raw.sock, int.from_bytes(size, "little") - 4)
    if frame[4] != ROPENFD:
        _, reply = unpack(frame)
        assert isinstance(reply, Rerror)
        return reply.ename
    assert len(frame) == 4 + 1 + 2 + 13 + 4 + 4
    assert frame[5:7] == tag.to_bytes(2, "little")
    octet, fds, _, _ = socket.recv_fds(raw.sock, 1, 1)
    assert octet == b"\0"
    return fds[0]


def test_reading(served: Served) -> None:
    with Raw(served.unix) as raw:
        raw.begin()
        raw.ask(Twalk(0, 1, ("numbers",)))
        first = openfd(raw, 1, OREAD)
        assert isinstance(first, int)
        # The client's next fid has the same number, while the file is being read.
        assert not isinstance(raw.ask(Twalk(0, 1, ("numbers",))), Rerror)
        second = openfd(raw, 1, OREAD)
        assert isinstance(second, int)
        for fd in (second, first):
            assert os.get_blocking(fd)
            with open(fd, "rb") as pipe:
                assert pipe.read() == LONG
        assert isinstance(raw.ask(Tread(1, 0, 10)), Rerror)


def test_a_reader_that_stops(served: Served) -> None:
    with Raw(served.unix) as raw:
        raw.begin()
        for _ in range(20):
            raw.ask(Twalk(0, 1, ("numbers",)))
            fd = openfd(raw, 1, OREAD)
            assert isinstance(fd, int)
            assert os.read(fd, 8) == LONG[:8]
            os.close(fd)
        raw.ask(Twalk(0, 1, ("numbers",)))


def test_writing(served: Served) -> None:
    with Raw(served.unix) as raw, Client(served.unix, uname="g") as client:
        raw.begin()
        raw.ask(Twalk(0, 1, ("numbers",)))
        fd = openfd(raw, 1, OWRITE | OTRUNC)
        assert isinstance(fd, int)
        with open(fd, "wb") as pipe:
            pipe.write(LONG[::-1])
        while len(client.read("/numbers")) < len(LONG):
            pass
        assert client.read("/numbers") == LONG[::-1]


REFUSED = [
    (7, OREAD, EBADFID),
    (0, OREAD, EISDIR),
    (1, ORDWR, EMODE),
    (1, OEXEC, EMODE),
]


def test_refused(served: Served) -> None:
    with Raw(served.unix) as raw:
        raw.begin()
        raw.ask(Twalk(0, 1, ("numbers",)))
        for fid, mode, error in REFUSED:
            assert openfd(raw, fid, mode) == error
        raw.ask(Topen(1, OREAD))
        assert openfd(raw, 1, OREAD) == EOPEN


def test_only_a_unix_socket_passes_descriptors(served: Served) -> None:
    with Raw(served.tcp) as raw:
        raw.begin()
        raw.ask(Twalk(0, 1, ("numbers",)))
        assert openfd(raw, 1, OREAD) == EBADTYPE


def test_others_are_answered_in_order(served: Served) -> None:
    walk = struct.pack("<IBHIIH", 17, 110, 5, 0, 9, 0)
    with Raw(served.unix) as raw:
        raw.begin()
        raw.ask(Twalk(0, 1, ("numbers",)))
        # in one batch: before and behind the reply that passes a descriptor
        clunk = struct.pack("<IBHI", 11, 120, 6, 9)
        ask = struct.pack("<IBHIB", 12, TOPENFD, 7, 1, OREAD)
        raw.send(walk + clunk + ask + walk + clunk)
        assert raw.sock.recv(9 + 7, socket.MSG_WAITALL)[4::9] == bytes([111, 121])
        frame = exactly(raw.sock, 28)
        assert frame[4] == ROPENFD
        octet, fds, _, _ = socket.recv_fds(raw.sock, 1, 1)
        assert octet == b"\0"
        with open(fds[0], "rb") as pipe:
            assert pipe.read() == LONG
        assert raw.sock.recv(9 + 7, socket.MSG_WAITALL)[4::9] == bytes([111, 121])


def test_the_end_of_the_line_ends_the_pipes(served: Served) -> None:
    raw = Raw(served.unix)
    raw.begin()
    raw.ask(Twalk(0, 1, ("numbers",)))
    fd = openfd(raw, 1, OREAD)
    assert isinstance(fd, int)
    there = len(served.server.connections)
    raw.sock.close()
    until(lambda: len(served.server.connections) < there)
    with open(fd, "rb") as pipe:
        assert len(pipe.read()) < len(LONG)
    with Raw(served.unix) as other:
        other.begin()
        assert other.sock.gettimeout() == WAIT


def test_descriptors_are_bounded(tmp_path: Path) -> None:
    """One client does not take them all, nor many together; others go on."""
    limits, budget = Limits(pumps=3), Budget(pumps=4)
    with (
        serving(tmp_path, limits=limits, budget=budget) as served,
        Client(served.unix, uname="g") as client,
        Raw(served.unix) as first,
        Raw(served.unix) as second,
    ):
        with client.create("/numbers", 0o666, OWRITE) as file:
            file.write(LONG)
        for raw in (first, second):
            raw.begin()
            for fid in range(1, 6):
                raw.ask(Twalk(0, fid, ("numbers",)))
        taken = [openfd(first, fid, OREAD) for fid in range(1, 6)]
        assert taken[3:] == [ETOOMANY] * 2
        more = [openfd(second, fid, OREAD) for fid in range(1, 3)]
        assert more[1] == ETOOMANY
        assert client.read("/numbers") == LONG
        for fd in taken[:3]:
            assert isinstance(fd, int)
            os.close(fd)
        until(lambda: budget.pumps == 3)
        for fd in (more[0], openfd(second, 3, OREAD)):
            assert isinstance(fd, int)
            os.close(fd)
        until(lambda: budget.pumps == 4)
