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
from itertools import pairwise
from pathlib import Path

import pytest

from mailfs.disk.replace import write_all
from mailfs.errors import Refused
from mailfs.mailbox.drivers import open_store
from mailfs.mailbox.drivers.mbox import addition
from mailfs.mailbox.kinds import Flag
from tests.mailbox.bench import BENCHES, Bench, Mbox, everything, from_line

# Deletes whatever says junk, and flags the rest, until it is killed or told to stop.
WORKER = """
import random, sys
from pathlib import Path
from mailfs.errors import MailfsError
from mailfs.mailbox.driver import Place
from mailfs.mailbox.kinds import Flag, Stale
from mailfs.mailbox.drivers.mbox import driver as mbox
box, root, how, stop, seed = sys.argv[1:]
def refuse(*_):
    raise PermissionError(13, "Permission denied")
if how == "in place":
    mbox.create_like = refuse
driver = mbox.Spool(box, Place(Path(root), "me"))
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
from tests.mailbox.test_crash import text
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
        [sys.executable, "-c", code, *args], stdout=subprocess.PIPE, env=env, bufsize=0
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


def check(bench: Mbox, counts: list[tuple[int, int]], late: int = 0) -> None:
    """Every message to be kept is there once, in order, octet for octet.

    But for late ones: whoever had the file open when it was replaced by a process that
    was killed then writes where nobody looks until the next change.
    """
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
        assert sum(a > b for a, b in pairwise(mine)) <= late
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
    check(bench, [(0, count)], late=9)


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


# Appends messages and says after each that it has arrived, until it is killed.
DELIVERER = """
import sys, time
from pathlib import Path
from mailfs.mailbox.driver import Place
from mailfs.mailbox.kinds import Flag
from mailfs.mailbox.drivers import open_store
from tests.mailbox.test_crash import letter
box, root, first, stop = sys.argv[1:]
driver = open_store(box, Place(Path(root), "me"))
if hasattr(driver, "wait"):
    driver.wait = 60.0
n = int(first)
print("ready", flush=True)
while not Path(stop).exists():
    driver.append(letter(n), 1000000000 + n % 7, "a@example.com", Flag(0))
    print(n, flush=True)
    n += 1
    time.sleep(0.01)
