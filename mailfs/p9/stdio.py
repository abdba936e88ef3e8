"""A 9P line on standard input and output: a socket, or two pipes that act as one."""

import asyncio
import os
import socket
import stat
from collections.abc import Callable, Iterable
from typing import cast

from mailfs.errors import MailfsError

Make = Callable[[], asyncio.Protocol]


async def connect_stdio(make: Make, stdin: int = 0, stdout: int = 1) -> None:
    """Connect the protocol that make returns to two file descriptors.

    They are duplicated, and the duplicates closed at the end of the line.  Raises
    MailfsError unless each is a pipe or a socket.
    """
    loop = asyncio.get_running_loop()
    ends = os.fstat(stdin), os.fstat(stdout)
    # libuv aborts the process when it is given anything else as a pipe.
    if not all(stat.S_ISFIFO(e.st_mode) or stat.S_ISSOCK(e.st_mode) for e in ends):
        raise MailfsError("stdio: not a pipe or socket")
    if os.path.samestat(*ends) and stat.S_ISSOCK(ends[0].st_mode):
        sock = socket.socket(fileno=os.dup(stdin))
        await loop.connect_accepted_socket(make, sock)
        return
    connection = make()
    write_end = os.fdopen(os.dup(stdout), "wb", 0)
    writer, side = await loop.connect_write_pipe(_WriteSide, write_end)

    def read_side() -> _ReadSide:
        return _ReadSide(connection, writer, side)

    await loop.connect_read_pipe(read_side, os.fdopen(os.dup(stdin), "rb", 0))


class _Pipes(asyncio.Transport):
    """Two transports of one direction as one of both."""

    def __init__(
        self, reader: asyncio.ReadTransport, writer: asyncio.WriteTransport
    ) -> None:
        super().__init__()
        self._reader = reader
        self._writer = writer

    def write(self, data: "bytes | bytearray | memoryview") -> None:
        self._writer.write(data)

    def writelines(self, parts: "Iterable[bytes | bytearray | memoryview]") -> None:
        self._writer.writelines(parts)

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None:
        self._writer.set_write_buffer_limits(high, low)

    def pause_reading(self) -> None:
        self._reader.pause_reading()

    def resume_reading(self) -> None:
        self._reader.resume_reading()

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    def abort(self) -> None:
        self._reader.close()
        self._writer.abort()


class _WriteSide(asyncio.BaseProtocol):
    """Tells the connection when its pipe is full, empty again, or gone."""

    def __init__(self) -> None:
        self.connection: asyncio.Protocol | None = None
        self.reader: asyncio.ReadTransport | None = None
        self.half = False  # the other pipe has ended, and this one goes on

    def pause_writing(self) -> None:
        if self.connection is not None:
            self.connection.pause_writing()

    def resume_writing(self) -> None:
        if self.connection is not None:
            self.connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.half and self.connection is not None:
            self.half = False
            self.connection.connection_lost(exc)
        elif self.reader is not None:
            self.reader.close()


class _ReadSide(asyncio.Protocol):
    """Hands the connection what comes in, and the end."""

    def __init__(
        self,
        connection: asyncio.Protocol,
        writer: asyncio.WriteTransport,
        side: _WriteSide,
    ) -> None:
        self._connection = connection
        self._writer = writer
        self._side = side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        reader = cast(asyncio.ReadTransport, transport)
        self._side.connection = self._connection
        self._side.reader = reader
        self._connection.connection_made(_Pipes(reader, self._writer))

    def data_received(self, data: bytes) -> None:
        self._connection.data_received(data)

    def eof_received(self) -> None:
        self._side.half = bool(self._connection.eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._side.half and exc is None:
            return
        self._side.half = False
        self._writer.close()
        self._connection.connection_lost(exc)
