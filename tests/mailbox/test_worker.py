"""The thread that does a mailbox's jobs, and waits for news between them."""

import os
import select
import threading
from concurrent.futures import CancelledError

import pytest

from mailfs.mailbox.worker import Worker

SECONDS = 20.0


def test_jobs_are_done_in_order_by_one_thread() -> None:
    worker = Worker("w")
    did: list[int] = []
    jobs = [worker.submit(lambda n=n: did.append(n)) for n in range(50)]  # type: ignore[misc]
    threads = [worker.submit(threading.get_ident).result(SECONDS) for _ in range(3)]
    worker.end()
    worker.join()
    assert all(job.done() for job in jobs)
    assert did == list(range(50))
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


def test_what_a_job_raises_is_its_waiters() -> None:
    worker = Worker("w")

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        worker.submit(fail).result(SECONDS)
    assert worker.submit(lambda: 1).result(SECONDS) == 1
    worker.end()
    worker.join()


def test_a_job_nobody_wants_any_more_is_not_done() -> None:
    worker = Worker("w")
    go, did = threading.Event(), []
    first = worker.submit(lambda: go.wait(SECONDS))
    second = worker.submit(lambda: did.append(2))
    assert second.cancel()
    go.set()
    assert first.result(SECONDS)
    worker.end()
    worker.join()
    assert did == []
    with pytest.raises(CancelledError):
        second.result(0)


def test_leisure_ends_when_a_job_comes() -> None:
    waiting, waits = threading.Event(), []

    def leisure(wake: int) -> None:
        waiting.set()
        waits.append(bool(select.select([wake], [], [], SECONDS)[0]))

    worker = Worker("w", leisure)
    for n in range(20):
        assert waiting.wait(SECONDS)
        waiting.clear()
        assert worker.submit(lambda n=n: n).result(SECONDS) == n  # type: ignore[misc]
    worker.end()
    worker.join()
    assert all(waits)


def test_leisure_that_fails_does_not_end_the_thread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed = threading.Event()

    def leisure(wake: int) -> None:
        if failed.is_set():
            select.select([wake], [], [], SECONDS)
            return
        failed.set()
        raise RuntimeError("ours")

    worker = Worker("w", leisure)
    assert failed.wait(SECONDS)
    assert worker.submit(lambda: 3).result(SECONDS) == 3
    worker.end()
    worker.join()
    assert "ours" in caplog.text


def test_it_leaves_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        worker = Worker("w", lambda wake: None)
        worker.end()
        worker.join()
    assert len(os.listdir("/proc/self/fd")) == before
