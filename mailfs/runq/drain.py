"""Draining a queue: which message when, in how many threads; runq(8).

One thread schedules; others deliver, each a message.  What is due waits by host, hosts
take turns, and a host that is down is left alone for a while.  Deliveries that have
become slow do not count among those under way, up to a number of their own: beyond it
the oldest that can be cut are, so silent hosts never keep others waiting for long.
"""

import heapq
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mailfs.disk.replace import sync_dir
from mailfs.errors import MailfsError
from mailfs.queue import retry, spool
from mailfs.queue.control import BadControl
from mailfs.queue.retry import Times
from mailfs.queue.spool import Job
from mailfs.runq.attempt import AttemptState, AttemptVerdict, QueueWorker
from mailfs.runq.hosts import HostRecord, Hosts
from mailfs.runq.transport import host
from mailfs.smtp.limit import DeliveryLimit

log = logging.getLogger(__name__)

WORKERS = 20  # messages under way at once, slow ones not counted
PER_HOST = 5  # of them to one host; its other clients want their turn too
MAX_WORKERS = 500  # what -n may ask for
ORPHANED = 86400.0  # seconds after which files without a control file are nobody's
SYNC = 1.0  # seconds between syncs of the directories while messages leave them
GRACE = 4.0  # seconds at the end for what a server has but has not answered to
TURN = 5.0  # seconds a slow delivery has when others wait and no more may be slow
LOOK = 30.0  # seconds between looks at the queue and at idle connections


@dataclass(frozen=True, slots=True)
class DrainLimits:
    """How much at once."""

    workers: int = WORKERS
    per_host: int = PER_HOST
    slow: int = 0  # 0: as many as the transport allows
    grace: float = GRACE
    turn: float = TURN


LIMITS = DrainLimits()


@dataclass(slots=True)
class Summary:
    """What a drain did, in messages."""

    gone: int = 0
    later: int = 0


