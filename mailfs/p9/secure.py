"""Listening for clients who speak TLS before they speak 9P.

The contexts come from above: this package knows neither keys nor certificates.  A
client that fails at the handshake, or takes too long for it, disturbs nobody else.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

HANDSHAKE = 20.0  # seconds it may take; a slow line needs three round trips
SHAKING = 100  # handshakes at once; each costs a few milliseconds of computing
RELIEF = 0.5  # seconds to wait where the system has no descriptors left

Context = Callable[[], ssl.SSLContext]
"""Return the context for the next connection.  Raises OSError or MailfsError."""


class SecureListener:
    """Accepts on listening sockets, and connects a protocol after each handshake."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        make: Callable[[], asyncio.Protocol],
        context: Context,
        handshake: float = HANDSHAKE,
    ) -> None:
        """Begin; handshake is in seconds."""
        self._make = make
        self._context = context
        self._handshake = handshake
        self._shaking: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        self._accepting = [loop.create_task(self._accept(sock)) for sock in sockets]

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        sock.setblocking(False)
        while True:
            try:
                conn, _ = await loop.sock_accept(sock)
            except OSError as e:
                log.warning("accept: %s", e)
                await asyncio.sleep(RELIEF)
                continue
            if len(self._shaking) >= SHAKING:
                log.warning("connection refused: %d handshakes at once", SHAKING)
                conn.close()
                continue
            task = loop.create_task(self._shake(conn))
            self._shaking.add(task)
            task.add_done_callback(self._shaking.discard)

    async def _shake(self, conn: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                self._make,
                conn,
                ssl=self._context(),
                ssl_handshake_timeout=self._handshake,
            )
        except Exception as e:  # noqa: BLE001  # whatever it was, it is this client's
            log.info("tls: %s", " ".join(str(e).split()) or type(e).__name__)
            conn.close()

    def close(self) -> None:
        """Accept no more; handshakes under way end without a connection."""
        for task in (*self._accepting, *self._shaking):
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until nothing is under way."""
        await asyncio.gather(*self._accepting, *self._shaking, return_exceptions=True)
