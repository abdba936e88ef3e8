"""Processes killed at any moment, and several at once: no mail is lost or doubled."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailfs.mbox.drivers import open_store
from tests.mbox.bench import Mbox, everything, from_line

# Deletes whatever says junk, and flags the rest, until it is killed or told to stop.
WORKER = """
import random, sys
from pathlib import Path
from mailfs.errors import MailfsError
from mailfs.mbox.driver import Flag, Place, Stale
from mailfs.mbox.drivers import spool
box, root, how, stop, seed = sys.argv[1:]
def refuse(*_):
    raise PermissionError(13, "Permission denied")
if how == "in place":
    spool.create_like = refuse
driver = spool.Spool(box, Place(Path(root), "me"))
driver.wait = 60.0
dice = random.Random(int(seed))
print("ready", flush=True)
listing = None
while not Path(stop).exists():
    try:
        listing = driver.list(listing)
        junk = []
        for row in range(len(listing)):
            at = listing.keys[row], listing.sizes[row], listing.idents[row]
            if b"junk" in listing.store.read(*at, 0, 300):
                junk.append(row)
        if junk:
            listing = driver.delete(listing, dice.sample(junk, min(len(junk), 2)))
        elif len(listing):
            row = dice.randrange(len(listing))
            listing = driver.set_flags(listing, [(row, Flag.SEEN)])
    except Stale:
        pass
driver.close()
"""

# Appends as programs do that use Python's mailbox: opened, then fcntl and dotlock.
APPENDER = """
import mailbox, sys, time
from pathlib import Path
from tests.mbox.test_crash import text
box, stop, first = sys.argv[1:]
n = int(first)
print("ready", flush=True)
while not Path(stop).exists():
    m = mailbox.mbox(box, create=False)
    try:
        try:
            m.lock()
        except mailbox.ExternalClashError:
            time.sleep(0.001)
            continue
        f = m._file
        f.seek(0, 2)
        f.write(text(n))
        f.flush()
        n += 1
        m.unlock()
    finally:
        m._file.close()
    time.sleep(0.002)
print(n, flush=True)
"""


def text(n: int) -> bytes:
    kind = b"junk" if n % 3 else b"keep"
    return from_line(n % 7) + b"Subject: %s %d\n\n%s\n\n" % (kind, n, b"x" * (n % 500))


@contextmanager
def running(code: str, *args: str) -> Iterator["subprocess.Popen[bytes]"]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", code, *args], stdout=subprocess.PIPE, env=env
    ) as p:
        try:
            assert p.stdout is not None
            assert p.stdout.readline() == b"ready\n"
            yield p
        finally:
            p.kill()


def finish(p: "subprocess.Popen[bytes]") -> bytes:
    out, _ = p.communicate(timeout=60)
    assert p.returncode == 0
    return out


def check(bench: Mbox, counts: list[tuple[int, int]]) -> None:
    """Every message to be kept is there once, in order, octet for octet."""
    driver = open_store(str(bench.box), bench.place())
    found = everything(driver.list())
    driver.close()
    assert bench.box.read_bytes() == b"".join(found)
    numbers = []
    for octets in found:
        m = re.search(rb"Subject: (?:junk|keep) (\d+)\n", octets)
        assert m is not None
        numbers.append(int(m[1]))
        assert octets == text(numbers[-1])
    assert len(set(numbers)) == len(numbers)
    for first, end in counts:
        mine = [n for n in numbers if first <= n < end]
        assert mine == sorted(mine)
        wanted = {n for n in range(first, end) if n % 3 == 0}
        assert wanted <= set(mine)
    left = set(os.listdir(bench.box.parent))
    assert left <= {"box", "box.flags"}
    temps = bench.root / "mail" / "tmp"
    assert not temps.exists() or list(temps.iterdir()) == []


@pytest.mark.parametrize("how", ["replacing", "in place"])
def test_killed_at_any_moment(tmp_path: Path, how: str) -> None:
    bench = Mbox(tmp_path)
    bench.make()
    stop = tmp_path / "stop"
    dice = random.Random(1)
    with running(APPENDER, str(bench.box), str(stop), "0") as appender:
        for seed in range(9):
            args = (str(bench.box), str(bench.root), how, str(stop), str(seed))
            with running(WORKER, *args) as worker:
                time.sleep(dice.random() * 0.15)
                os.kill(worker.pid, signal.SIGKILL)
        with running(WORKER, *args) as worker:
            # What the dead left is no hindrance: mail arrives, junk goes.
            time.sleep(0.2)
            stop.touch()
            count = int(finish(appender))
            finish(worker)
    assert count > 20
    check(bench, [(0, count)])


@pytest.mark.parametrize("how", ["replacing", "in place"])
def test_two_servers_and_two_deliverers(tmp_path: Path, how: str) -> None:
    bench = Mbox(tmp_path)
    bench.make()
    stop = tmp_path / "stop"
    box, root = str(bench.box), str(bench.root)
    with (
        running(WORKER, box, root, how, str(stop), "1") as one,
        running(WORKER, box, root, how, str(stop), "2") as two,
        running(APPENDER, box, str(stop), "0") as first,
        running(APPENDER, box, str(stop), "3000000") as second,
    ):
        time.sleep(1.0)
        stop.touch()
        counts = [(0, int(finish(first))), (3000000, int(finish(second)))]
        finish(one)
        finish(two)
    assert counts[0][1] > 0
    check(bench, counts)
