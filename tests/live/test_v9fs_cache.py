"""The Linux kernel's ways to cache, mounted side by side on one server.

``none`` and ``mmap`` show what is; ``loose`` keeps what it has read until it is
unmounted, and is for reading only.  One boot runs all steps.
"""

import hashlib
import re

import pytest

from tests.corpus import corpus, quoted, write_maildir, write_mbox
from tests.live.kernel import Kernel, Result, mount
from tests.live.server import Server

pytestmark = [pytest.mark.live, pytest.mark.slow]

MODES = ("none", "mmap", "loose")
LIVE = ("none", "mmap")  # those that ask the server every time
BIG = 3000  # messages of the Maildir
SMALL = 30  # messages of the mbox
READ = (1, 2, 4)  # messages without a carriage return, which a server may drop

MAIL = list(corpus(SMALL, seed=3))
NUMBERS = "printf '%s\\n' * | grep -x '[0-9]*' | sort -n"


def each(mode: str) -> dict[str, str]:
    """Return what is done on each mount before anything changes."""
    sums = "; ".join(f"md5sum </{mode}/small/{n}/raw" for n in READ)
    return {
        f"{mode} big": f"cd /{mode}/big && {NUMBERS} | md5sum",
        f"{mode} small": f"cd /{mode}/small && {NUMBERS}",
        f"{mode} raw": sums,
        f"{mode} raw again": sums,
        f"{mode} flags": f"cat /{mode}/small/4/flags",
        f"{mode} sizes": f"for f in /{mode}/small/1/*; do [ -f $f ] && "
        "echo $f $(stat -c %s $f) $(wc -c <$f); done",
    }


def after(mode: str) -> dict[str, str]:
    """Return what is done when messages have gone and a flag has been set."""
    return {
        f"{mode} then": f"cd /{mode}/small && {NUMBERS}",
        f"{mode} then flags": f"cat /{mode}/small/4/flags",
        f"{mode} then raw": f"md5sum </{mode}/small/4/raw",
        f"{mode} gone": f"cat /{mode}/small/9/subject",
        f"{mode} path": f"cat /{mode}/small/ctl | head -n 1",
    }


# A shell's read takes octet by octet, so the kernel, which wants a buffer filled, does
# not go on to wait behind the line.
EVENTS = """
for mode in none mmap; do
    (read -r line </$mode/small/event; echo "$line" >/tmp/$mode) &
done
until [ -s /tmp/none ] && [ -s /tmp/mmap ]; do
    printf +f >/none/small/7/flags
    printf -f >/none/small/7/flags
    sleep 0.1
done
wait
cat /tmp/none /tmp/mmap
"""
CHANGES = {
    "events": EVENTS,
    "event loose": "cat /loose/small/event",
    "flag": "printf +s >/none/small/4/flags",
    "rm": "rm -r /none/small/8",
    "rmdir none": "rmdir /none/small/3",
    "rmdir mmap": "rmdir /mmap/small/5",
    "ctl none": "echo delete small 9 10 >/none/ctl",
    "ctl mmap": "echo delete small 11 >/mmap/ctl",
    "bad none": "echo frobnicate >/none/ctl",
    "bad mmap": "echo frobnicate >/mmap/ctl",
}
GONE = (3, 5, 9, 10, 11)


@pytest.fixture(scope="module")
def results(
    linux: Kernel, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Result]:
    """Return what each step did by its name; the server has ended by then."""
    place = tmp_path_factory.mktemp("caches")
    write_maildir(place / "big", corpus(BIG))
    write_mbox(place / "small", MAIL)
    boxes = ["fs", "-p", "-f", f"big={place / 'big'}", "-f", f"small={place / 'small'}"]
    with Server(boxes, place / "log") as server:
        steps = {
            f"{mode} mount": mount(server.port, f"/{mode}", options=f"cache={mode}")
            for mode in MODES
        }
        for mode in MODES:
            steps |= each(mode)
        steps |= CHANGES
        for mode in MODES:
            steps |= after(mode)
        anew = mount(server.port, "/anew", options="cache=loose")
        steps |= {"anew mount": anew} | after("anew")
        steps |= {f"{mode} end": f"umount /{mode}" for mode in (*MODES, "anew")}
        done = linux.run(list(steps.values()))
    return dict(zip(steps, done, strict=True))


