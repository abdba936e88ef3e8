"""The cache of octets: what it has is right, whatever happened to it."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailfs.cache.pack import LEAST, MEMORY, SHARES, Owner, Pack
from mailfs.cache.packdb import PIECE

SEGMENT = LEAST // SHARES


def content(key: object, start: int, end: int) -> bytes:
    """Return what the tests say the message key has in [start, end)."""
    size = 1 << 20
    whole = random.Random(str(key)).randbytes(4096) * (size // 4096 + 2)
    return whole[start % 4096 :][: end - start]


@pytest.fixture
def pack(tmp_path: Path) -> Iterator[Pack]:
    made = Pack(tmp_path / "cache", 0)
    yield made
    made.close()


@pytest.fixture
def owner(pack: Pack) -> Owner:
    return pack.owner("host/user/INBOX/1")


PUTS = [
    # what was put, what is asked for, whether it is there
    ([], (0, 1), False),
    ([], (0, 0), True),
    ([(0, 10)], (0, 10), True),
    ([(0, 10)], (3, 7), True),
    ([(0, 10)], (0, 11), False),
    ([(2, 10)], (0, 10), False),
    ([(0, 10), (10, 20)], (5, 15), True),
    ([(10, 20), (0, 10)], (5, 15), True),
    ([(0, 10), (11, 20)], (5, 15), False),
    ([(0, 10), (5, 20)], (0, 20), True),
    ([(0, 20), (5, 10)], (0, 20), True),
    ([(0, 20), (0, 5)], (0, 20), True),
    ([(0, 5), (0, 20)], (0, 20), True),
    ([(0, 3 * PIECE + 1)], (PIECE - 1, 2 * PIECE + 1), True),
    ([(0, 3 * PIECE + 1)], (3 * PIECE, 3 * PIECE + 1), True),
    ([(7, 3 * PIECE)], (8, 3 * PIECE), True),
]


@pytest.mark.parametrize(("puts", "asked", "there"), PUTS)
def test_what_was_put_is_got(
    owner: Owner, puts: list[tuple[int, int]], asked: tuple[int, int], there: bool
) -> None:
    for start, end in puts:
        owner.put(5, start, content(5, start, end))
    assert owner.has(5, *asked) is there
    assert owner.get(5, *asked) == (content(5, *asked) if there else None)
    for other in (6, "5"):
        assert owner.has(other, *asked) is (asked == (0, 0))


def test_an_end_beyond_the_known_length_means_the_length(owner: Owner) -> None:
    owner.put("a", 0, b"octets")
    assert owner.get("a", 0, 7) is None
    assert owner.length("a") is None
    owner.put("a", 6, b"", 6)
    assert owner.length("a") == 6
    assert owner.get("a", 0, 1 << 40) == b"octets"
    assert owner.get("a", 2, 1 << 40) == b"tets"
    assert owner.get("a", 6, 10) == b""
    owner.put("empty", 0, b"", 0)
    assert owner.get("empty", 0, 100) == b""
    owner.put("holed", 0, b"octets", 20)
    assert owner.get("holed", 0, 20) is None


def test_mailboxes_do_not_see_one_another(pack: Pack) -> None:
    pack.owner("a").put(1, 0, b"one")
    assert pack.owner("b").get(1, 0, 3) is None
    assert pack.owner("a").get(1, 0, 3) == b"one"


def test_it_is_there_after_reopening(tmp_path: Path) -> None:
    first = Pack(tmp_path, 0)
    with first.owner("a").batch():
        for key in range(1000):
            first.owner("a").put(key, 0, content(key, 0, 100), 100)
    first.close()
    again = Pack(tmp_path, 0)
    for key in range(1000):
        assert again.owner("a").get(key, 0, 200) == content(key, 0, 100)
    assert len(list(tmp_path.glob("*.seg"))) == 1
    again.owner("a").put(1000, 0, b"more")
    assert len(list(tmp_path.glob("*.seg"))) == 1  # goes on with it
    again.close()


def test_forget(pack: Pack) -> None:
    a, b = pack.owner("a"), pack.owner("b")
    for key in range(3):
        a.put(key, 0, b"abc", 3)
    b.put(0, 0, b"abc", 3)
    a.forget([0, 7])
    assert [a.has(key, 0, 3) for key in range(3)] == [False, True, True]
    assert a.length(0) is None
    a.forget()
    assert not any(a.has(key, 0, 3) for key in range(3))
    assert a.length(1) is None
    assert b.get(0, 0, 3) == b"abc"


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60), st.integers(0, 40))),
    st.integers(0, 60),
    st.integers(0, 60),
    st.booleans(),
)
def test_any_order_of_puts(
    pack: Pack, puts: list[tuple[int, int, int]], start: int, count: int, one: bool
) -> None:
    owner = pack.owner("any")
    owner.forget()
    has: dict[int, set[int]] = {key: set() for key in range(4)}
    batch = owner.batch() if one else None
    if batch:
        batch.__enter__()
    for key, at, length in puts:
        owner.put(key, at, content(key, at, at + length))
        has[key] |= set(range(at, at + length))
    if batch:
        batch.__exit__(None, None, None)
    wanted = set(range(start, start + count))
    for key, there in has.items():
        expected = content(key, start, start + count) if wanted <= there else None
        assert owner.get(key, start, start + count) == expected


def on_disk(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("*.seg"))


def test_it_stays_within_its_limit_and_keeps_the_latest(tmp_path: Path) -> None:
    pack = Pack(tmp_path, 20 << 20)
    owner = pack.owner("a")
    block = 300_000
    for key in range(200):
        owner.put(key, 0, content(key, 0, block), block)
        assert on_disk(tmp_path) <= 20 << 20
    there = [key for key in range(200) if owner.has(key, 0, block)]
    assert there == list(range(there[0], 200))
    assert len(there) * block > 17 << 20
    for key in there:
        assert owner.get(key, 0, block) == content(key, 0, block)
    assert owner.length(0) == block  # what was learnt is remembered
    assert len(list(tmp_path.glob("*.seg"))) <= 20
    pack.close()


def test_only_the_owner_of_the_machine_account_may_read(owner: Owner) -> None:
    owner.put(1, 0, b"secret")
    directory = Path(owner.pack._segments.path(1)).parent
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}


@pytest.mark.parametrize("bit", [0, 7])
@pytest.mark.parametrize("at", [0, 50, 99])
def test_a_damaged_segment_is_a_miss(
    owner: Owner, tmp_path: Path, at: int, bit: int
) -> None:
    owner.put(1, 0, b"before")
    owner.put(2, 0, content(2, 0, 100))
    (file,) = tmp_path.glob("cache/*.seg")
    octets = bytearray(file.read_bytes())
    octets[6 + at] ^= 1 << bit
    file.write_bytes(octets)
    assert owner.get(2, 0, 100) is None
    assert not owner.has(2, 0, 100)
    assert owner.get(1, 0, 6) == b"before"
    owner.put(2, 0, content(2, 0, 100))
    assert owner.get(2, 0, 100) == content(2, 0, 100)


def test_a_shortened_or_removed_segment_is_a_miss(tmp_path: Path) -> None:
    for harm in (lambda f: os.truncate(f, 50), lambda f: f.unlink()):
        pack = Pack(tmp_path, 0)
        pack.owner("a").put(1, 0, content(1, 0, 100))
        pack.close()
        for file in tmp_path.glob("*.seg"):
            harm(file)
        again = Pack(tmp_path, 0)
        assert again.owner("a").get(1, 0, 100) is None
        again.owner("a").put(1, 0, content(1, 0, 100))
        assert again.owner("a").get(1, 0, 100) == content(1, 0, 100)
        again.close()


@pytest.mark.parametrize("column", ["owner", "key", "start"])
def test_octets_of_another_place_are_a_miss(tmp_path: Path, column: str) -> None:
    pack = Pack(tmp_path, 0)
    one, two = pack.owner("a"), pack.owner("b")
    one.put(1, 0, b"octets of one")
    one.put(1, 100, b"octets of two")
    two.put(2, 0, b"octets of two")
    pack.close()
    with sqlite3.connect(tmp_path / "pieces.db") as db:
        change = {
            "owner": f"update piece set owner={two._id} where start=0 and key=1",
            "key": "update piece set key=3 where key=2",
            "start": "update piece set start=200, end=213 where start=100",
        }[column]
        db.execute(change)
    db.close()
    again = Pack(tmp_path, 0)
    asked = {
        "owner": again.owner("b").get(1, 0, 13),
        "key": again.owner("b").get(3, 0, 13),
        "start": again.owner("a").get(1, 200, 213),
    }
    assert asked[column] is None
    again.close()


def test_a_database_that_is_none_is_made_afresh(tmp_path: Path) -> None:
    tmp_path.joinpath("pieces.db").write_bytes(b"not a database" * 1000)
    stray = tmp_path / f"{5:016x}.seg"
    stray.write_bytes(b"stray")
    other = tmp_path / "note.seg"
    other.write_bytes(b"not ours")
    pack = Pack(tmp_path, 0)
    pack.owner("a").put(1, 0, b"octets")
    assert pack.owner("a").get(1, 0, 6) == b"octets"
    pack.close()
    assert not stray.exists()
    assert other.exists()


def test_a_database_damaged_while_in_use_is_made_afresh(tmp_path: Path) -> None:
    pack = Pack(tmp_path, 0)
    owner = pack.owner("a")
    with owner.batch():
        for key in range(5000):
            owner.put(key, 0, b"octets")
    with pack._pieces._connect() as db:  # type: ignore[union-attr]  # it has one
        db.execute("pragma wal_checkpoint(truncate)")
    with tmp_path.joinpath("pieces.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 100_000)
    for key in range(5000):
        assert owner.get(key, 0, 6) in (None, b"octets")
    owner.put(7, 0, b"octets")
    owner.put(8, 0, b"octets")
    assert owner.get(8, 0, 6) == b"octets"
    pack.close()


def test_without_a_directory_the_latest_is_kept_in_memory(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("in the way")
    owner = Pack(tmp_path / "file" / "cache", 0).owner("a")
    size = 100_000
    for key in range(400):
        owner.put(key, 0, content(key, 0, size))
        assert owner.get(key, 0, size) == content(key, 0, size)
    there = [key for key in range(400) if owner.has(key, 0, size)]
    assert there == list(range(400 - MEMORY // size, 400))
    owner.forget([199])
    assert not owner.has(199, 0, size)


CHILD = """
import random, sys
from pathlib import Path
from mailfs.cache.pack import Pack
from tests.mailbox.test_pack import content
directory, name, first = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
owner = Pack(directory, 0).owner(name)
chance = random.Random(first)
print("begun", flush=True)
for key in range(first, first + int(sys.argv[4])):
    with owner.batch():
        for part in range(3):
            size = chance.choice([10, 3000, 200_000])
            owner.put(key, part * size, content(key, part * size, (part + 1) * size))
    print(key, flush=True)
