"""The rows of the performance table that need nothing but this machine.

Each measures its floor and then us, on the same mail, in medians of the same number
of runs, and says what the ratio should be.
"""

import mmap
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from world import HERE, Load, World, median, timed

COUNT = 128  # octets asked for in a small read
TREAD, RREAD = 23, 11  # octets of a Tread and of an Rread without its data; read(5)
START_SECONDS = 5  # until the index process has begun
PING_SECONDS = 2.0
NEW = 10  # messages appended
DEPTH = 16  # files that a client with read-ahead has in flight


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result."""

    work: str
    floor: str
    ours: str
    ratio: str
    aim: str


def ping(world: World) -> Iterator[Row]:
    """One small read after the other."""
    box = world.mbox(100)
    with world.server(f"mbox={box}") as server, world.awake():
        sample = server.load("ping", "mbox/1/subject", COUNT, 0.1)
        ours = median(
            world.runs,
            lambda: server.load("ping", "mbox/1/subject", COUNT, PING_SECONDS).rate,
        )
    floor = _bare(world, RREAD + round(sample.octets / sample.count))
    yield _rates("small read, ping-pong", floor, ours, "reads/s", "at least 70 %")


def ping_indexing(world: World) -> Iterator[Row]:
    """Read likewise while the server's child indexes a mailbox."""
    small, big = world.mbox(100), world.mbox()
    floor = _bare(world, RREAD + 40)
    rates = []
    for _ in range(world.runs):
        world.fresh_cache()
        world.index(small)
        boxes = (f"mbox={small}", f"big={big}")
        with world.server(*boxes) as server, world.awake():
            end = time.monotonic() + START_SECONDS
            while not (before := server.children()) and time.monotonic() < end:
                time.sleep(0.01)
            rates.append(
                server.load("ping", "mbox/1/subject", COUNT, PING_SECONDS).rate
            )
            if not set(before) & set(server.children()):
                print("indexing had ended, or not begun: use more messages")
    ours = sorted(rates)[len(rates) // 2]
    yield _rates("the same while indexing", floor, ours, "reads/s", "at least 50 %")


def _bare(world: World, reply: int) -> float:
    path = world.home / "bare"
    command = [sys.executable, HERE / "bare.py", path, TREAD, reply]
    with world.process(command, path), world.awake():
        return median(
            world.runs,
            lambda: world.load("bare", path, TREAD, reply, PING_SECONDS).rate,
        )


def mbox(world: World) -> Iterator[Row]:
    """Open a mbox: never seen, seen before, ten messages later."""
    box, n = world.mbox(), world.messages
    grep = ["grep", "-c", "^From ", str(box)]
    env = {"LC_ALL": "C", "PATH": os.environ["PATH"]}
    count = subprocess.run(grep, env=env, capture_output=True, check=True)  # warms too
    n = int(count.stdout)
    floor = median(
        world.runs,
        lambda: timed(lambda: subprocess.run(grep, env=env, capture_output=True)),
    )
    memory: list[int] = []

    def new() -> float:
        world.fresh_cache()
        return _open(world, box, n, memory)

    ours = median(world.runs, new)
    yield times(f"mbox of {n}, never seen, to a whole listing", floor, ours, "1.5x")
    private = sorted(memory)[len(memory) // 2] / 1e6
    yield Row("  its private memory", "", f"{private:.1f} MB", "", "under 60 MB")

    empty = world.home / "empty"
    empty.touch()
    start = median(world.runs, lambda: _open(world, empty, 0))
    world.index(box)
    seen = median(world.runs, lambda: _open(world, box, n))
    yield more("  seen before, beyond an empty mbox", start, seen, "0.2 s")

    work = world.home / "grown"
    news = world.mbox(NEW, start=world.messages).read_bytes()
    shutil.copyfile(box, work)
    world.index(work)
    total = n

    def grown() -> float:
        nonlocal total
        with work.open("ab") as out:
            out.write(news)
        total += NEW
        return _open(world, work, total)

    yield more(
        f"  {NEW} appended, beyond seen before",
        seen,
        median(world.runs, grown),
        "0.02 s",
    )
    work.unlink()


def _open(world: World, box: Path, n: int, memory: list[int] | None = None) -> float:
    """Return the seconds from the server's start to a listing of n messages."""
    since = time.monotonic()
    with world.server(f"mbox={box}") as server:
        server.await_listing("mbox", n)
        seconds = time.monotonic() - since
        if memory is not None:
            memory.append(server.private())
    return seconds


def maildir(world: World) -> Iterator[Row]:
    """List a Maildir the first time, and after a delivery."""
    box, n = world.maildir(), world.messages

    def listdir() -> int:
        return sum(len(os.listdir(box / folder)) for folder in ("new", "cur"))

    n = listdir()
    floor = median(world.runs, lambda: timed(listdir))
    empty = world.home / "emptydir"
    for folder in ("new", "cur", "tmp"):
        (empty / folder).mkdir(parents=True)
    start = median(world.runs, lambda: _open(world, empty, 0))

    def new() -> float:
        world.fresh_cache()
        return max(0.0, _open(world, box, n) - start)

    work = f"Maildir of {n}, first listing, beyond an empty one"
    yield times(work, floor, median(world.runs, new), "5x")
    world.index(box)
    delivered: list[Path] = []
    with world.server(f"mbox={box}") as server:
        server.await_listing("mbox", n)

        def rescan() -> float:
            name = f"{int(time.time())}.M{len(delivered)}P{os.getpid()}.bench"
            (box / "tmp" / name).write_bytes(b"Subject: one more\n\nhello\n")
            delivered.append((box / "tmp" / name).rename(box / "new" / name))
            return timed(lambda: server.await_listing("mbox", n + len(delivered)))

        seconds = median(max(3, world.runs), rescan)
    for path in delivered:
        path.unlink(missing_ok=True)
    yield times("  rescan after one delivery", floor, seconds, "0.1 s")


def memory(world: World) -> Iterator[Row]:
    """Private memory that a message costs which nobody looks at."""
    box, empty = world.mbox(), world.home / "none"
    empty.touch()
    world.index(box)
    sizes = []
    for path in (empty, box):
        with world.server(f"mbox={path}") as server:
            n = server.load("list", "mbox").count
            sizes.append(server.private())
    each = (sizes[1] - sizes[0]) / n
    yield Row("memory of an idle message", "", f"{each:.0f} octets", "", "under 400")


FIELD = re.compile(rb"^([!-9;-~]+):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)


def headers(world: World) -> Iterator[Row]:
    """Messages a second whose headers get into the index."""
    box = world.mbox()
    floor = median(world.runs, lambda: _scan(box))
    ours = median(world.runs, lambda: _index_rate(world, box))
    yield _rates("header index", floor, ours, "messages/s", "at least 50 %")


def _scan(box: Path) -> float:
    """Return the messages a second whose header one regular expression takes apart."""
    with box.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as m:
        starts = [match.end() for match in re.finditer(rb"(?:\A|\n\n)From .*\n", m)]
        ends = [m.find(b"\n\n", start) for start in starts]
        seconds = timed(
            lambda: [
                dict(FIELD.findall(m[a:b])) for a, b in zip(starts, ends, strict=True)
            ]
        )
    return len(starts) / seconds


def _index_rate(world: World, box: Path) -> float:
    world.fresh_cache()
    command = world.command("index", "--report", box)
    done, since, until = 0, 0.0, 0.0
    with subprocess.Popen(
        command, env=world.env, stdout=subprocess.PIPE, text=True
    ) as p:
        assert p.stdout
        for line in p.stdout:
            phase, *numbers = line.split()
            if phase == "listed":
                since = time.monotonic()
            elif phase == "head":
                done, until = int(numbers[0]), time.monotonic()
            elif done:
                break  # the bodies' turn
        p.kill()
    return done / (until - since)


def raw(world: World) -> Iterator[Row]:
    """Octets a second of every message's raw, in order."""
    box = world.mbox()
    world.index(box)
    rates: dict[int, float] = {}
    with world.server(f"mbox={box}") as server, world.awake():
        for depth in (1, DEPTH):
            load = partial(server.load, "cat", "mbox", "raw", depth)
            rates[depth] = median(world.runs, lambda load=load: _throughput(load()))

    def cat() -> float:
        ends = socket.socketpair()
        with ends[0], ends[1]:
            since = time.monotonic()
            with subprocess.Popen(["cat", box], stdout=ends[0]) as writer:
                ends[0].close()
                done = world.load("drain", stdin=ends[1].fileno())
            seconds = time.monotonic() - since
            if writer.returncode:
                sys.exit(f"cat {box}: status {writer.returncode}")
        return done.octets / seconds / 1e6

    with world.awake():
        floor = median(world.runs, cat)
    yield _rates("every raw in order, one by one", floor, rates[1], "MB/s", "")
    work = f"every raw in order, {DEPTH} at a time"
    yield _rates(work, floor, rates[DEPTH], "MB/s", "at least 50 %")


def _throughput(load: Load) -> float:
    """Return megabytes a second."""
    return load.octets / load.seconds / 1e6


def _rates(work: str, floor: float, ours: float, unit: str, aim: str) -> Row:
    ratio = f"{100 * ours / floor:.0f} %"
    return Row(work, f"{floor:,.0f} {unit}", f"{ours:,.0f} {unit}", ratio, aim)


def times(work: str, floor: float, ours: float, aim: str) -> Row:
    """Return a row of seconds, ours as a multiple of the floor's."""
    return Row(work, f"{floor:.3f} s", f"{ours:.3f} s", f"{ours / floor:.1f}x", aim)


def more(work: str, floor: float, ours: float, aim: str) -> Row:
    """Return a row of seconds, ours as so many more than the floor's."""
    return Row(work, f"{floor:.3f} s", f"{ours:.3f} s", f"{ours - floor:+.3f} s", aim)


ROWS: dict[str, Callable[[World], Iterator[Row]]] = {
    "ping": ping,
    "ping-indexing": ping_indexing,
    "mbox": mbox,
    "maildir": maildir,
    "memory": memory,
    "headers": headers,
    "raw": raw,
}