class Drain:
    """The scheduler of some directories of a queue.

    Use once() for one sweep, or watch() to go on; not both at once.
    """

    def __init__(
        self,
        folders: Callable[[], Sequence[Path]],
        worker: QueueWorker,
        limits: DrainLimits = LIMITS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take what lists the directories; they may come and go."""
        self._folders = folders
        self._worker = worker
        self._limits = limits
        self._clock = clock
        self._known: dict[Job, HostRecord] = {}
        self._later: list[tuple[float, int, HostRecord]] = []  # a heap
        self._count = 0  # breaks ties in it
        self._hosts = Hosts(limits.per_host)
        self._most_slow = limits.slow or worker.transport.slow
        self._active: dict[Job, DeliveryLimit] = {}
        self._done: queue.SimpleQueue[tuple[HostRecord, AttemptVerdict] | None] = (
            queue.SimpleQueue()
        )
        self._unsynced: set[Path] = set()
        self._synced = 0.0
        self._stop = threading.Event()
        self._watching = False
        self._woken = False  # somebody says that messages have come
        self.summary = Summary()

    def stop(self) -> None:
        """Let once() or watch() return soon; from any thread, and from a signal.

        What can be cut is; what a server may have taken gets GRACE.
        """
        self._stop.set()
        self.wake()

    def wake(self) -> None:
        """Have the directories looked at again; from any thread, and from a signal."""
        self._done.put(None)

    def once(self) -> Summary:
        """Attempt every message that is due, and return when all have been."""
        self._woken = True
        while not self._stop.is_set():
            if self._woken:
                self._woken = False
                self._scan()
            self._dispatch()
            if not self._active and not self._give_up():
                break
            self._collect(self._crowded())
        self._finish()
        return self.summary

    def watch(self) -> Summary:
        """Attempt messages as they come and come due, until stop()."""
        self._watching = True
        while not self._stop.is_set():
            self._scan()
            self._give_up()
            self._dispatch()
            while not self._stop.is_set() and self._collect(self._pause()):
                self._dispatch()
        self._finish()
        return self.summary

    def _finish(self) -> None:
        """Cut what is under way, or wait a little for it; put removals on disk.

        An attempt that is still busy then ends with the process: its message stays.
        """
        self._worker.ending.set()
        end = time.monotonic() + self._limits.grace
        for limit in self._active.values():
            limit.cut("runq ends")
        while self._active and (left := end - time.monotonic()) > 0:
            self._collect(left)
        self._sync(force=True)
        self._worker.transport.close()

    def _scan(self) -> None:
        """Take up messages that have come, forget those that have gone."""
        now, found = self._clock(), set()
        for folder in self._folders():
            self._unsynced.add(folder)
            spool.sweep(folder, now, ORPHANED)
            for job in spool.jobs(folder):
                found.add(job)
                if job not in self._known:
                    entry = self._entry(job, now)
                    if entry is not None:
                        self._known[job] = entry
                        self._put(entry, now)
        for job in [job for job in self._known if job not in found]:
            del self._known[job]

    def _entry(self, job: Job, now: float) -> HostRecord | None:
        try:
            where = host(job.words())
        except (OSError, BadControl):
            where = ""  # the worker will see what it is
        times = spool.times(job, now)
        if times is None:
            return HostRecord(job, where, now, now)
        if self._worker.rules.at_once:
            return HostRecord(job, where, now, times.queued)
        return HostRecord(job, where, retry.due(times, job.name), times.queued)

    def _put(self, entry: HostRecord, now: float) -> None:
        """Let an entry wait for its host, or for its time."""
        if entry.due <= now:
            self._hosts.put(entry)
            return
        self._count += 1
        heapq.heappush(self._later, (entry.due, self._count, entry))

    def _dispatch(self) -> None:
        """Start what may start."""
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            entry = heapq.heappop(self._later)[2]
            if self._known.get(entry.job) is entry:
                self._hosts.put(entry)
        while self._room():
            taken = self._hosts.take(now)
            if taken is None:
                return
            self._start(taken, "")

    def _room(self) -> bool:
        """Whether another delivery may begin.

        If too many are slow and others wait, the older half is cut: then there is room
        when one has ended.
        """
        now = time.monotonic()
        slow = [limit for limit in self._active.values() if limit.slow_at <= now]
        if len(slow) < self._most_slow:
            return len(self._active) - len(slow) < self._limits.workers
        late = [limit for limit in slow if now - limit.began >= self._limits.turn]
        if late and self._hosts.ready(self._clock()):
            late.sort(key=lambda limit: limit.began)
            for limit in late[: len(slow) // 2 + 1]:
                limit.cut("too slow while others wait")
        return False

    def _crowded(self) -> float | None:
        """Return the seconds until there may be room, None if nothing waits for any."""
        if not self._hosts.ready(self._clock()):
            return None
        now = time.monotonic()
        turn = self._limits.turn
        times = [limit.slow_at for limit in self._active.values()]
        times += [limit.began + turn for limit in self._active.values()]
        return min((when - now for when in times if when > now), default=turn)

    def _give_up(self) -> bool:
        """Give up what has waited too long for a host that is down; True if any has."""
        now, rules = self._clock(), self._worker.rules
        forlorn = self._hosts.forlorn(lambda e: rules.over(Times(e.queued), now))
        for entry, why in forlorn:
            self._start(entry, why)
        return bool(forlorn)

    def _start(self, entry: HostRecord, down: str) -> None:
        """Begin the work of one entry, in a thread that dies with the process."""
        limit = DeliveryLimit(quiet=self._worker.transport.quiet)
        self._active[entry.job] = limit
        threading.Thread(
            target=self._attempt, args=(entry, down, limit), daemon=True, name="runq"
        ).start()

    def _attempt(self, entry: HostRecord, down: str, limit: DeliveryLimit) -> None:
        """Do the work of one entry; its verdict always arrives."""
        verdict = AttemptVerdict(AttemptState.BUSY, self._clock() + retry.LONGEST)
        try:
            verdict = self._worker(entry.job, down, limit)
        except (MailfsError, OSError) as e:
            log.warning("%s: %s", entry.job.ident, e)
        except Exception:
            log.exception("%s: unexpected", entry.job.ident)
        finally:
            self._done.put((entry, verdict))

    def _collect(self, pause: float | None) -> bool:
        """Take a verdict in; False if none comes in that time, or on a wake."""
        try:
            item = self._done.get(timeout=pause)
        except queue.Empty:
            self._worker.transport.prune()
            return False
        if item is None:
            self._woken = True
            return False
        entry, verdict = item
        now = self._clock()
        del self._active[entry.job]
        self._hosts.ended(entry, now, up=verdict.host, why=_why(verdict))
        if verdict.state is AttemptState.GONE:
            self.summary.gone += 1
            self._known.pop(entry.job, None)
        else:
            self.summary.later += 1
            if self._watching and entry.job in self._known:
                # Never at once: what went wrong would go wrong again.
                entry.due = max(verdict.due, now + retry.SHORTEST / 2)
                self._put(entry, now)
        self._sync()
        return True

    def _pause(self) -> float:
        """Return the seconds until something may be due without anybody's doing."""
        now = self._clock()
        times = [now + LOOK]
        if self._later:
            times.append(self._later[0][0])
        if self._hosts.wakes is not None:
            times.append(self._hosts.wakes)
        pause = max(0.0, min(times) - now)
        crowded = self._crowded()
        return pause if crowded is None else min(pause, crowded)

    def _sync(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self._synced < SYNC:
            return
        self._synced = now
        for folder in self._unsynced:
            if os.path.isdir(folder):
                sync_dir(str(folder))


def _why(verdict: AttemptVerdict) -> str:
    return verdict.fates[0].line if verdict.fates else "host is down"