"""


def child(
    directory: Path, name: str, first: int, count: int
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(directory), name, str(first), str(count)],
        stdout=subprocess.PIPE,
        text=True,
    )


def check_all(directory: Path, names: list[str], keys: range) -> int:
    """Check that whatever is there is right; return how many octets are."""
    pack = Pack(directory, 0)
    found = 0
    for name in names:
        owner = pack.owner(name)
        for key in keys:
            for end in (10, 30, 3000, 9000, 200_000, 600_000):
                octets = owner.get(key, 0, end)
                if octets is not None:
                    assert octets == content(key, 0, end)
                    found += len(octets)
    pack.close()
    return found


def test_killed_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(7)
    first = 0
    for _ in range(8):
        with child(tmp_path, "a", first, 10_000) as process:
            assert process.stdout is not None
            process.stdout.readline()
            for _ in range(chance.randrange(12)):
                first = int(process.stdout.readline()) + 1
            process.send_signal(signal.SIGKILL)
        last = check_all(tmp_path, ["a"], range(first - 1, first))
        assert last or not first  # what was said to be done is there
    assert check_all(tmp_path, ["a"], range(first))
    assert on_disk(tmp_path) <= LEAST


def test_two_processes_at_once(tmp_path: Path) -> None:
    both = [child(tmp_path, name, 0, 60) for name in ("a", "b")]
    for process in both:
        with process:
            process.communicate()
        assert process.returncode == 0
    assert check_all(tmp_path, ["a", "b"], range(60)) > LEAST / 4
    assert on_disk(tmp_path) <= LEAST


FULL = """
import resource, sys
from pathlib import Path
from mailfs.cache.pack import Pack
from tests.mailbox.test_pack import content
owner = Pack(Path(sys.argv[1]), 0).owner("a")
owner.put(0, 0, content(0, 0, 1000))
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for key in range(1, 300):
    owner.put(key, 0, content(key, 0, 1000), 1000)
    assert owner.get(key, 0, 1000) == content(key, 0, 1000), key
