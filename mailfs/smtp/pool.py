"""Connections kept for the next message to the same server."""

import threading
import time
from collections.abc import Callable, Hashable

from mailfs.smtp.limit import DeliveryLimit
from mailfs.smtp.session import SmtpSession

IDLE = 20.0  # seconds after which a server may have hung up on us
MOST = 100  # transactions of one connection; some servers refuse more


class Pool:
    """Idle sessions by destination; safe in any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: dict[Hashable, list[tuple[float, SmtpSession]]] = {}

    def take(self, key: Hashable) -> SmtpSession | None:
        """Take a session for a destination, the one used last; None if none is kept."""
        while True:
            with self._lock:
                kept = self._idle.get(key, [])
                found = kept.pop() if kept else None
            if found is None:
                return None
            since, session = found
            if not session.quiet:
                # A waiting 421, or a stray reply, would be taken for the next answer.
                session.close()
            elif self._clock() - since > IDLE:
                session.finish()
            else:
                return session

    def give(self, key: Hashable, session: SmtpSession) -> None:
        """Keep a session, or end it if it is not fit for another message."""
        session.limit = DeliveryLimit()
        if not session.alive or session.sent >= MOST:
            session.finish()
            return
        with self._lock:
            self._idle.setdefault(key, []).append((self._clock(), session))

    def prune(self) -> None:
        """End sessions that have been idle for too long."""
        now, old = self._clock(), []
        with self._lock:
            for key, kept in list(self._idle.items()):
                fresh = [pair for pair in kept if now - pair[0] <= IDLE]
                old += [session for since, session in kept if now - since > IDLE]
                if fresh:
                    self._idle[key] = fresh
                else:
                    del self._idle[key]
        for session in old:
            session.finish()

    def close(self) -> None:
        """End all sessions."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for kept in idle.values():
            for _, session in kept:
                session.finish()
