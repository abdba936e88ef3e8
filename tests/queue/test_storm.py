"""Thousands of messages, a receiver and a runq that are killed and started again."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mailfs.queue.spool import enqueue, jobs
from tests.queue.world import World, remotemail

HERE = Path(__file__).parent
MESSAGES = 10_000
FEWER = 2_000
WORKERS = 16
KILLS = 6
PATIENCE = 120.0  # seconds


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Make a world in memory where there is room: a kill does not need a disk."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield World(tmp_path)
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="mailfs") as folder:
        yield World(Path(folder))


class Storm:
    """A queue full of messages for a sink."""

    def __init__(self, world: World, messages: int) -> None:
        self.world = world
        self.port = free_port()
        self.log = world.root / "sink.log"
        self.log.touch()
        lib = world.root / "mail/lib"
        lib.mkdir(parents=True)
        (lib / "remotemail").write_text(remotemail())
        self.dest = f"net!127.0.0.1!{self.port}"
        self.idents = [f"m{i}" for i in range(messages)]
        for ident in self.idents:
            text = f"From g Sun Nov 22 12:45:08 2026\nSubject: {ident}\n\nhello\n"
            words = ("mail", "glenda", self.dest, "a@b.com")
            enqueue(world.queue, "glenda", text.encode(), words)

    def noted(self) -> list[tuple[str, str]]:
        lines = self.log.read_text().split("\n")[:-1]
        return [(line[:4], line[5:]) for line in lines]

    def left(self) -> int:
        return len(jobs(self.world.queue / "glenda"))

    @contextmanager
    def sink(self) -> Iterator["subprocess.Popen[bytes]"]:
        process = subprocess.Popen(
            [sys.executable, HERE / "sink.py", str(self.port), self.log]
        )
        try:
            end = time.monotonic() + PATIENCE
            while True:
                assert time.monotonic() < end
                with suppress(OSError):
                    socket.create_connection(("127.0.0.1", self.port)).close()
                    break
                time.sleep(0.01)
            yield process
        finally:
            process.kill()
            process.wait()

    @contextmanager
    def runq(self) -> Iterator["subprocess.Popen[bytes]"]:
        words = ["-a", "-E", "-n", str(WORKERS), "--per-host", str(WORKERS)]
        env = os.environ | {"MAILFS_ROOT": str(self.world.root)}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mailfs", "runq", *words], env=env
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def until(self, taken: int) -> None:
        """Wait until so many have been taken, or the queue is empty."""
        end = time.monotonic() + PATIENCE
        while len(self.noted()) // 2 < taken and self.left():
            assert time.monotonic() < end
            time.sleep(0.02)


@pytest.mark.slow
def test_receiver_killed_again_and_again(world: World) -> None:
    """Each message arrives once.

    Only if the receiver took a message and died before it could say so, which is
    SMTP's own window, does it arrive again.
    """
    storm = Storm(world, MESSAGES)
    for kill in range(1, KILLS + 1):
        with storm.sink() as sink, storm.runq() as runq:
            storm.until(kill * MESSAGES // (KILLS + 1))
            sink.send_signal(signal.SIGKILL)
            sink.wait()
            assert runq.wait(PATIENCE) == 0  # the host is down: the sweep ends
    end = time.monotonic() + PATIENCE
    while storm.left() and time.monotonic() < end:
        with storm.sink(), storm.runq() as runq:
            assert runq.wait(PATIENCE) == 0
    events: dict[str, list[str]] = {ident: [] for ident in storm.idents}
    for what, ident in storm.noted():
        events[ident].append(what)
    for ident, seen in events.items():
        assert "took" in seen, ident
        assert "told" not in seen[:-1], (ident, seen)  # nothing comes after that
    assert sum(len(seen) - seen.count("told") - 1 for seen in events.values()) <= (
        KILLS * WORKERS
    )
    assert os.listdir(storm.world.queue / "glenda") == []


@pytest.mark.slow
def test_runq_killed_again_and_again(world: World) -> None:
    """Nothing is lost; at most what a killed runq had under way arrives twice."""
    storm = Storm(world, FEWER)
    with storm.sink():
        for kill in range(1, KILLS + 1):
            with storm.runq() as runq:
                storm.until(kill * FEWER // (KILLS + 1))
                runq.send_signal(signal.SIGKILL)
        with storm.runq() as runq:
            assert runq.wait(PATIENCE) == 0
    took = Counter(ident for what, ident in storm.noted() if what == "took")
    assert set(took) == set(storm.idents)
    assert sum(took.values()) - FEWER <= KILLS * WORKERS
    assert storm.left() == 0


def test_two_at_once(world: World) -> None:
    """Two runqs on one queue do each other's work and no more."""
    storm = Storm(world, 200)
    with storm.sink(), storm.runq() as one, storm.runq() as two:
        assert one.wait(PATIENCE) == 0
        assert two.wait(PATIENCE) == 0
    took = Counter(ident for what, ident in storm.noted() if what == "took")
    assert took == Counter(storm.idents)
    assert storm.left() == 0
