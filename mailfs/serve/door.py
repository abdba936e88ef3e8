"""Listening for clients, and a conversation with each until all of them end."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mailfs.p9.dial import Announced, announce
from mailfs.p9.secure import SecureListener
from mailfs.p9.stdio import connect_stdio
from mailfs.serve.wire import Gone, Wire
from mailfs.where import DialString

log = logging.getLogger(__name__)

FAREWELL = 4.0  # seconds conversations have to end at the end of the server

Context = Callable[[], ssl.SSLContext]
"""Return the TLS context of the next connection.  Raises OSError or MailfsError."""

Converse = Callable[[Wire], Awaitable[None]]
"""Hold one conversation; it ends when the client goes, or is cancelled."""


@dataclass(frozen=True, slots=True)
class Door:
    """An address, and the conversation held with who comes there.

    context  for tls!HOST!PORT, which speaks TLS from the first octet
    mode     of a Unix socket
    """

    address: DialString
    converse: Converse
    context: Context | None = None
    mode: int = 0o600


class Doors:
    """All addresses of one server."""

    def __init__(self) -> None:
        self._announced: list[Announced] = []
        self._listening: list[asyncio.Server | SecureListener] = []
        self._talks: set[asyncio.Task[None]] = set()

    async def open(self, door: Door) -> DialString:
        """Listen; return the address, with the port the system chose if it was 0.

        Raises MailfsError.
        """
        announced = announce(door.address, door.mode)
        self._announced.append(announced)

        def make() -> Wire:
            return _Talking(lambda wire: self.begin(wire, door.converse))

        if door.context is not None:
            self._listening.append(
                SecureListener(announced.sockets, make, door.context)
            )
            return announced.address
        loop = asyncio.get_running_loop()
        for sock in announced.sockets:
            server = (
                await loop.create_unix_server(make, sock=sock)
                if door.address.net == "unix"
                else await loop.create_server(make, sock=sock)
            )
            self._listening.append(server)
        return announced.address

    async def on_stdio(self, converse: Converse, ended: asyncio.Event) -> None:
        """Hold one conversation on standard input and output; set ended after it."""

        async def talk(wire: Wire) -> None:
            try:
                await converse(wire)
            finally:
                ended.set()

        await connect_stdio(lambda: _Talking(lambda wire: self.begin(wire, talk)))

    def begin(self, wire: Wire, converse: Converse) -> None:
        """Hold a conversation over a connection that has been made."""
        task = asyncio.get_running_loop().create_task(_hold(wire, converse))
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)

    async def close(self) -> None:
        """Take no more, and end the conversations; they may say farewell."""
        for announced in self._announced:
            announced.withdraw()
        for listener in self._listening:
            listener.close()
        for task in self._talks:
            task.cancel()
        if self._talks:
            await asyncio.wait(self._talks, timeout=FAREWELL)
        for announced in self._announced:
            announced.close()


class _Talking(Wire):
    """A wire that tells when its connection is made."""

    def __init__(self, made: Callable[[Wire], None]) -> None:
        super().__init__()
        self._made: Callable[[Wire], None] | None = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the conversation, once: TLS that begins later makes no new one."""
        super().connection_made(transport)
        made, self._made = self._made, None
        if made is not None:
            made(self)


async def _hold(wire: Wire, converse: Converse) -> None:
    try:
        await converse(wire)
    except Gone:
        wire.abort()
    except Exception:
        log.exception("a conversation ended")
        wire.abort()
    finally:
        wire.close()