"""


def letter(n: int) -> bytes:
    """Return a message that takes the system more than one step to write, mostly."""
    size = 300_000 if n % 10 == 5 else n % 4 * 1000
    return b"Subject: keep %d\n\n%s\nend\n" % (n, b"%08d\n" % n * (size // 9))


def arrived(bench: Bench) -> list[int]:
    """Return the numbers of the letters that are there, each of them whole."""
    driver = open_store(str(bench.box), bench.place())
    numbers = []
    for octets in everything(driver.list()):
        m = re.search(rb"Subject: keep (\d+)\n", octets)
        assert m is not None
        numbers.append(int(m[1]))
        added = letter(numbers[-1])
        assert octets in (
            bench.added(added, 1000000000 + numbers[-1] % 7, "a@example.com"),
            added,
        )
    driver.close()
    assert len(set(numbers)) == len(numbers)
    return numbers


@pytest.mark.slow
@pytest.mark.parametrize("kind", BENCHES, ids=lambda bench: bench.kind)
def test_deliverers_killed_at_any_moment(tmp_path: Path, kind: type[Bench]) -> None:
    bench = kind(tmp_path)
    bench.make()
    stop = tmp_path / "stop"
    dice = random.Random(2)
    box, root = str(bench.box), str(bench.root)
    told: set[int] = set()
    with running(DELIVERER, box, root, "0", str(stop)) as other:
        for seed in range(1, 6):
            args = (box, root, str(seed * 10**6), str(stop))
            with running(DELIVERER, *args) as victim:
                time.sleep(dice.random() * 0.1)
                os.kill(victim.pid, signal.SIGKILL)
                out, _ = victim.communicate()
                told.update(int(line) for line in out.split(b"\n")[:-1])
        stop.touch()
        mine = [int(line) for line in finish(other).split()]
    assert mine == list(range(len(mine)))
    there = arrived(bench)
    assert {*told, *mine} <= set(there)
    assert len(there) <= len(told) + len(mine) + 5
    if kind is Mbox:
        assert [n for n in there if n < 10**6] == mine


@pytest.mark.slow
@pytest.mark.parametrize("how", ["replacing", "in place"])
def test_deliverers_and_a_server_that_deletes(tmp_path: Path, how: str) -> None:
    bench = Mbox(tmp_path)
    bench.make()
    stop = tmp_path / "stop"
    dice = random.Random(3)
    box, root = str(bench.box), str(bench.root)
    told: set[int] = set()
    with (
        running(WORKER, box, root, how, str(stop), "1") as server,
        running(APPENDER, box, str(stop), "0") as foreign,
        running(DELIVERER, box, root, "3000000", str(stop)) as ours,
    ):
        for seed in range(4, 7):
            args = (box, root, str(seed * 10**6), str(stop))
            with running(DELIVERER, *args) as victim:
                time.sleep(dice.random() * 0.2)
                os.kill(victim.pid, signal.SIGKILL)
                out, _ = victim.communicate()
                told.update(int(line) for line in out.split(b"\n")[:-1])
        stop.touch()
        count = int(finish(foreign))
        mine = [int(line) for line in finish(ours).split()]
        finish(server)
    assert count > 0
    driver = open_store(box, bench.place())
    found = everything(driver.list())
    driver.close()
    assert bench.box.read_bytes() == b"".join(found)
    numbers = []
    for octets in found:
        m = re.search(rb"Subject: (?:junk|keep) (\d+)\n", octets)
        assert m is not None
        n = int(m[1])
        numbers.append(n)
        whole = bench.added(letter(n), 1000000000 + n % 7, "a@example.com")
        assert octets == (text(n) if n < 3000000 else whole)
    assert len(set(numbers)) == len(numbers)
    assert {*told, *mine, *range(0, count, 3)} <= set(numbers)
    assert [n for n in numbers if 3000000 <= n < 4000000] == mine


def dying(bench: Mbox, count: int) -> None:
    """Append a message in a process that ends when count octets are in the mailbox."""
    box = os.path.realpath(bench.box)

    def some(fd: int, data: bytes | memoryview) -> None:
        if os.path.realpath(f"/proc/self/fd/{fd}") == box:
            os.write(fd, data[:count])
            os._exit(9)
        write_all(fd, data)

    pid = os.fork()
    if pid == 0:
        try:
            pytest.MonkeyPatch().setattr(addition, "write_all", some)
            bench.open().append(HALF, 1000000001, "a@example.com", Flag(0))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


# In a process with threads, Python 3.12 warns of what a child might meet.
forking = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
HALF = b"Subject: half\n\nbody\n"


@forking
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc")
@pytest.mark.parametrize("behind", [b"", b"foreign", b"\nforeign"])
@pytest.mark.parametrize("count", [0, 1, 5, 30, 55, 62, 1000])
def test_half_a_message_is_taken_out(tmp_path: Path, count: int, behind: bytes) -> None:
    bench = Mbox(tmp_path)
    bench.make()
    bench.fill(2)
    before = bench.box.read_bytes()
    dying(bench, count)
    foreign = from_line(9) + b"Subject: foreign\n\nx\n\n"
    if behind:  # by a program that asks nobody whether the last line has an end
        with bench.box.open("ab") as f:
            f.write(behind.removesuffix(b"foreign") + foreign)
    want = [bench.stored(0), bench.stored(1)]
    if count == 1000:
        want.append(bench.added(HALF, 1000000001, "a@example.com"))
    if behind:
        want.append(foreign)
        if count in (0, 1000):
            want[-2] += behind.removesuffix(b"foreign")
    readonly = bench.open(readonly=True)
    with pytest.raises(Refused, match="interrupted"):
        readonly.list()
    driver = bench.open()
    assert everything(driver.list()) == want
    driver.append(HALF, 1000000002, "a@example.com", Flag(0))
    assert list((bench.root / "mail" / "tmp").iterdir()) == []
    added = bench.added(HALF, 1000000002, "a@example.com")
    assert everything(driver.list()) == [*want, added]
    assert bench.box.read_bytes().startswith(before)
    assert everything(readonly.list()) == [*want, added]


@forking
def test_a_note_of_another_time_does_nothing(tmp_path: Path) -> None:
    bench = Mbox(tmp_path)
    bench.make()
    bench.fill(3)
    dying(bench, 50)
    (note,) = (bench.root / "mail" / "tmp").iterdir()
    kept = note.read_bytes()
    half = bench.box.read_bytes()[-50:]
    for more in (HALF * 20, half, half + HALF, half + bench.stored(4)):
        data = b"".join(bench.stored(n) for n in (2, 1, 0)) + more
        bench.box.write_bytes(data)  # another program has rewritten it in place
        note.write_bytes(kept)
        bench.open().list()
        assert bench.box.read_bytes() == data


@forking
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another's file")
def test_a_note_of_somebody_else_does_nothing(tmp_path: Path) -> None:
    bench = Mbox(tmp_path)
    bench.make()
    bench.fill(2)
    dying(bench, 50)
    (note,) = (bench.root / "mail" / "tmp").iterdir()
    os.chown(note, 65534, 65534)
    data = bench.box.read_bytes()
    assert bench.open().list()
    assert bench.open(readonly=True).list()
    assert bench.box.read_bytes() == data
