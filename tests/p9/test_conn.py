"""One connection without sockets: how it deals with time, and with a full line."""

import asyncio
from typing import Any

import pytest

from mailfs.p9.conn import BATCH, Connection, Service
from mailfs.p9.fcall import (
    NOFID,
    OREAD,
    OWRITE,
    Rread,
    Rwrite,
    Tattach,
    Tclunk,
    Topen,
    Tread,
    Tstat,
    Tversion,
    Twalk,
    Twrite,
    pack,
    unpack,
)
from mailfs.p9.session import Limits
from tests.p9.tree import Tree, split

ROOT = pack(0xFFFF, Tversion(8216, "9P2000")) + pack(1, Tattach(0, NOFID, "g", ""))
ALPHA = pack(2, Twalk(0, 1, ("alpha",))) + pack(3, Topen(1, OREAD))
STAT = pack(5, Tstat(0))


class Line(asyncio.Transport):
    """A transport that keeps what is written, and is full when told."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.reading = True
        self.closed = False
        self.aborted = False
        self.room = -1  # writes until it is full
        self.connection: Connection

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None:
        self.high = high

    def write(self, data: Any) -> None:
        assert not self.closed
        self.writes.append(bytes(data))
        self.room -= 1
        if self.room == 0:
            self.connection.pause_writing()

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.writes))

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def heard(self) -> list[Any]:
        """Return the replies written since the last call."""
        got = [unpack(frame) for frame in split(b"".join(self.writes))]
        self.writes.clear()
        return got


class Bench:
    """A connection with its line."""

    def __init__(self, tree: Tree, patience: float = 1e6) -> None:
        self.forgotten: list[Connection] = []
        forget = self.forgotten.append
        service = Service(tree.attach, Limits(), False, patience, set(), forget)
        self.line = Line()
        self.connection = self.line.connection = Connection(service, None)
        self.connection.connection_made(self.line)

    def end(self) -> None:
        self.connection.connection_lost(None)
        assert self.forgotten == [self.connection]
        assert not self.connection.session.fids.table


def test_patience() -> None:
    async def main() -> None:
        bench = Bench(Tree())
        connection, line = bench.connection, bench.line
        connection.data_received(ROOT + ALPHA)
        connection._watch()
        assert not line.closed
        for i in range(0, len(STAT) - 1, 2):
            connection.data_received(STAT[i : i + 1])
            connection.data_received(STAT[i + 1 : i + 2])
            connection._watch()  # it is slow, but it goes on
            assert not line.closed
        connection.data_received(STAT[-1:])
        line.heard()
        connection._watch()
        assert not line.closed  # and it may rest between messages
        connection.data_received(STAT[:3])
        connection._watch()
        connection._watch()
        assert line.closed
        connection._watch()
        connection.data_received(STAT[3:])
        assert line.heard() == []
        bench.end()

    asyncio.run(main())


@pytest.mark.parametrize("said", [b"", ROOT[:5], pack(1, Tclunk(0))])
def test_no_patience_without_a_version(said: bytes) -> None:
    async def main() -> None:
        bench = Bench(Tree())
        if said:
            bench.connection.data_received(said)
        assert not bench.line.closed
        bench.connection._watch()
        assert bench.line.closed
        bench.end()

    asyncio.run(main())


def test_a_full_line() -> None:
    async def main() -> None:
        bench = Bench(Tree())
        connection, line = bench.connection, bench.line
        connection.data_received(ROOT + ALPHA)
        line.heard()
        line.room = 1
        many = 3 * BATCH
        asks = [pack(tag, Tread(1, 0, 9)) for tag in range(many)]
        connection.data_received(b"".join(asks) + STAT[:5])
        assert len(line.heard()) == BATCH
        assert not line.reading
        connection.data_received(STAT[5:])  # came before reading had really stopped
        assert line.heard() == []
        connection._watch()
        connection._watch()
        assert not line.closed  # that nothing comes is our own doing
        line.room = 1
        connection.resume_writing()
        assert len(line.heard()) == BATCH
        assert not line.reading
        connection.resume_writing()
        got = line.heard()
        assert len(got) == BATCH + 1
        assert got[0] == (2 * BATCH, Rread(b"alpha\n"))
        assert got[-1][0] == 5
        assert line.reading
        bench.end()

    asyncio.run(main())


def test_a_line_that_does_not_empty_is_cut() -> None:
    async def main() -> None:
        bench = Bench(Tree(), patience=0.0)
        bench.connection.data_received(ROOT + b"\0" * 7)
        assert bench.line.closed
        assert not bench.line.aborted
        await asyncio.sleep(0.01)
        assert bench.line.aborted
        bench.end()

    asyncio.run(main())


def test_late_answers_after_the_end_are_not_written() -> None:
    async def main() -> None:
        tree = Tree()
        bench = Bench(tree)
        bench.connection.data_received(ROOT)
        walk = pack(2, Twalk(0, 2, ("stubborn",))) + pack(3, Topen(2, OREAD))
        bench.connection.data_received(walk + pack(4, Tread(2, 0, 9)))
        await asyncio.sleep(0)
        bench.connection.eof_received()
        bench.line.heard()
        for _ in range(9):
            await asyncio.sleep(0)
        assert bench.line.heard() == []
        bench.end()

    asyncio.run(main())


def test_a_long_message_in_pieces_is_looked_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[int] = []
    parse = Connection._parse

    def counted(connection: Connection, data: bytes) -> None:
        looks.append(len(data))
        parse(connection, data)

    async def main() -> None:
        bench = Bench(Tree())
        bench.connection.data_received(ROOT + pack(2, Twalk(0, 1, ("empty",))))
        bench.connection.data_received(pack(3, Topen(1, OWRITE)))
        bench.line.heard()
        monkeypatch.setattr(Connection, "_parse", counted)
        raw = pack(4, Twrite(1, 0, b"x" * 4000))
        for octet in raw:
            bench.connection.data_received(bytes([octet]))
        assert bench.line.heard() == [(4, Rwrite(4000))]
        assert looks == [1, 7, len(raw)]
        bench.end()

    asyncio.run(main())


def test_answers_of_one_moment_leave_together() -> None:
    async def main() -> None:
        tree = Tree()
        bench = Bench(tree)
        bench.connection.data_received(ROOT + ALPHA)
        walk = pack(2, Twalk(0, 2, ("waits",))) + pack(3, Topen(2, OREAD))
        bench.connection.data_received(walk)
        for tag in range(9):
            bench.connection.data_received(pack(tag, Tread(2, 0, 9)))
        await asyncio.sleep(0)
        bench.line.writes.clear()
        tree.waits.go.set()
        for _ in range(9):
            await asyncio.sleep(0)
        assert len(bench.line.writes) == 1
        assert len(bench.line.heard()) == 9
        bench.end()

    asyncio.run(main())
