"""Many requests in flight on one line: the asynchronous client; named after libmux.

    mux = await connect(address)
    root, _ = await mux.attach(uname, aname)
    reply = await mux.rpc(Tstat(root), Rstat)
    frame = await mux.send(Tstat(root))  # the same, not taken apart

A request whose task is cancelled is flushed, and the task goes on only when the server
has answered the flush.  If the reply comes before that, the request counts as done
and the cancellation as too late, as flush(5) has it: what was read is not lost.

Everything belongs to one event loop.
"""

import asyncio
import socket
import ssl
from typing import TypeVar, cast

from mailfs.errors import MailfsError, Refused
from mailfs.p9.client import MSIZE, Dial, Prove
from mailfs.p9.dial import dial
from mailfs.p9.fcall import (
    HEADER,
    IOHDRSZ,
    NOFID,
    NOTAG,
    NUMBERS,
    TYPES,
    VERSION,
    Fcall,
    FormatError,
    Rattach,
    Reply,
    Request,
    Rerror,
    Rflush,
    Rversion,
    Tattach,
    Tclunk,
    Tflush,
    Tversion,
    pack,
    unpack,
)
from mailfs.p9.wrapped import Wrapped
from mailfs.where import DialString

MAX_TAGS = NOTAG  # requests in flight; a tag has 16 bits and the last has a meaning

IDLE = 0.01  # seconds that a clunk waits for a request to leave with

R = TypeVar("R")


class Call(asyncio.Future[bytes]):
    """A request in flight; its result is the whole reply, of the type that belongs."""

    __slots__ = ("flushed", "mux", "tag", "wants")

    def __init__(self, mux: "Mux", tag: int, wants: int) -> None:
        super().__init__(loop=mux.loop)
        self.mux = mux
        self.tag = tag
        self.wants = wants  # the type of the reply
        self.flushed = False

    def cancel(self, msg: object = None) -> bool:
        """Flush the request; whoever waits goes on waiting for what comes of it."""
        if self.done():
            return False
        if not self.flushed:
            self.flushed = True
            self.mux.flush(self)
        return True

    def dropped(self) -> None:
        """End without a reply: the flush was answered first."""
        if not self.done():
            super().cancel()

    def fail(self, error: MailfsError) -> None:
        """End with an error, which nobody need look at."""
        if not self.done():
            self.set_exception(error)
            self.exception()


