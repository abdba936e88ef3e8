"""Scheduling: turns, limits, hosts that are down, waking, stopping."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from mailfs.errors import MailfsError
from mailfs.queue import spool
from mailfs.queue.spool import Job, enqueue
from mailfs.runq import runq
from mailfs.runq.attempt import RULES, RetryRules
from mailfs.runq.drain import Drain, DrainLimits
from mailfs.runq.hosts import HostRecord, Hosts
from mailfs.runq.runq import WatchedQueue
from mailfs.runq.watch import QueueWatch
from mailfs.smtp.fate import Fate
from tests.queue.world import World, later
from tests.wait import until

PATIENCE = 20.0  # seconds


def drain(
    world: World, rules: RetryRules = RULES, limits: DrainLimits | None = None
) -> Drain:
    return Drain(
        lambda: spool.folders(world.queue),
        world.worker(rules),
        limits or DrainLimits(8, 3),
        lambda: world.now,
    )


def test_once(world: World) -> None:
    for i in range(30):
        world.put(host=f"net!h{i % 4}")
    summary = drain(world).once()
    assert (summary.gone, summary.later) == (30, 0)
    assert spool.jobs(world.queue / "glenda") == []
    assert max(world.fake.most.values()) <= 3


def test_nothing(world: World) -> None:
    assert drain(world).once().gone == 0


def test_only_what_is_due(world: World) -> None:
    world.fake.answers["net!b.com"] = later
    world.put()
    assert drain(world).once().later == 1
    assert drain(world).once().later == 0
    assert len(world.fake.given) == 1
    assert drain(world, RetryRules(at_once=True)).once().later == 1


def test_one_slow_host_does_not_hold_the_others(world: World) -> None:
    """Eight workers, three for a host: with three stuck at each of two, two go on."""
    world.fake.gate = threading.Barrier(6)
    for _ in range(3):
        world.put(host="net!slow1")
        world.put(host="net!slow2")
    assert (
        drain(world, limits=DrainLimits(6, 3)).once().gone == 6
    )  # or the barrier breaks


def test_a_host_that_is_down_is_asked_once(world: World) -> None:
    world.fake.down.add("net!dead")
    for _ in range(20):
        world.put(host="net!dead")
        world.put(host="net!live")
    summary = drain(world, limits=DrainLimits(8, 1)).once()
    assert summary.gone == 20
    assert len([w for w in world.fake.given if w[2] == "net!dead"]) == 1


def test_what_waited_too_long_for_it_is_returned(world: World) -> None:
    world.fake.down.add("net!dead")
    for _ in range(5):
        world.put(host="net!dead")
    world.now += 121 * 3600
    world.put(host="net!dead")
    summary = drain(world, limits=DrainLimits(8, 1)).once()
    assert len(world.told) == summary.gone >= 5
    assert len([w for w in world.fake.given if w[2] == "net!dead"]) == 1


def test_errors_of_one_do_not_end_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = world.put()
    for _ in range(5):
        world.put()
    bad.path("D").chmod(0)
    real = os.lstat

    def stat(path: Any, **more: Any) -> os.stat_result:
        if path == bad.file("D"):
            raise PermissionError(13, "Permission denied")
        return real(path, **more)

    started = drain(world)
    started._scan()
    monkeypatch.setattr(os, "lstat", stat)
    monkeypatch.setattr(started, "_scan", lambda: None)
    assert started.once().gone == 5


def test_our_own_mistakes_are_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def mistake(words: tuple[str, ...]) -> list[Fate]:
        raise AssertionError("never")

    world.fake.answers["net!b.com"] = mistake
    job = world.put()
    assert drain(world).once().later == 1
    assert "AssertionError: never" in caplog.text
    assert spool.jobs(job.folder) == [job]


def watching(world: World) -> tuple[Drain, threading.Thread]:
    started = drain(world)
    thread = threading.Thread(target=started.watch)
    thread.start()
    return started, thread


def test_watch(world: World) -> None:
    started, thread = watching(world)
    try:
        world.put()
        started.wake()
        until(lambda: not spool.jobs(world.queue / "glenda"))
        world.fake.down.add("net!b.com")
        job = world.put()
        started.wake()
        until(lambda: started.summary.later == 1)
        assert job.path("E").exists()
        world.fake.down.clear()
        world.now += 3600
        started.wake()
        until(lambda: not spool.jobs(world.queue / "glenda"))
    finally:
        started.stop()
        thread.join()


def test_watch_by_files(world: World) -> None:
    """New control files wake it, in directories that were not there before too."""
    world.queue.mkdir(parents=True)
    woken = threading.Event()
    watch = QueueWatch(world.queue, woken.set)
    watch.start()
    try:
        assert woken.wait(PATIENCE)  # whatever came before
        for user in ("glenda", "bob"):
            for _ in range(2):
                woken.clear()
                enqueue(world.queue, user, b"x", ("mail", "a", "net!b", "c"))
                assert woken.wait(PATIENCE)
        woken.clear()
        (world.queue / "glenda" / "E.notes").write_text("nothing new")
        assert not woken.wait(0.2)
    finally:
        watch.close()


def test_watch_by_looking(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no inotify."""
    monkeypatch.setattr("sys.platform", "other")
    times = threading.Semaphore(0)
    watch = QueueWatch(world.queue, times.release, look=0.01)
    watch.start()
    try:
        assert all(times.acquire(timeout=PATIENCE) for _ in range(3))
    finally:
        watch.close()


