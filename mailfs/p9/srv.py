"""The 9P server: any number of addresses, any number of clients, one event loop."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from typing import Any

from mailfs.errors import MailfsError
from mailfs.p9.auth import Auth
from mailfs.p9.budget import Budget
from mailfs.p9.conn import Admit, Connection, Identify, Service, anyone
from mailfs.p9.dial import Announced, announce
from mailfs.p9.secure import Context, SecureListener
from mailfs.p9.session import Attach, Limits
from mailfs.p9.stdio import connect_stdio
from mailfs.p9.strangers import Strangers
from mailfs.p9.trim import Trim
from mailfs.where import DialString

log = logging.getLogger(__name__)

PATIENCE = 60.0  # seconds to begin a session, or for the next octet of a message
FAREWELL = 2.0  # seconds for replies under way, and again for cancelled requests


@dataclass(frozen=True, slots=True)
class Door:
    """One address to listen at, and what is different there.

    attach    gives the roots to those who come here; the server's own if None
    identify  tells whom a line proves; nobody else attaches without an afid
    context   for tls: the TLS context of the next connection
    auth      proves who comes; the server's own if None
    """

    address: DialString
    attach: Attach | None = None
    identify: Identify | None = None
    context: Context | None = None
    auth: Auth | None = None


class Server:
    """A tree of files, served on any number of addresses at once.

    attach gives the root for (uname, aname).  With auth, whoever comes by TCP or TLS
    has to prove who they are; a Unix socket or pipe is proof in itself, being its
    owner's, unless its door identifies who comes.  admit may turn a peer away before
    its first message.
    """

    def __init__(
        self,
        attach: Attach,
        *,
        auth: Auth | None = None,
        limits: Limits | None = None,
        trace: bool = False,
        patience: float = PATIENCE,
        admit: Admit = anyone,
        budget: Budget | None = None,
        strangers: Strangers | None = None,
        most: int = 0,
    ) -> None:
        """Make a server; budget, strangers and most bound what all peers take."""
        self.auth = auth
        self.connections: set[Connection] = set()
        self._service = Service(
            attach,
            limits or Limits(),
            trace,
            patience,
            self.connections,
            self._forget,
            admit,
            budget=budget or Budget(),
            strangers=strangers or Strangers(),
            most=most,
        )
        self._memory = Trim()
        self._announced: list[Announced] = []
        self._listeners: list[asyncio.AbstractServer | SecureListener] = []
        self._settling: set[asyncio.Task[None]] = set()

    async def listen(self, at: DialString | Door) -> DialString:
        """Serve at an address; return it with the port that it really has.

        Raises MailfsError if it is in use, or would let in anybody unproved.
        """
        door = Door(at) if isinstance(at, DialString) else at
        address = door.address
        auth = door.auth or (self.auth if address.net in ("tcp", "tls") else None)
        self._check(door, auth)
        service = replace(
            self._service,
            attach=door.attach or self._service.attach,
            identify=door.identify,
        )

        def make() -> Connection:
            self._memory.came(len(self.connections) + 1)
            return Connection(service, auth)

        if address.net == "stdio":
            await connect_stdio(make)
            return address
        loop = asyncio.get_running_loop()
        # Whoever is identified may come: a Unix socket need not keep others out.
        announced = announce(address, 0o666 if door.identify is not None else 0o600)
        self._announced.append(announced)
        if door.context is not None:
            sockets = announced.sockets
            self._listeners.append(SecureListener(sockets, make, door.context))
        else:
            serve_on = (
                loop.create_unix_server if address.net == "unix" else loop.create_server
            )
            for sock in announced.sockets:
                self._listeners.append(await serve_on(make, sock=sock))
        log.info("serving on %s", announced.address)
        return announced.address

    @staticmethod
    def _check(door: Door, auth: Auth | None) -> None:
        """Raise MailfsError where anybody could come in unproved, or nobody at all."""
        address = door.address
        if (address.net == "tls") != (door.context is not None):
            raise MailfsError(f"{address}: TLS needs a certificate")
        if auth is not None or door.identify is not None:
            return
        if address.net == "tls" or not address.loopback:
            raise MailfsError(
                f"{address}: refused: 9P authentication is needed on other than "
                "loopback addresses"
            )

    def _forget(self, connection: Connection) -> None:
        """Note the end of a connection; what it left running is waited for in close."""
        self.connections.discard(connection)
        self._memory.went(len(self.connections))
        task = asyncio.get_running_loop().create_task(connection.session.settle())
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def close(self) -> None:
        """Stop listening, hang up on everybody, and wait a little for what goes on."""
        for announced in self._announced:
            announced.withdraw()
        for listener in self._listeners:
            listener.close()
        for announced in self._announced:
            announced.close()
        self._listeners.clear()
        self._announced.clear()
        connections = list(self.connections)
        for connection in connections:
            connection.hang_up()
        await _wait({connection.lost for connection in connections})
        for connection in list(self.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        await _wait(set(self._settling))
        for task in self._settling:
            task.cancel()
            log.warning("a request goes on after its time")


async def _wait(what: "set[asyncio.Future[None]]") -> None:
    if what:
        await asyncio.wait(what, timeout=FAREWELL)


def _silent() -> None:
    """Tell nobody that we serve, or end."""


async def serve(
    server: Server,
    addresses: Iterable[DialString | Door],
    ready: Callable[[], None] = _silent,
    ending: Callable[[], None] = _silent,
) -> None:
    """Serve on addresses until SIGINT or SIGTERM, or the end of stdio if that is all.

    ready is called when all are served on, ending before anything is closed.
    Raises MailfsError if one of the addresses cannot be served on.
    """
    loop = asyncio.get_running_loop()
    stop = loop.create_future()

    def done() -> None:
        if not stop.done():
            stop.set_result(None)
            ending()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, done)
    try:
        served = [await server.listen(address) for address in addresses]
        ready()
        if all(address.net == "stdio" for address in served):
            for connection in list(server.connections):
                connection.lost.add_done_callback(lambda _: done())
        await stop
    finally:
        await server.close()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run main on uvloop where there is one, else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        factory = asyncio.new_event_loop
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)