print("read")
"""


@pytest.mark.parametrize("limit", [0, 500, 5000, 50_000, 100_000])
def test_a_full_disk(tmp_path: Path, limit: int) -> None:
    # As on a full disk, writes fail at once or half done, the database's too.
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), str(limit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "read\n", done.stderr
    pack = Pack(tmp_path, 0)
    for key in range(300):
        found = pack.owner("a").get(key, 0, 1000)
        assert found in (None, content(key, 0, 1000))
    pack.owner("a").put(1, 0, content(1, 0, 1000))
    assert pack.owner("a").get(1, 0, 1000) == content(1, 0, 1000)
    pack.close()


def test_threads_read_while_others_evict(tmp_path: Path) -> None:
    pack = Pack(tmp_path, 0)
    wrong: list[object] = []

    def work(name: str) -> None:
        owner = pack.owner(name)
        for key in range(150):
            owner.put(key, 0, content(key, 0, 150_000))
            for back in (0, 1, 20, 60):
                octets = owner.get(key - back, 0, 150_000)
                if octets not in (None, content(key - back, 0, 150_000)):
                    wrong.append((name, key))

    threads = [threading.Thread(target=work, args=(n,)) for n in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert on_disk(tmp_path) <= LEAST
    pack.close()


def test_a_segment_evicted_by_others_is_left(tmp_path: Path) -> None:
    slow, quick = Pack(tmp_path, 0), Pack(tmp_path, 0)
    slow.owner("a").put(1, 0, b"octets")
    for key in range(2 * SHARES + 2):
        quick.owner("b").put(key, 0, bytes(SEGMENT // 2 + 1))
    assert slow.owner("a").get(1, 0, 6) is None
    for key in (2, 3):
        slow.owner("a").put(key, 0, b"octets")
        assert slow.owner("a").get(key, 0, 6) == b"octets"
    assert quick.owner("a").get(3, 0, 6) == b"octets"
    slow.close()
    quick.close()


def test_writers_do_not_share_a_segment(tmp_path: Path) -> None:
    packs = [Pack(tmp_path, 0) for _ in range(3)]
    for key in range(20):
        for pack in packs:
            pack.owner("a").put(key, 0, content(key, 0, 5000))
    assert len(list(tmp_path.glob("*.seg"))) == 3
    for key in range(20):
        assert packs[0].owner("a").get(key, 0, 5000) == content(key, 0, 5000)
    for number, pack in enumerate(packs):
        pack.owner("b").put(number, 0, content(number, 0, 5000))
    for number in range(3):
        assert packs[2].owner("b").get(number, 0, 5000) == content(number, 0, 5000)
    for pack in packs:
        pack.close()


def test_threads_that_have_ended_leave_nothing_open(owner: Owner) -> None:
    owner.put(1, 0, b"octets")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        thread = threading.Thread(target=owner.get, args=(1, 0, 6))
        thread.start()
        thread.join()
    assert len(os.listdir("/proc/self/fd")) <= before + 3


OUTAGE = """
import logging, resource, sys
from pathlib import Path
from mailfs.cache.outage import RETRY
from mailfs.cache.pack import Pack
from tests.mailbox.test_pack import content
now = 0.0
lines = []
class Lines(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())
logging.getLogger("mailfs").addHandler(Lines())
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
early = sys.argv[2] == "early"
def full(on):
    resource.setrlimit(resource.RLIMIT_FSIZE, (0 if on else hard, hard))
