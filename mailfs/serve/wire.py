"""One connection's octets: read with a deadline, written with back pressure, TLS begun.

A Protocol and not a StreamReader: what came before TLS must be seen before TLS begins,
and how a StreamReader treats it differs from one Python to the next.
"""

import asyncio
import ssl
from typing import cast

HIGH = 64 << 10  # octets unread at which the client has to wait
UNSENT = 256 << 10  # octets a client may leave unread before we wait for it
HANDSHAKE = 20.0  # seconds


class Gone(Exception):
    """The client hung up, or let a deadline pass."""

    def __init__(self, *, late: bool = False) -> None:
        super().__init__("deadline passed" if late else "hung up")
        self.late = late


class Wire(asyncio.Protocol):
    """The server's end of one connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.secure = False
        self._octets = b""
        self._ended = False  # the client says no more
        self._lost = False  # nor does it hear
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport; after TLS has begun it is another one."""
        self.transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(high=UNSENT)
        self.secure = transport.get_extra_info("ssl_object") is not None

    def data_received(self, data: bytes) -> None:
        """Keep octets until they are read; a client that is too fast waits."""
        self._octets += data
        if len(self._octets) >= HIGH and self.transport is not None:
            self.transport.pause_reading()
            self._paused = True
        self._readable.set()

    def eof_received(self) -> bool:
        """Read what is left, then close."""
        self._ended = True
        self._readable.set()
        return not self.secure  # TLS knows no half that is closed

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake who waits."""
        self._ended = self._lost = True
        self._readable.set()
        self._writable.set()

    def pause_writing(self) -> None:
        """Have writers wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Have them go on."""
        self._writable.set()

    @property
    def waiting(self) -> bool:
        """Whether octets have come that nobody has read."""
        return bool(self._octets)

    @property
    def peer(self) -> str:
        """The other end's address, empty for what has none."""
        name = self.transport.get_extra_info("peername") if self.transport else None
        return str(name[0]) if isinstance(name, tuple) and name else ""

    async def read(self, deadline: float) -> bytes:
        """Return the octets that have come, at least one.

        deadline is the loop's time.  Raises Gone when it passes or at the end.
        """
        if not self._octets and not self._ended:
            self._readable.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._readable.wait()
            except TimeoutError:
                raise Gone(late=True) from None
        if not self._octets:
            raise Gone
        octets, self._octets = self._octets, b""
        if self._paused and self.transport is not None and not self._ended:
            self.transport.resume_reading()
            self._paused = False
        return octets

    async def send(self, octets: bytes, deadline: float) -> None:
        """Write, and wait while too much is unread.  Raises Gone."""
        if self._lost or self.transport is None:
            raise Gone
        self.transport.write(octets)
        if self._writable.is_set():
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self._writable.wait()
        except TimeoutError:
            raise Gone(late=True) from None

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Begin TLS.  Raises Gone if the handshake fails, or octets came too early."""
        assert self.transport is not None
        self.transport.pause_reading()
        if self._octets:
            raise Gone
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(
                self.transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE,
            )
        except (TimeoutError, OSError) as e:
            raise Gone from e
        self.transport = secured = cast(asyncio.Transport, secured)
        self.secure, self._paused = True, False
        secured.set_write_buffer_limits(high=UNSENT)

    def close(self) -> None:
        """Send what is written, then hang up."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Hang up at once."""
        if self.transport is not None:
            self.transport.abort()
