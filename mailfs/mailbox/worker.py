"""A mailbox's own thread: it does one job after another, and waits in between.

A mailbox on a server has something to wait for when there is no job: news.  So the
thread spends its leisure in a function that ends when a descriptor can be read, which
happens as soon as a job comes.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")
Leisure = Callable[[int], None]
"""Do something useful until the descriptor can be read, or for a short while."""


class Worker:
    """One thread and its jobs, done in the order they came."""

    def __init__(self, name: str, leisure: Leisure | None = None) -> None:
        self._jobs: deque[Callable[[], None]] = deque()
        self._leisure = leisure
        self._ending = False
        self._count = threading.Semaphore(0)  # jobs, where there is no leisure
        self._wake, self._waker = os.pipe() if leisure is not None else (-1, -1)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a job is waiting its turn."""
        return bool(self._jobs)

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

    def poke(self) -> None:
        """End the leisure that is under way; any thread."""
        self._put(_nothing)

    def _put(self, work: Callable[[], None]) -> None:
        self._jobs.append(work)
        if self._leisure is None:
            self._count.release()
        else:
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
            if self._leisure is None:
                self._count.acquire()
                self._jobs.popleft()()
            elif self._jobs:
                os.read(self._wake, 1)
                self._jobs.popleft()()
            else:
                try:
                    self._leisure(self._wake)
                except Exception:
                    # A mistake of ours must not end the mailbox's thread.
                    log.exception("%s", self._thread.name)
        if self._leisure is not None:
            os.close(self._wake)
            os.close(self._waker)


def _nothing() -> None:
    """Do nothing: a job that only ends a wait."""
