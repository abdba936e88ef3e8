"""Waiting for news: IDLE, RFC 2177, ended without losing a round trip."""

from collections.abc import Callable

from mailfs.imap.line import Clock
from mailfs.imap.wire import ImapWire
from mailfs.poll import readable

MAX_HEARD = 1000  # responses taken until we look whether there is something to do
RENEW = 9 * 60.0  # seconds of one IDLE; servers end it at 30 min, some routers at 10


class Idle:
    """The IDLE of one connection, if any is under way."""

    def __init__(self, wire: ImapWire) -> None:
        self._wire = wire
        self._clock: Clock = wire.line.clock
        self._tag: bytes | None = None

    def end(self) -> None:
        """End it; the answer is read with that of the next command."""
        tag, self._tag = self._tag, None
        if tag is not None and not self._wire.answered(tag):
            self._wire.write(b"DONE")
            self._wire.forget([tag])

    def run(
        self,
        timeout: float,
        wake: int | None,
        news: Callable[[], bool],
        *,
        idle: bool,
    ) -> None:
        """Wait until there is news, wake can be read, or timeout seconds are over.

        Without idle, listen only.  It stays under way if only the time was over, so
        that a caller who waits in slices says nothing in between.
        """
        clock = self._clock
        end = clock() + timeout
        if idle:
            self._begin()
        while not news():
            now = clock()
            renew = self._began + RENEW if self._tag is not None else end
            if now >= end:
                return
            if now >= renew:
                self.end()
                self._wire.command(b"NOOP")  # a server that is gone is found out here
                self._begin()
                continue
            self._heard(min(end, renew) - now, wake)
            if wake is not None and readable([wake], 0):
                break
        self.end()

    _began = 0.0

    def _begin(self) -> None:
        if self._tag is not None:
            return
        tag = self._wire.send(b"IDLE")
        self._wire.consent(tag)
        self._tag = tag
        self._began = self._clock()

    def _heard(self, seconds: float, wake: int | None) -> bool:
        """Take what has come, waiting at most so long for it; MAX_HEARD at once."""
        wire = self._wire
        wire.line.renew()  # the time of waiting is no part of an answer's
        if not wire.reader.buffered and not wire.line.wait(seconds, wake):
            return False
        for _ in range(MAX_HEARD):
            if not wire.reader.buffered and not wire.line.pending():
                break
            raw = wire.response()
            if not raw.startswith(b"+"):
                wire.take(raw)
        if self._tag is not None and wire.answered(self._tag):
            wire.forget([self._tag])  # the server ended it by itself
            self._tag = None
            self._begin()
        return True
