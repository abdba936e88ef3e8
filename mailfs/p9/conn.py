"""One client's line: octets in, whole messages to its session, replies out.

All whole messages of a batch are taken in one pass, and their replies leave in one
write.  A peer that does not read is not read from; one that breaks the framing, never
begins a session, or stops in the middle of a message is hung up on, and no other
connection notices.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

from mailfs.p9.auth import Auth
from mailfs.p9.budget import MOST, Budget
from mailfs.p9.dial import keep_alive
from mailfs.p9.errstr import EPROTO
from mailfs.p9.fcall import HEADER, FormatError, show, unpack
from mailfs.p9.openfd import AGAIN, Passing, passed
from mailfs.p9.session import Attach, Hangup, Limits, Session
from mailfs.p9.strangers import Strangers, peer_of

log = logging.getLogger(__name__)

UNSENT = 2 * MOST  # octets of replies we hold at most for a peer that does not read
BATCH = 256  # replies written together at most
FEW = 2  # the same where memory is short
CONNECTIONS = 1000  # below the usual limits on open files

_HEADER_SIZE = HEADER.size


Admit = Callable[[socket.socket], bool]
"""Whether whoever is at the other end of a socket may speak to us at all."""


def anyone(sock: socket.socket) -> bool:
    """Admit everybody: who can reach the address may use it."""
    return True


Identify = Callable[[asyncio.BaseTransport], str]
"""Return the user whom a line itself proves, as by a certificate; empty for nobody."""


@dataclass(frozen=True, slots=True)
class Service:
    """What all connections of a server have in common."""

    attach: Attach
    limits: Limits
    trace: bool
    patience: float  # seconds
    connections: "set[Connection]"
    forget: "Callable[[Connection], None]"  # called when one is lost
    admit: Admit = anyone
    identify: Identify | None = None
    budget: Budget = field(default_factory=Budget)
    strangers: Strangers = field(default_factory=Strangers)
    most: int = 0  # connections; CONNECTIONS where it is 0


class Connection(asyncio.Protocol):
    """One client, from connection_made to connection_lost."""

    def __init__(self, service: Service, auth: Auth | None) -> None:
        self._service = service
        self.session = Session(
            service.attach,
            auth=auth,
            limits=service.limits,
            ready=self._ready,
            budget=service.budget,
        )
        self._guarded = auth is not None or service.identify is not None
        self.session.guarded = self._guarded
        self._room = MOST
        self._batch = BATCH
        self._request = self._traced if service.trace else self.session.request
        self.transport = cast(asyncio.Transport, None)  # until connection_made
        self._loop = asyncio.get_running_loop()
        self._rest = bytearray()  # the beginning of a message, or what waits its turn
        self._need = _HEADER_SIZE  # octets of rest before it is worth another look
        self._parsing = False
        self._scheduled = False  # a write of replies is due
        self._stuffed = False  # the peer does not read
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None
        self._seen = 0  # octets of rest when the timer was set
        self.lost = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; asyncio.Protocol."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=MOST)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            keep_alive(sock)
        if sock is not None and sock.family == socket.AF_UNIX:
            self.session.passes = True
        self._service.connections.add(self)
        self._service.budget.connections += 1
        if self._service.identify is not None:
            self.session.known = self._service.identify(transport)
        if sock is not None and not self._service.admit(sock):
            log.warning("connection refused: it is another user's")
            self.hang_up()
            return
        most = self._service.most or CONNECTIONS
        if len(self._service.connections) > most:
            log.warning("connection refused: there are %d", most)
            self.hang_up()
            return
        if self._guarded and not self._service.strangers.add(self, peer_of(transport)):
            log.warning("connection refused: its peer has too many")
            self.hang_up()
            return
        self._timer = self._loop.call_later(self._service.patience, self._watch)

    @property
    def attached(self) -> bool:
        """Whether the peer has attached."""
        return self.session.attached

    def data_received(self, data: bytes) -> None:
        """Take what the peer sent; asyncio.Protocol."""
        if self._ended:
            return
        if self._rest or self._stuffed:
            self._rest += data
            if self._stuffed or len(self._rest) < self._need:
                return
            data = bytes(self._rest)
            self._rest.clear()
        self._parse(data)

    def eof_received(self) -> None:
        """End: the peer asks nothing more; asyncio.Protocol."""
        self.hang_up()

    def _parse(self, data: bytes) -> None:
        """Answer the whole messages in data and keep the rest."""
        session, replies, request = self.session, self.session.replies, self._request
        pos, have = 0, len(data)
        self._need = _HEADER_SIZE
        if self._room != self._service.budget.room:
            self._fit()
        batch, bulk = self._batch, self._room
        self._parsing = True
        try:
            while have - pos >= _HEADER_SIZE:
                size, number, tag = HEADER.unpack_from(data, pos)
                if size > session.most or size < _HEADER_SIZE:
                    self._malformed(tag, size)
                    return
                end = pos + size
                if end > have:
                    self._need = size
                    break
                request(number, tag, data, pos + _HEADER_SIZE, end)
                pos = end
                if len(replies) >= batch or session.bulk >= bulk:
                    self._write()
                    if self._stuffed:
                        break
        except Hangup as e:
            log.warning("hanging up: %s", e)
            self.hang_up()
            return
        finally:
            self._parsing = False
        if replies:
            self._write()
        if pos < have:
            self._rest += data[pos:]
            if self._timer is None and not self._stuffed:
                self._seen = len(self._rest)
                self._timer = self._loop.call_later(self._service.patience, self._watch)

    def _fit(self) -> None:
        """Leave no more unsent than there is room for now."""
        budget = self._service.budget
        self._room = budget.room
        self._batch = FEW if budget.tight else BATCH
        self.transport.set_write_buffer_limits(high=self._room)

    def _malformed(self, tag: int, size: int) -> None:
        log.warning("hanging up: message of %d octets", size)
        self.session.refuse(tag, EPROTO)
        self.hang_up()

    def _traced(self, number: int, tag: int, data: bytes, pos: int, end: int) -> None:
        log.info("<- %s", _shown(data[pos - _HEADER_SIZE : end]))
        self.session.request(number, tag, data, pos, end)

    def _ready(self) -> None:
        """Note that a reply was added: it is written with others of this moment."""
        if not self._parsing and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._write_soon)

    def _write_soon(self) -> None:
        self._scheduled = False
        if self.session.replies and not self._ended:
            self._write()

    def _pass(self) -> bool:
        """Send the replies up to the last that passes a descriptor.

        Return False if that has to wait: nothing may come between such a reply and
        its descriptor, and nothing overtake them.
        """
        replies = self.session.replies
        while self.session.passing:
            at = next(i for i, r in enumerate(replies) if isinstance(r, Passing))
            if at:
                self.transport.write(b"".join(replies[:at]))
                del replies[:at]
            first = replies[0]
            assert isinstance(first, Passing)
            if self.transport.get_write_buffer_size() or not self._passed(first):
                self._loop.call_later(AGAIN, self._write_soon)
                return False
            del replies[0]
            self.session.passing -= 1
        return True

    def _passed(self, reply: Passing) -> bool:
        number = self.transport.get_extra_info("socket").fileno()
        with socket.socket(fileno=os.dup(number)) as sock:
            try:
                return passed(sock, reply)
            except OSError as e:
                log.info("openfd: %s", e)
                return False

    def _write(self) -> None:
        if self.session.passing and not self._pass():
            return
        replies = self.session.replies
        if not replies:
            return
        if self._service.trace:
            for frame in _frames(b"".join(replies)):
                log.info("-> %s", _shown(frame))
        if len(replies) == 1:
            self.transport.write(replies[0])
        elif self.session.bulk:
            self.transport.writelines(replies)
        else:
            self.transport.write(b"".join(replies))
        replies.clear()
        self.session.bulk = 0
        if self._stuffed:
            self._count()

    def hang_up(self) -> None:
        """Send what there is to send, and end."""
        if self._ended:
            return
        if self.session.replies:
            self._write()
        self._ended = True
        for reply in self.session.replies:
            if isinstance(reply, Passing):
                os.close(reply.fd)
        self.session.replies.clear()
        self._rest.clear()
        self.session.close()
        self.transport.close()
        if self._timer is not None:
            self._timer.cancel()
        # A peer that does not read would keep the line open for ever.
        patience = self._service.patience
        self._timer = self._loop.call_later(patience, self.transport.abort)

    def pause_writing(self) -> None:
        """Stop reading: the peer does not; asyncio.Protocol."""
        self._stuffed = True
        self._count()
        if not self._ended:
            self.transport.pause_reading()

    def _count(self) -> None:
        octets = self.transport.get_write_buffer_size()
        self._service.budget.stuffed(self, octets)

    def resume_writing(self) -> None:
        """Go on where pause_writing stopped; asyncio.Protocol."""
        self._stuffed = False
        self._service.budget.drained(self)
        if self._ended:
            return
        data = bytes(self._rest)
        self._rest.clear()
        self._parse(data)
        if not self._stuffed and not self._ended:
            self.transport.resume_reading()

    def _watch(self) -> None:
        """Hang up if the peer has not begun a session, or stopped in a message."""
        self._timer = None
        if self._ended:
            return
        if not self.session.versioned:
            log.warning("hanging up: no version in time")
            self.drop()
        elif self._guarded and not self.session.attached:
            log.warning("hanging up: not attached in time")
            self.drop()
        elif self._rest and not self._stuffed:
            if len(self._rest) == self._seen:
                log.warning("hanging up: a message stopped in the middle")
                self.drop()
                return
            self._seen = len(self._rest)
            self._timer = self._loop.call_later(self._service.patience, self._watch)

    def drop(self) -> None:
        """Hang up without sending what is left."""
        self.hang_up()
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clunk everything; asyncio.Protocol."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        self.session.close()
        self._service.budget.drained(self)
        self._service.budget.connections -= 1
        self._service.strangers.discard(self)
        self.lost.set_result(None)
        self._service.forget(self)


def _frames(octets: bytes) -> Iterator[bytes]:
    pos = 0
    while pos < len(octets):
        size = int.from_bytes(octets[pos : pos + 4], "little")
        yield octets[pos : pos + size]
        pos += size


def _shown(frame: bytes) -> str:
    try:
        return show(*unpack(frame))
    except FormatError as e:
        return f"{len(frame)} octets: {e}"
