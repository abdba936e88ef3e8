"""Which messages may be tried now: hosts take turns, and rest if they are down."""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from mailfs.queue import retry
from mailfs.queue.spool import Job


@dataclass(slots=True)
class HostRecord:
    """A message the scheduler knows: its host, when it is due, when it was queued."""

    job: Job
    host: str
    due: float
    queued: float


@dataclass(slots=True)
class Host:
    """One destination: the messages that wait for it, and how it fared."""

    name: str
    waiting: deque[HostRecord] = field(default_factory=deque)
    listed: bool = False  # it has a turn, or rests
    active: int = 0
    failures: int = 0  # in a row
    until: float = 0.0  # it rests
    why: str = ""


class Hosts:
    """All destinations; for one thread."""

    def __init__(self, most: int) -> None:
        """Take how many messages may be under way to one host."""
        self._most = most
        self._by: dict[str, Host] = {}
        self._turns: deque[Host] = deque()
        self._resting: list[tuple[float, str]] = []  # a heap

    def put(self, entry: HostRecord) -> None:
        """Let a message wait for its host."""
        host = self._by.setdefault(entry.host, Host(entry.host))
        host.waiting.append(entry)
        if not host.listed:
            host.listed = True
            self._turns.append(host)

    def take(self, now: float) -> HostRecord | None:
        """Return a message that may begin, None if none may; it counts as begun.

        A host that failed gets one at a time, to see whether it is up again.
        """
        while self._resting and self._resting[0][0] <= now:
            self._turns.append(self._by[heapq.heappop(self._resting)[1]])
        for _ in range(len(self._turns)):
            host = self._turns.popleft()
            if not host.waiting:
                host.listed = False
                if not (host.active or host.failures):
                    del self._by[host.name]
                continue
            if now < host.until:
                heapq.heappush(self._resting, (host.until, host.name))
                continue
            self._turns.append(host)
            if host.active < self._share(host):
                host.active += 1
                return host.waiting.popleft()
        return None

    def ready(self, now: float) -> bool:
        """Whether take() would find a message."""
        if self._resting and self._resting[0][0] <= now:
            return True
        return any(
            host.waiting and now >= host.until and host.active < self._share(host)
            for host in self._turns
        )

    def _share(self, host: Host) -> int:
        return 1 if host.failures else self._most

    def ended(
        self, entry: HostRecord, now: float, *, up: bool | None, why: str
    ) -> None:
        """Take note that a message taken has ended, and how its host fared.

        up is None if that is not known.
        """
        host = self._by.setdefault(entry.host, Host(entry.host))
        host.active -= 1
        if up:
            host.failures, host.until, host.why = 0, 0.0, ""
        elif up is not None and now >= host.until:  # else one of several that failed
            host.failures += 1
            host.until = now + retry.backoff(host.failures, host.name)
            host.why = why

    def forlorn(
        self, over: Callable[[HostRecord], bool]
    ) -> list[tuple[HostRecord, str]]:
        """Take the messages that wait for resting hosts and are over, with the reason.

        They count as begun.
        """
        found = []
        for _, name in self._resting:
            host = self._by[name]
            for entry in [e for e in host.waiting if over(e)]:
                host.waiting.remove(entry)
                host.active += 1
                found.append((entry, host.why))
        return found

    @property
    def wakes(self) -> float | None:
        """When the first host has rested, None if none rests."""
        return self._resting[0][0] if self._resting else None
