"""Threads for what may block: few while all goes well, more while some of them hang.

The mailboxes on disk share them.  A job that waits for a dead file server holds its
thread for as long as that lasts, so it is no longer counted after a while and others
get their turn on a new one.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

log = logging.getLogger(__name__)

MOST = 16  # threads that work at a time; the GIL lets one of them compute
STUCK = 0.5  # seconds after which a job is not counted among those at work
IDLE = 10.0  # seconds that a thread waits for a job before it ends

Job = Callable[[], None]
P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """Threads that do jobs, started as they are needed; any thread may submit."""

    def __init__(
        self, most: int = MOST, *, stuck: float = STUCK, idle: float = IDLE
    ) -> None:
        self._most = most
        self._stuck = stuck
        self._idle = idle
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._waiting = 0  # threads without a job
        self._began: dict[int, float] = {}  # by thread: when its job began
        self._watched = False

    @property
    def threads(self) -> int:
        """How many threads there are."""
        with self._changed:
            return self._waiting + len(self._began)

    def submit(self, job: Job) -> None:
        """Have a job done, which must not raise."""
        with self._changed:
            self._jobs.append(job)
            self._serve()

    def _serve(self) -> None:
        """Have enough threads for the jobs there are; within the lock."""
        if self._waiting >= len(self._jobs):  # those woken are counted until they run
            self._changed.notify()
        elif self._counted() < self._most:
            self._start()
        elif not self._watched:
            self._watched = True
            self._thread(self._watch)

    def _counted(self) -> int:
        late = time.monotonic() - self._stuck
        return sum(began > late for began in self._began.values())

    def _start(self) -> None:
        thread = self._thread(self._run)
        self._began[thread] = time.monotonic()

    @staticmethod
    def _thread(target: Callable[[], None]) -> int:
        thread = threading.Thread(target=target, name="mailbox", daemon=True)
        thread.start()
        assert thread.ident is not None
        return thread.ident

    def _watch(self) -> None:
        """Start threads in the place of those that hang, while jobs wait."""
        while True:
            time.sleep(self._stuck)
            with self._changed:
                if not self._jobs:
                    self._watched = False
                    return
                for _ in range(min(len(self._jobs), self._most - self._counted())):
                    self._start()

    def _run(self) -> None:
        me = threading.get_ident()
        while True:
            with self._changed:
                self._began.pop(me, None)
                if not self._jobs:
                    self._waiting += 1
                    self._changed.wait(self._idle)
                    self._waiting -= 1
                if not self._jobs:
                    return
                job = self._jobs.popleft()
                self._began[me] = time.monotonic()
            try:
                job()
            except Exception:
                log.exception("a job of the pool")  # a mistake of ours
            del job


POOL = Pool()  # of this process


async def away(job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do what may block on a thread of the pool; cancelling stops the wait only."""
    future: Future[T] = Future()

    def work() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(job(*args, **kwargs))
            except BaseException as e:  # noqa: BLE001  # whoever waits gets it
                future.set_exception(e)

    POOL.submit(work)
    return await asyncio.shield(asyncio.wrap_future(future))