class Mux(asyncio.Protocol):
    """A line to a 9P server."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.get_running_loop()
        self.name = name  # begins every error
        self.msize = MSIZE  # octets; no message is longer
        self.lost: asyncio.Future[MailfsError] = self.loop.create_future()
        self._transport = cast(asyncio.Transport, None)  # until connection_made
        self._calls: dict[int, Call] = {}
        self._flushes: dict[int, Call] = {}  # by the tag of the Tflush
        self._free: list[int] = []
        self._next = 0  # the lowest tag that has never been used
        self._fids: list[int] = []
        self._next_fid = 0
        self._rest = bytearray()
        self._need = HEADER.size  # octets of rest before it is worth another look
        self._unsent: list[bytes] = []
        self._scheduled = False  # to be sent in the loop's next turn
        self._timer: asyncio.TimerHandle | None = None  # to be sent after IDLE

    @property
    def unit(self) -> int:
        """How many octets one read or write may carry."""
        return self.msize - IOHDRSZ

    def fid(self) -> int:
        """Return a fid that is not in use."""
        if self._fids:
            return self._fids.pop()
        self._next_fid += 1
        return self._next_fid - 1

    def free(self, fid: int) -> None:
        """Take back a fid that the server has forgotten, or never knew."""
        self._fids.append(fid)

    def send(self, msg: Request) -> Call:
        """Send a request; what is sent before the loop's next turn leaves together.

        The result, awaited, raises Refused with the server's text if it refuses, and
        MailfsError once the line is lost.
        """
        call = self._call(msg)
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self.push)
        return call

    def _call(self, msg: Request) -> Call:
        number = NUMBERS[type(msg)] + 1
        if self.lost.done():
            call = Call(self, NOTAG, number)
            call.fail(self.lost.result())
            return call
        tag = NOTAG if isinstance(msg, Tversion) else self._tag()
        call = Call(self, tag, number)
        try:
            self._unsent.append(pack(tag, msg))
        except FormatError:
            self._free.append(tag)
            raise
        self._calls[tag] = call
        return call

    async def rpc(self, msg: Request, kind: type[R]) -> R:
        """Send a request and return its reply, which is of that kind."""
        return self.reply(await self.send(msg), kind)

    def reply(self, frame: bytes, kind: type[R]) -> R:
        """Take a reply apart.  Raises MailfsError, and hangs up, if it cannot be."""
        try:
            _, reply = unpack(frame)
        except FormatError as e:
            raise self.nonsense(str(e)) from None
        assert isinstance(reply, kind)  # an R follows its T by number
        return reply

    def clunk(self, fid: int) -> None:
        """Forget a fid, with the next request or soon; the reply is not waited for."""
        if self.lost.done():
            return
        call = self._call(Tclunk(fid))
        call.add_done_callback(lambda call: self._clunked(fid, call))
        if not self._timer:
            self._timer = self.loop.call_later(IDLE, self.push)

    def _clunked(self, fid: int, call: "asyncio.Future[bytes]") -> None:
        if not call.cancelled() and isinstance(call.exception(), Refused | None):
            self.free(fid)  # it is gone even if the server complained; clunk(5)

    def flush(self, call: Call) -> None:
        """Ask the server to forget a request."""
        if self._calls.get(call.tag) is not call:
            return
        tag = self._tag()
        self._flushes[tag] = call
        self._unsent.append(pack(tag, Tflush(call.tag)))
        self.push()

    async def version(self) -> None:
        """Begin the session.  Raises MailfsError unless the server speaks 9P2000."""
        reply = await self.rpc(Tversion(MSIZE, VERSION), Rversion)
        if reply.version != VERSION:
            raise MailfsError(f"{self.name}: speaks {reply.version!r}, not 9P2000")
        if not IOHDRSZ < reply.msize <= MSIZE:
            raise self.nonsense(f"msize {reply.msize}")
        self.msize = reply.msize

    async def attach(
        self, uname: str, aname: str, prove: Prove | None = None
    ) -> tuple[int, Rattach]:
        """Return a fid for the root of the tree aname, and what the server says of it.

        prove shows who we are to servers that ask; it runs in a thread.
        """
        afid, fid = NOFID, self.fid()
        if prove is not None:
            afid = self.fid()
            if not await asyncio.to_thread(prove, self._ask, afid, uname, aname):
                self.free(afid)
                afid = NOFID
        try:
            return fid, await self.rpc(Tattach(fid, afid, uname, aname), Rattach)
        except Refused:
            self.free(fid)
            raise
        finally:
            if afid != NOFID:
                self.clunk(afid)

    def _ask(self, msg: Request) -> Reply:
        """Do a request from another thread."""

        async def ask() -> Reply:
            return cast(Reply, unpack(await self.send(msg))[1])

        return asyncio.run_coroutine_threadsafe(ask(), self.loop).result()

    def close(self) -> None:
        """Hang up; the server clunks what is open."""
        self._transport.close()
        self._lose(MailfsError(f"{self.name}: connection closed"))

    def nonsense(self, what: str) -> MailfsError:
        """Hang up; return the error for an answer that no 9P server gives."""
        error = MailfsError(f"{self.name}: not a 9P server's answer: {what}")
        self._lose(error)
        self._transport.abort()
        return error

    def _tag(self) -> int:
        if self._free:
            return self._free.pop()
        if self._next == MAX_TAGS:
            raise MailfsError(f"{self.name}: {MAX_TAGS} requests without an answer")
        self._next += 1
        return self._next - 1

    def push(self) -> None:
        """Send now what is to be sent."""
        self._scheduled = False
        if self._timer:
            self._timer.cancel()
            self._timer = None
        frames, self._unsent = self._unsent, []
        if frames and not self.lost.done():
            self._transport.write(frames[0] if len(frames) == 1 else b"".join(frames))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Give each whole reply to its request; asyncio.Protocol."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._need:
                return
            data = bytes(self._rest)
            self._rest.clear()
        pos, have = 0, len(data)
        self._need = HEADER.size
        while have - pos >= HEADER.size and not self.lost.done():
            size = HEADER.unpack_from(data, pos)[0]
            if not HEADER.size <= size <= self.msize:
                self.nonsense(f"message of {size} octets")
                return
            if size > have - pos:
                self._need = size
                break
            self._take(data[pos : pos + size])
            pos += size
        self._rest += data[pos:]

    def _take(self, frame: bytes) -> None:
        _, number, tag = HEADER.unpack_from(frame)
        call = self._calls.get(tag)
        if call is not None and call.wants == number:
            self._release(call)
            if not call.done():
                call.set_result(frame)
            return
        try:
            _, reply = unpack(frame)
        except FormatError as e:
            self.nonsense(str(e))
            return
        if isinstance(reply, Rflush) or tag in self._flushes:
            self._flushed(tag, reply)
        elif isinstance(reply, Rerror) and tag == NOTAG and call is None:
            self._lose(MailfsError(f"{self.name}: {reply.ename}"))  # its last word
            self._transport.abort()
        elif call is None:
            self.nonsense(f"{type(reply).__name__} tag {tag}")
        elif isinstance(reply, Rerror):
            self._release(call)
            call.fail(Refused(reply.ename))
        else:
            asked = TYPES[call.wants - 1].__name__
            self.nonsense(f"{type(reply).__name__} to {asked}")

    def _flushed(self, tag: int, reply: Fcall) -> None:
        call = self._flushes.pop(tag, None)
        if call is None:
            self.nonsense(f"{type(reply).__name__} tag {tag}")
            return
        self._free += (tag, call.tag)
        if self._calls.get(call.tag) is call:
            del self._calls[call.tag]
            call.dropped()

    def _release(self, call: Call) -> None:
        """Let a request's tag be used again, unless its flush is still to be answered.

        Until then, the server may take the Tflush for one of the tag's next request.
        """
        del self._calls[call.tag]
        if not call.flushed and call.tag != NOTAG:
            self._free.append(call.tag)

    def eof_received(self) -> None:
        """End; asyncio.Protocol."""
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is under way; asyncio.Protocol."""
        self._lose(MailfsError(f"{self.name}: hung up"))

    def _lose(self, error: MailfsError) -> None:
        if self.lost.done():
            return
        self.lost.set_result(error)
        calls = [*self._calls.values()]
        self._calls.clear()
        self._flushes.clear()
        for call in calls:
            call.fail(error)


async def over(sock: socket.socket, name: str) -> Mux:
    """Begin a session on a connected socket, be it TLS; name begins every error.

    Raises MailfsError if the peer speaks no 9P2000.
    """
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    if isinstance(sock, ssl.SSLSocket):
        mux = Mux(name)
        Wrapped(sock, mux)
    elif sock.family == socket.AF_UNIX:
        _, mux = await loop.create_unix_connection(lambda: Mux(name), sock=sock)
    else:
        _, mux = await loop.create_connection(lambda: Mux(name), sock=sock)
    try:
        await mux.version()
    except BaseException:
        mux.close()
        raise
    return mux


async def connect(address: DialString, dial: Dial = dial) -> Mux:
    """Dial address and begin a session.  Raises MailfsError."""
    return await over(await asyncio.to_thread(dial, address, None), str(address))
