"""A server on its own thread and loop, and clients that speak in octets, for tests."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mailfs.p9.dial import dial
from mailfs.p9.fcall import (
    NOFID,
    OREAD,
    Fcall,
    Reply,
    Request,
    Rerror,
    Tattach,
    Topen,
    Tversion,
    Twalk,
    pack,
    unpack,
)
from mailfs.p9.srv import Server, run
from mailfs.where import DialString
from tests.p9.tree import Tree

WAIT = 20.0  # seconds until a test is given up


class Served:
    """A running server: its tree, its addresses, and its loop."""

    def __init__(self) -> None:
        self.tree: Tree
        self.server: Server
        self.unix: DialString
        self.tcp: DialString
        self.loop: asyncio.AbstractEventLoop
        self.stop: asyncio.Event

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Call something in the server's loop."""
        self.loop.call_soon_threadsafe(function, *args)


@contextmanager
def serving(directory: Path, **options: Any) -> Iterator[Served]:
    """Serve a Tree on a Unix socket and on TCP, with options for the Server."""
    served = Served()
    ready = threading.Event()

    async def main() -> None:
        served.tree = Tree()
        served.loop = asyncio.get_running_loop()
        served.stop = asyncio.Event()
        served.server = Server(served.tree.attach, **options)
        served.unix = DialString("unix", str(directory / "s"))
        await served.server.listen(served.unix)
        served.tcp = await served.server.listen(DialString("tcp", "127.0.0.1", 0))
        ready.set()
        await served.stop.wait()
        await served.server.close()

    thread = threading.Thread(target=lambda: run(main()), daemon=True)
    thread.start()
    assert ready.wait(WAIT)
    try:
        yield served
    finally:
        served.call(served.stop.set)
        thread.join(WAIT)
        assert not thread.is_alive()


class Raw:
    """A client that sends what it is told, well-formed or not."""

    def __init__(self, address: DialString) -> None:
        self.sock = dial(address, WAIT)
        self._rest = b""

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, *frames: bytes) -> None:
        self.sock.sendall(b"".join(frames))

    def recv(self) -> tuple[int, Fcall]:
        """Return the next reply and its tag.  Raises EOFError at the end."""
        while True:
            size = int.from_bytes(self._rest[:4], "little")
            if len(self._rest) >= 4 and len(self._rest) >= size:
                frame, self._rest = self._rest[:size], self._rest[size:]
                return unpack(frame)
            self._more()

    def _more(self) -> None:
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError
        self._rest += data

    def ended(self) -> bool:
        """Wait for the end; whether nothing came before it."""
        try:
            self.recv()
        except EOFError:
            return True
        return False

    def ask(self, msg: Request, tag: int = 1) -> Reply:
        """Return the reply to one request.  Raises AssertionError if it is not next."""
        self.send(pack(tag, msg))
        got, reply = self.recv()
        assert got == tag
        return reply  # type: ignore[return-value]

    def begin(self, *names: str, msize: int = 8216) -> None:
        """Attach as fid 0; if names are given, open what they lead to as fid 1."""
        asks: list[Request] = [Tversion(msize, "9P2000"), Tattach(0, NOFID, "g", "")]
        if names:
            asks += [Twalk(0, 1, names), Topen(1, OREAD)]
        for ask in asks:
            reply = self.ask(ask)
            assert not isinstance(reply, Rerror), reply


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets with the usual timeout."""
    a, b = socket.socketpair()
    a.settimeout(WAIT)
    b.settimeout(WAIT)
    return a, b