def test_lock(tmp_path: Path) -> None:
    queue = tmp_path / "q"
    assert not runq.watched(queue)
    fd = runq.lock(queue)
    assert runq.watched(queue)
    with pytest.raises(WatchedQueue):
        runq.lock(queue)
    os.close(fd)
    assert not runq.watched(queue)
    assert issubclass(WatchedQueue, MailfsError)


def entry(host: str, n: int = 0) -> HostRecord:
    return HostRecord(Job(Path("q"), f"{host}{n}"), host, 0.0, float(n))


def test_hosts_take_turns() -> None:
    hosts = Hosts(2)
    for host in "aaab":
        hosts.put(entry(host))
    taken = [e.host for e in iter(lambda: hosts.take(0.0), None)]
    assert taken == ["a", "b", "a"]  # two at once of a
    hosts.ended(entry("a"), 0.0, up=True, why="")
    again = hosts.take(0.0)
    assert again is not None
    assert again.host == "a"
    assert hosts.wakes is None


def test_a_failed_host_rests_and_is_probed_alone() -> None:
    hosts = Hosts(5)
    for n in range(4):
        hosts.put(entry("a", n))
    first = hosts.take(0.0)
    assert first is not None
    hosts.ended(first, 0.0, up=False, why="refused")
    assert hosts.take(1.0) is None
    assert hosts.wakes == pytest.approx(30, rel=0.11)
    (lost,) = hosts.forlorn(lambda e: e.queued == 3)
    assert (lost[0].queued, lost[1]) == (3.0, "refused")
    hosts.ended(lost[0], 2.0, up=None, why="")
    probe = hosts.take(40.0)
    assert probe is not None
    assert hosts.take(40.0) is None  # one alone
    hosts.ended(probe, 40.0, up=True, why="")
    assert hosts.take(40.0) is not None
    assert hosts.take(40.0) is None  # no more are waiting


def test_silent_hosts_take_no_workers(world: World) -> None:
    """Four workers, thirty hosts that never answer: the others are served."""
    for i in range(30):
        world.fake.silent.add(f"net!silent{i}")
        world.put(host=f"net!silent{i}")
    for i in range(5):
        world.put(host=f"net!live{i}")
    started = drain(world, limits=DrainLimits(4, 1, slow=8, turn=0.2))
    assert started.once().gone == 5
    assert len(world.fake.given) == 35
    kept = spool.jobs(world.queue / "glenda")
    assert len(kept) == 30
    assert "too slow while others wait" in kept[0].path("E").read_text()


def test_silent_hosts_have_their_time_if_nobody_waits(world: World) -> None:
    world.fake.patience = 60.0
    world.fake.silent |= {"net!a", "net!b"}
    world.put(host="net!a")
    world.put(host="net!b")
    started = drain(world, limits=DrainLimits(1, 1, slow=2, turn=0.0))
    thread = threading.Thread(target=started.watch)
    thread.start()
    try:
        until(lambda: len(world.fake.given) == 2)
        started.wake()
        until(lambda: len(started._active) == 2)
    finally:
        started.stop()
        thread.join()
    assert [job.path("E").exists() for job in spool.jobs(world.queue / "glenda")] == [
        False,
        False,
    ]


def test_the_end_cuts_what_can_be_cut(world: World) -> None:
    """It is no attempt that anybody has to wait after."""
    world.fake.patience = 60.0
    world.fake.silent.add("net!silent")
    job = world.put(host="net!silent")
    started, thread = watching(world)
    until(lambda: world.fake.given)
    started.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert spool.jobs(job.folder) == [job]
    assert not job.path("E").exists()


def test_the_end_leaves_what_hangs(world: World) -> None:
    """An attempt that nothing can cut does not keep the process from ending."""
    hung = threading.Event()

    def hang(words: tuple[str, ...]) -> list[Fate]:
        hung.wait(60)
        return later(words)

    world.fake.answers["net!hung"] = hang
    world.put(host="net!hung")
    started = drain(world, limits=DrainLimits(4, 1, grace=0.1))
    thread = threading.Thread(target=started.once)
    thread.start()
    until(lambda: world.fake.given)
    started.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    hung.set()
    until(lambda: not started._done.empty())
