"""The thread that does a mailbox's jobs, and waits for news between them."""

import os
import select
import threading
import time
from concurrent.futures import CancelledError
from functools import partial

import pytest

from mailfs.mailbox.pool import Pool
from mailfs.mailbox.worker import Strand, Worker
from tests.wait import until

SECONDS = 20.0


def test_jobs_are_done_in_order() -> None:
    worker = Strand()
    did: list[int] = []
    jobs = [worker.submit(lambda n=n: did.append(n)) for n in range(50)]  # type: ignore[misc]
    threads = [worker.submit(threading.get_ident).result(SECONDS) for _ in range(3)]
    worker.end()
    worker.join()
    assert all(job.done() for job in jobs)
    assert did == list(range(50))
    assert threading.get_ident() not in threads


def test_what_a_job_raises_is_its_waiters() -> None:
    worker = Strand()

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        worker.submit(fail).result(SECONDS)
    assert worker.submit(lambda: 1).result(SECONDS) == 1
    worker.end()
    worker.join()


def test_a_job_nobody_wants_any_more_is_not_done() -> None:
    worker = Strand()
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


def test_many_strands_share_few_threads() -> None:
    pool = Pool(4, idle=0.05)
    strands = [Strand(pool) for _ in range(500)]
    busy: set[int] = set()
    wrong: list[int] = []

    def job(n: int) -> int:
        if n in busy:
            wrong.append(n)
        busy.add(n)
        time.sleep(0.0005)
        busy.discard(n)
        return threading.get_ident()

    futures = [
        strand.submit(partial(job, n))
        for _ in range(3)
        for n, strand in enumerate(strands)
    ]
    threads = {future.result(SECONDS) for future in futures}
    assert len(threads) <= 8
    assert wrong == []
    until(lambda: pool.threads == 0)


def test_jobs_that_hang_hold_up_no_others() -> None:
    pool = Pool(4, stuck=0.02)
    end = threading.Event()
    hung = [Strand(pool).submit(lambda: end.wait(SECONDS)) for _ in range(50)]
    assert [Strand(pool).submit(lambda n=n: n).result(SECONDS) for n in range(20)] == [  # type: ignore[misc]
        *range(20)
    ]
    end.set()
    assert all(one.result(SECONDS) for one in hung)


def test_a_job_behind_one_that_hangs_has_its_turn() -> None:
    pool = Pool(4, stuck=0.02)
    for _ in range(30):
        idle, end, done = threading.Event(), threading.Event(), threading.Event()
        pool.submit(idle.set)
        assert idle.wait(SECONDS)
        pool.submit(partial(hang, end))  # one idle thread is there for both
        pool.submit(done.set)
        assert done.wait(SECONDS / 4)
        end.set()


def hang(end: threading.Event) -> None:
    end.wait(SECONDS)
