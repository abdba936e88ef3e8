"""Many requests on one line: replies out of order, flushes, and lines that break."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.errors import MailfsError, Refused
from mailfs.p9.fcall import (
    NOFID,
    OREAD,
    Fcall,
    Qid,
    Rattach,
    Rclunk,
    Rerror,
    Rflush,
    Ropen,
    Rread,
    Rstat,
    Rversion,
    Rwalk,
    Stat,
    Tattach,
    Tauth,
    Tclunk,
    Tflush,
    Topen,
    Tread,
    Tstat,
    Tversion,
    Twalk,
    pack,
    unpack,
)
from mailfs.p9.mux import Mux, connect, over
from mailfs.where import DialString
from tests.p9.serving import WAIT, Served, serving

T = TypeVar("T")
QID = Qid(0, 0, 7)
STAT = Stat(0, 0, QID, 0o644, 1, 2, 3, "f", "u", "g", "m")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


def do(work: Callable[[], Awaitable[T]]) -> T:
    """Do work in a loop of its own."""

    async def main() -> T:
        async with asyncio.timeout(WAIT):
            return await work()

    return asyncio.run(main())


async def until(what: Callable[[], bool]) -> None:
    """Wait for something to hold."""
    while not what():  # noqa: ASYNC110  # nothing tells when
        await asyncio.sleep(0.001)


class Peer:
    """The server's end of a line, played by the test."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._rest = b""

    async def hear(self) -> tuple[int, Fcall]:
        """Return the next request and its tag."""
        loop = asyncio.get_running_loop()
        while True:
            size = int.from_bytes(self._rest[:4], "little")
            if len(self._rest) >= 4 and len(self._rest) >= size:
                frame, self._rest = self._rest[:size], self._rest[size:]
                return unpack(frame)
            data = await loop.sock_recv(self.sock, 1 << 16)
            if not data:
                raise EOFError
            self._rest += data

    async def say(self, *frames: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, b"".join(frames))

    async def expect(self, msg: Fcall) -> int:
        tag, heard = await self.hear()
        assert heard == msg
        return tag


def play(work: Callable[[Mux, Peer], Awaitable[T]], msize: int = 8216) -> T:
    """Do work with both ends of a line whose session has begun."""

    async def main() -> T:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        with theirs:
            peer = Peer(theirs)
            begun = asyncio.create_task(over(ours, "peer"))
            assert await peer.hear() == (0xFFFF, Tversion(1 << 20, "9P2000"))
            await peer.say(pack(0xFFFF, Rversion(msize, "9P2000")))
            mux = await begun
            try:
                return await work(mux, peer)
            finally:
                mux.close()

    return do(main)


# With a real server


def test_a_session(served: Served) -> None:
    async def work() -> bytes:
        mux = await connect(served.tcp)
        root, attached = await mux.attach("glenda", "")
        assert attached.qid.type & 0x80
        fid = mux.fid()
        await mux.rpc(Twalk(root, fid, ("alpha",)), Rwalk)
        await mux.rpc(Topen(fid, OREAD), Ropen)
        data = (await mux.rpc(Tread(fid, 0, mux.unit), Rread)).data
        mux.clunk(fid)
        with pytest.raises(Refused, match=r"^file does not exist$"):
            await mux.rpc(Twalk(root, mux.fid(), ("nonesuch",)), Rwalk)
        mux.close()
        with pytest.raises(MailfsError, match="connection closed"):
            await mux.rpc(Tstat(root), Rstat)
        mux.clunk(root)
        return data

    assert do(work) == b"alpha\n"


def test_many_at_once_beside_one_that_waits(served: Served) -> None:
    async def work() -> None:
        mux = await connect(served.unix)
        root, _ = await mux.attach("glenda", "")
        waits, alpha = mux.fid(), mux.fid()
        for fid, name in ((waits, "waits"), (alpha, "alpha")):
            await mux.rpc(Twalk(root, fid, (name,)), Rwalk)
            await mux.rpc(Topen(fid, OREAD), Ropen)
        late = asyncio.ensure_future(mux.rpc(Tread(waits, 0, 9), Rread))
        reads = [mux.rpc(Tread(alpha, i % 6, 1), Rread) for i in range(3000)]
        got = b"".join(reply.data for reply in await asyncio.gather(*reads))
        assert got == b"alpha\n" * 500
        assert not late.done()
        served.call(served.tree.waits.go.set)
        assert (await late).data == b"late"
        mux.close()

    do(work)