full(early)
pack = Pack(Path(sys.argv[1]), 0, clock=lambda: now)
owner = pack.owner("a")
full(True)
for key in range(1000):
    owner.put(key, 0, content(key, 0, 1000), 1000)
    assert owner.length(key) == 1000
    assert owner.get(key, 0, 5000) == content(key, 0, 1000), key
assert pack.why, pack.why
assert len(lines) == 1, lines
now = 3000.0
owner.put(1000, 0, content(1000, 0, 1000), 1000)
assert len(lines) == 1, lines
now = 3601.0
owner.put(1001, 0, content(1001, 0, 1000), 1000)
assert len(lines) == 2, lines
full(False)
now += RETRY + 1
for key in range(2000, 2010):
    owner.put(key, 0, content(key, 0, 1000), 1000)
assert not pack.why
assert len(lines) == 2, lines
for key in [*range(1002), *range(2000, 2010)]:
    assert owner.get(key, 0, 5000) == content(key, 0, 1000), key
pack.close()
again = Pack(Path(sys.argv[1]), 0).owner("a")
for key in range(2000, 2010):
    assert again.get(key, 0, 5000) == content(key, 0, 1000), key
print("done")
"""


@pytest.mark.parametrize("when", ["early", "late"])
def test_a_full_disk_is_told_once_an_hour_and_used_again(
    tmp_path: Path, when: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OUTAGE, str(tmp_path / "c"), when],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "done\n", done.stderr
