"""Open files as descriptors: what plan9port added to 9P for its programs on Unix.

    Topenfd tag fid mode          type 98, laid out as Topen
    Ropenfd tag qid iounit fd     type 99: Ropen and four octets for the client's use

Right behind Ropenfd comes one octet that carries a descriptor (SCM_RIGHTS): one end of
a pipe, through which the file is read or written from its beginning.  The fid is the
client's no longer: it is clunked when the pipe ends.  Source: 9pserve(4), and the
fsopenfd of lib9pclient, which nedmail and marshal use.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from mailfs.errors import MailfsError
from mailfs.p9.fcall import HEADER, OWRITE, QID, Qid
from mailfs.p9.fid import Fid

log = logging.getLogger(__name__)

TOPENFD, ROPENFD = 98, 99
AGAIN = 0.005  # seconds until a socket that was full is tried again

T = TypeVar("T")

_SIZE = HEADER.size + QID.size + 8


class Passing(bytes):
    """A Ropenfd, and the descriptor that is sent behind it."""

    fd = -1
    told = False  # the reply has been sent, the descriptor not yet


def ropenfd(tag: int, qid: Qid, iounit: int, fd: int) -> Passing:
    """Return the reply that passes fd."""
    (kind, vers, path) = qid
    fields = QID.pack(kind, vers, path) + iounit.to_bytes(4, "little") + bytes(4)
    reply = Passing(HEADER.pack(_SIZE, ROPENFD, tag) + fields)
    reply.fd = fd
    return reply


def passed(sock: socket.socket, reply: Passing) -> bool:
    """Send a reply and its descriptor, as far as the socket takes them at once.

    Return whether both have gone; the descriptor is closed here then.  Raises OSError.
    """
    try:
        if not reply.told:
            sock.send(reply)  # so few octets go whole or not at all
            reply.told = True
        socket.send_fds(sock, [b"\0"], [reply.fd])
    except BlockingIOError:
        return False
    os.close(reply.fd)
    return True


class Pump:
    """Moves octets between an open file and a pipe until one of them ends."""

    def __init__(self, fid: Fid, mode: int, iounit: int) -> None:
        """Make a pipe to an open fid; ``there`` is the client's end of it."""
        reading, writing = os.pipe()
        self._fid = fid
        self._iounit = iounit
        self._writes = mode & 3 == OWRITE
        self._here, self.there = (
            (reading, writing) if self._writes else (writing, reading)
        )
        os.set_blocking(self._here, False)

    async def run(self) -> None:
        """Pump to the end, and close our end of the pipe."""
        try:
            await (self._in() if self._writes else self._out())
        except (MailfsError, OSError) as e:
            log.info("openfd: %s", e)
        finally:
            os.close(self._here)

    async def _out(self) -> None:
        offset = 0
        while self._fid.reader is not None:
            later = self._fid.reader.read(offset, self._iounit)
            data = await later if isinstance(later, Awaitable) else later
            if not data:
                return
            offset += len(data)
            while data:
                data = data[await self._when(partial(os.write, self._here, data)) :]

    async def _in(self) -> None:
        offset = 0
        while self._fid.writer is not None:
            data = await self._when(partial(os.read, self._here, self._iounit - 1))
            if not data:
                return
            later = self._fid.writer.write(offset, data)
            offset += await later if isinstance(later, Awaitable) else later

    async def _when(self, step: Callable[[], T]) -> T:
        """Do step as soon as the pipe lets it."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return step()
            except BlockingIOError:
                ready: asyncio.Future[None] = loop.create_future()
                watch = loop.add_reader if self._writes else loop.add_writer
                stop = loop.remove_reader if self._writes else loop.remove_writer
                watch(self._here, _done, ready)
                try:
                    await ready
                finally:
                    stop(self._here)


def _done(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