def test_a_cancelled_request_is_flushed(served: Served) -> None:
    async def work() -> None:
        mux = await connect(served.unix)
        root, _ = await mux.attach("glenda", "")
        fid = mux.fid()
        await mux.rpc(Twalk(root, fid, ("waits",)), Rwalk)
        await mux.rpc(Topen(fid, OREAD), Ropen)
        read = asyncio.ensure_future(mux.rpc(Tread(fid, 0, 9), Rread))
        await until(lambda: served.tree.waits.begun > 0)
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await read
        assert served.tree.waits.cancelled == 1
        mux.close()

    do(work)


def test_a_tree_that_is_refused(served: Served) -> None:
    async def work() -> None:
        mux = await connect(served.unix)
        with pytest.raises(Refused, match="no such tree"):
            await mux.attach("glenda", "other")
        await mux.attach("glenda", "")
        mux.close()

    do(work)


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(MailfsError, match="file does not exist"):
        do(lambda: connect(DialString("unix", str(tmp_path / "none"))))


# With a peer that does as it likes


def test_requests_of_one_turn_leave_together() -> None:
    async def work(mux: Mux, peer: Peer) -> None:
        calls = [mux.send(Tstat(i)) for i in range(3)]
        mux.clunk(9)
        await asyncio.sleep(0)
        frames = await asyncio.get_running_loop().sock_recv(peer.sock, 1 << 16)
        assert len(frames) == 3 * len(pack(0, Tstat(0))) + len(pack(0, Tclunk(9)))
        tags = [call.tag for call in calls]
        replies = [pack(tag, Rstat(STAT._replace(length=tag))) for tag in tags]
        await peer.say(*reversed(replies))
        for call in calls:
            frame = await call
            assert frame == pack(call.tag, Rstat(STAT._replace(length=call.tag)))
            assert mux.reply(frame, Rstat).stat.length == call.tag

    play(work)


def test_a_clunk_leaves_by_itself_in_the_end() -> None:
    async def work(mux: Mux, peer: Peer) -> None:
        fid = mux.fid()
        mux.clunk(fid)
        tag = await peer.expect(Tclunk(fid))
        assert mux.fid() != fid
        await peer.say(pack(tag, Rerror("no such fid")))
        await until(lambda: mux.fid() == fid)

    play(work)


def test_a_reply_before_the_rflush_counts() -> None:
    """What has been read is not lost, and the tag is not used until Rflush."""

    async def work(mux: Mux, peer: Peer) -> None:
        read = asyncio.ensure_future(mux.rpc(Tread(1, 0, 9), Rread))
        tag = await peer.expect(Tread(1, 0, 9))
        read.cancel()
        flush = await peer.expect(Tflush(tag))
        await peer.say(pack(tag, Rread(b"event")))
        assert (await read).data == b"event"
        stat = mux.send(Tstat(1))
        assert stat.tag not in (tag, flush)
        await peer.expect(Tstat(1))
        await peer.say(pack(flush, Rflush()), pack(stat.tag, Rstat(STAT)))
        assert unpack(await stat) == (stat.tag, Rstat(STAT))
        assert {mux.send(Tstat(i)).tag for i in range(3)} == {tag, flush, stat.tag}

    play(work)


def test_a_flush_is_sent_once() -> None:
    async def work(mux: Mux, peer: Peer) -> None:
        read = asyncio.ensure_future(mux.rpc(Tread(1, 0, 9), Rread))
        tag = await peer.expect(Tread(1, 0, 9))
        read.cancel()
        read.cancel()
        flush = await peer.expect(Tflush(tag))
        await peer.say(pack(flush, Rflush()))
        with pytest.raises(asyncio.CancelledError):
            await read
        assert mux.send(Tstat(1)).tag in (tag, flush)
        assert isinstance((await peer.hear())[1], Tstat)

    play(work)


