"""What does a mailbox's jobs, one after another.

Mailboxes on disk share a pool of threads.  A mailbox on a server has something to wait
for when there is no job: news.  So it has a thread of its own, which spends its
leisure in a function that ends when a descriptor can be read, which happens as soon as
a job comes.
"""

import logging
import os
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from mailfs.mailbox.pool import POOL, Pool

log = logging.getLogger(__name__)

T = TypeVar("T")
Leisure = Callable[[int], None]
"""Do something useful until the descriptor can be read, or for a short while."""


class Jobs(ABC):
    """Jobs done in the order they came, never two at a time."""

    def submit(self, job: Callable[[], T]) -> "Future[T]":
        """Have job done; the future tells what became of it."""
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = job()
            except BaseException as e:  # noqa: BLE001  # whoever waits gets it
                future.set_exception(e)
            else:
                future.set_result(result)

        self._put(work)
        return future

    @abstractmethod
    def _put(self, work: Callable[[], None]) -> None: ...

    @abstractmethod
    def poke(self) -> None:
        """End the leisure that is under way; any thread."""

    @abstractmethod
    def end(self) -> None:
        """Let the thread end after the jobs it has; does not wait for that."""

    @abstractmethod
    def join(self) -> None:
        """Wait until the thread has ended."""


class _Here(threading.local):
    """Whether this thread does a job of a Strand."""

    strand = False


_here = _Here()


def on_strand() -> bool:
    """Whether the calling thread does a job of a Strand: no other job of it runs."""
    return _here.strand


class Strand(Jobs):
    """Jobs done by the threads of a pool."""

    def __init__(self, pool: Pool = POOL) -> None:
        self._pool = pool
        self._jobs: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()  # of the two
        self._scheduled = False

    def _put(self, work: Callable[[], None]) -> None:
        with self._lock:
            self._jobs.append(work)
            if self._scheduled:
                return
            self._scheduled = True
        self._pool.submit(self._next)

    def poke(self) -> None:
        """Do nothing: there is no leisure."""

    def end(self) -> None:
        """Do nothing: the threads are the pool's."""

    def join(self) -> None:
        """Do nothing likewise."""

    def _next(self) -> None:
        """Do one job; the others of the pool get their turn before the next."""
        work = self._jobs.popleft()
        _here.strand = True
        try:
            work()
        finally:
            _here.strand = False
            with self._lock:
                more = self._scheduled = bool(self._jobs)
            if more:
                self._pool.submit(self._next)


class Worker(Jobs):
    """One thread, which spends its leisure in a function of the mailbox's."""

    def __init__(self, name: str, leisure: Leisure) -> None:
        self._jobs: deque[Callable[[], None]] = deque()
        self._leisure = leisure
        self._ending = False
        self._ended = False
        self._lock = threading.Lock()  # of the descriptors
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def poke(self) -> None:
        """End the leisure that is under way; any thread."""
        self._put(_nothing)

    def _put(self, work: Callable[[], None]) -> None:
        with self._lock:
            if not self._ended:
                self._jobs.append(work)
                os.write(self._waker, b"\0")

    def end(self) -> None:
        """Let the thread end after the jobs it has; does not wait for that."""

        def last() -> None:
            self._ending = True

        self._put(last)

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def _run(self) -> None:
        while not self._ending:
            if self._jobs:
                os.read(self._wake, 1)
                self._jobs.popleft()()
                continue
            try:
                self._leisure(self._wake)
            except Exception:
                # A mistake of ours must not end the mailbox's thread.
                log.exception("%s", self._thread.name)
        with self._lock:
            self._ended = True
            os.close(self._wake)
            os.close(self._waker)


def _nothing() -> None:
    """Do nothing: a job that only ends a wait."""