def _md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest() + "  -"


def _raws(*numbers: int) -> list[str]:
    return [_md5(quoted(MAIL[n - 1].data)) for n in numbers]


@pytest.mark.parametrize("mode", [*MODES, "anew"])
def test_mounts_and_unmounts(results: dict[str, Result], mode: str) -> None:
    results[f"{mode} mount"].check()
    results[f"{mode} end"].check()


@pytest.mark.parametrize("mode", MODES)
def test_listings_are_complete(results: dict[str, Result], mode: str) -> None:
    names = "".join(f"{n}\n" for n in range(1, BIG + 1))
    assert results[f"{mode} big"].check().lines == [_md5(names.encode())]
    small = [str(n) for n in range(1, SMALL + 1)]
    assert results[f"{mode} small"].check().lines == small


@pytest.mark.parametrize("mode", MODES)
def test_contents_are_whole(results: dict[str, Result], mode: str) -> None:
    assert not any(b"\r" in MAIL[n - 1].data for n in READ)
    assert results[f"{mode} raw"].check().lines == _raws(*READ)
    assert results[f"{mode} raw again"].check().lines == _raws(*READ)
    rows = [line.split() for line in results[f"{mode} sizes"].out.decode().splitlines()]
    assert len(rows) > 20
    assert [row for row in rows if row[1] != row[2]] == []


@pytest.mark.parametrize("mode", [*MODES, "anew"])
def test_listings_are_current(results: dict[str, Result], mode: str) -> None:
    """Whoever removed what, and through which mount."""
    for step in ("rmdir none", "rmdir mmap", "ctl none", "ctl mmap"):
        results[step].check()
    left = [str(n) for n in range(1, SMALL + 1) if n not in GONE]
    assert results[f"{mode} then"].check().lines == left
    assert results[f"{mode} then raw"].check().lines == _raws(4)


@pytest.mark.parametrize("mode", [*LIVE, "anew"])
def test_contents_are_current(results: dict[str, Result], mode: str) -> None:
    results["flag"].check()
    assert results[f"{mode} then flags"].check().out == b"----rs-"
    gone = results[f"{mode} gone"]
    assert gone.status != 0
    assert gone.err.decode().strip().endswith("No such file or directory")


def test_loose_keeps_what_it_has_read(results: dict[str, Result]) -> None:
    """So the kernel's documentation says: for what nobody else changes."""
    assert results["loose flags"].check().out == b"----r--"
    assert results["loose then flags"].check().out == b"----r--"


@pytest.mark.parametrize("mode", [*MODES, "anew"])
def test_what_has_no_version_is_never_cached(
    results: dict[str, Result], mode: str
) -> None:
    assert results[f"{mode} path"].check().lines[0].endswith("/small")


def test_events_reach_every_mount(results: dict[str, Result]) -> None:
    lines = results["events"].check().lines
    assert len(lines) == 2
    for line in lines:
        assert re.fullmatch(r"modify small/7 [0-9a-f]{40}", line)
    assert results["event loose"].check().out == b""  # it believes the length, 0


def test_rm_is_rmdir(results: dict[str, Result]) -> None:
    """The files in a message cannot be removed, so rm -r removes nothing."""
    assert results["rm"].status != 0
    assert b"Permission denied" in results["rm"].err
    assert "8" in results["none then"].check().lines


@pytest.mark.parametrize("mode", LIVE)
def test_refusals_are_told(results: dict[str, Result], mode: str) -> None:
    assert results[f"bad {mode}"].status != 0