@pytest.mark.parametrize("wait", [True, False])
def test_a_lost_line_fails_everything(wait: bool) -> None:
    async def work(mux: Mux, peer: Peer) -> None:
        call = mux.send(Tread(1, 0, 9))
        if wait:
            await peer.hear()
            call.cancel()
        peer.sock.close()
        with pytest.raises(MailfsError, match=r"^peer: hung up$"):
            await call
        assert str(await mux.lost) == "peer: hung up"
        with pytest.raises(MailfsError, match="hung up"):
            await mux.send(Tstat(1))

    play(work)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (pack(0, Rclunk()), "Rclunk to Tread"),
        (pack(1, Rread(b"")), "Rread tag 1"),
        (pack(0xFFFF, Rerror("fed up")), "fed up$"),
        (pack(0, Rflush()), "Rflush tag 0"),
        (pack(0, Tstat(1)), "Tstat"),
        (b"\xff\xff\xff\xff" + b"u\0\0", "message of 4294967295 octets"),
        (b"\x06\0\0\0u\0\0", "message of 6 octets"),
        (b"\x07\0\0\0\x01\0\0", "message type 1"),
        (pack(0, Rread(b"x"))[:-1], "hung up"),
    ],
)
def test_nonsense_ends_the_line(octets: bytes, text: str) -> None:
    async def work(mux: Mux, peer: Peer) -> None:
        call = mux.send(Tread(1, 0, 9))
        await peer.hear()
        await peer.say(octets)
        if text == "hung up":
            peer.sock.close()
        with pytest.raises(MailfsError, match=f"^peer: .*{text}"):
            await call
        assert mux.lost.done()

    play(work)


def test_a_reply_that_cannot_be_taken_apart_ends_the_line() -> None:
    async def work(mux: Mux, peer: Peer) -> None:
        ask = asyncio.ensure_future(mux.rpc(Tread(1, 0, 9), Rread))
        tag = await peer.expect(Tread(1, 0, 9))
        frame = bytearray(pack(tag, Rread(b"some")))
        frame[7] = 99  # the count
        await peer.say(bytes(frame))
        with pytest.raises(MailfsError, match="runs past the end"):
            await ask
        assert mux.lost.done()

    play(work)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Rversion(8192, "unknown"), "speaks 'unknown', not 9P2000"),
        (Rversion(24, "9P2000"), "msize 24"),
        (Rversion(1 << 21, "9P2000"), "msize 2097152"),
        (Rerror("go away"), "go away"),
    ],
)
def test_no_session_with_other_versions(reply: Fcall, text: str) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        with theirs:
            peer = Peer(theirs)
            begun = asyncio.create_task(over(ours, "peer"))
            await peer.hear()
            await peer.say(pack(0xFFFF, reply))
            with pytest.raises(MailfsError, match=text):
                await begun
            with pytest.raises(EOFError):
                await peer.hear()

    do(main)


def test_a_proof_goes_before_the_attach() -> None:
    def prove(ask: object, afid: int, uname: str, aname: str) -> bool:
        assert callable(ask)
        ask(Tauth(afid, uname, aname))
        return True

    async def work(mux: Mux, peer: Peer) -> None:
        attach = asyncio.ensure_future(mux.attach("glenda", "a", prove))
        tag, auth = await peer.hear()
        assert isinstance(auth, Tauth)
        await peer.say(pack(tag, Rerror("no need")))
        with pytest.raises(Refused, match="no need"):
            await attach
        attach = asyncio.ensure_future(mux.attach("glenda", "a", lambda *_: False))
        tag, asked = await peer.hear()
        assert isinstance(asked, Tattach)
        assert asked.afid == NOFID
        await peer.say(pack(tag, Rattach(QID)))
        assert (await attach)[1] == Rattach(QID)

    play(work)


@given(st.data())
def test_replies_may_be_cut_anywhere(data: st.DataObject) -> None:
    async def work(mux: Mux, peer: Peer) -> None:
        calls = [mux.send(Tread(i, 0, 100)) for i in range(3)]
        await asyncio.sleep(0)
        texts = [data.draw(st.binary(max_size=100)) for _ in calls]
        raw = b"".join(
            pack(call.tag, Rread(text)) for call, text in zip(calls, texts, strict=True)
        )
        cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
        for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
            mux.data_received(raw[start:end])
        assert [unpack(await call)[1] for call in calls] == [Rread(t) for t in texts]

    play(work)
