"""The Linux kernel's own 9P client reads and empties our mailboxes.

One boot runs all steps; each test then looks at the results of its own.
"""

import hashlib
from pathlib import Path

import pytest

from tests.corpus import corpus, message, quoted, write_maildir, write_mbox
from tests.live.kernel import Kernel, Result, mount
from tests.live.server import Server

pytestmark = [pytest.mark.live, pytest.mark.slow]

BIG = 10_000  # messages of the Maildir
SMALL = 60  # messages of the mbox
GONE = (3, 5, 6, 60)  # messages of the mbox that the steps remove

MAIL = list(corpus(SMALL, seed=9))
NEEDLE = b"9.25@example.com"  # in the Message-ID of 26 and the References of replies

NUMBERS = "printf '%s\\n' * | grep -x '[0-9]*' | sort -n"
SIZES = """
cd /m/small
for f in 1/* 2/* 9/* 10/*; do
    [ -f $f ] || continue
    echo $f $(stat -c %s $f) $(wc -c <$f)
done
"""

# Every step is a process of its own; the names are for the tests below.
STEPS = {
    "root": "ls /m",
    "big": f"cd /m/big && {NUMBERS} | md5sum",
    "big ident": f"cat /m/big/{BIG}/messageid",
    "numbers": f"cd /m/small && {NUMBERS}",
    "raw": f"cd /m/small && for n in $(seq {SMALL}); do md5sum <$n/raw; done",
    "grep": f"cd /m/small && grep -rl '{NEEDLE.decode()}' $(seq 50)",
    "sizes": SIZES,
    "find": "cd /m/small && find 1",
    "find all": "cd /m/small && find . -maxdepth 2 -name raw | wc -l",
    "no such message": "cat /m/small/9999/subject",
    "no such file": "cat /m/small/1/nonesuch",
    "no such box": "ls /m/nonesuch",
    "make": "mkdir /m/small/new",
    "write": "echo x >/m/small/1/subject",
    "read part": "dd if=/m/small/1/raw bs=7 skip=3 count=2 2>/dev/null",
    "delete": "echo delete small 5 6 >/m/ctl",
    "rmdir": "rmdir /m/small/3",
    "rmdir last": f"rmdir /m/small/{SMALL}",
    "bad ctl": "echo frobnicate small >/m/ctl",
    "numbers after": f"cd /m/small && {NUMBERS}",
    "deleted": "cat /m/small/5/subject",
    "unmount": "umount /m",
}


def _md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest() + "  -"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mail") / "small"
    write_mbox(path, MAIL)
    return path


@pytest.fixture(scope="module")
def results(
    linux: Kernel, small: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Result]:
    """Return what each step did by its name; the server has ended by then."""
    place = tmp_path_factory.mktemp("big")
    write_maildir(place / "big", corpus(BIG))
    boxes = ["fs", "-f", f"big={place / 'big'}", "-f", f"small={small}"]
    with Server(boxes, place / "log") as server:
        steps = {"mount": mount(server.port)} | STEPS
        for version in ("9p2000.u", "9p2000.L"):
            options = f"version={version}"
            steps[version] = _visit(server.port, options)
        steps["loose"] = _visit(server.port, "cache=loose")
        done = linux.run(list(steps.values()))
    return dict(zip(steps, done, strict=True))


def _visit(port: int, options: str) -> str:
    """Mount with options, read two files whole and unmount."""
    read = "md5sum </n/small/1/raw && md5sum </n/small/2/raw"
    return f"{mount(port, '/n', options=options)} && {read} && umount /n"


def test_mounts(results: dict[str, Result]) -> None:
    results["mount"].check()
    assert {"ctl", "big", "small"} <= set(results["root"].check().lines)
    results["unmount"].check()


def test_listing_is_complete(results: dict[str, Result]) -> None:
    names = "".join(f"{n}\n" for n in range(1, BIG + 1))
    assert results["big"].check().lines == [_md5(names.encode())]
    ident = results["big ident"].check().out.strip(b"<>\n")
    assert b"Message-ID: <" + ident + b">\n" in message(BIG - 1).data
    assert results["numbers"].check().lines == [str(n) for n in range(1, SMALL + 1)]


def test_messages_arrive_whole(results: dict[str, Result]) -> None:
    """All but those with a carriage return, which a server may drop."""
    found = results["raw"].check().lines
    assert len(found) == SMALL
    for mail, line in zip(MAIL, found, strict=True):
        if b"\r" not in mail.data:
            assert line == _md5(quoted(mail.data)), mail.index


def test_grep_finds_all(results: dict[str, Result]) -> None:
    found = {int(line.partition("/")[0]) for line in results["grep"].check().lines}
    assert found == {m.index + 1 for m in MAIL[:50] if NEEDLE in m.data}
    assert len(found) > 1


def test_length_is_what_is_read(results: dict[str, Result]) -> None:
    rows = [line.split() for line in results["sizes"].check().lines]
    assert len(rows) > 80
    assert [row for row in rows if row[1] != row[2]] == []


def test_find_walks_a_message(results: dict[str, Result]) -> None:
    found = set(results["find"].check().lines)
    assert {"1", "1/raw", "1/subject", "1/body", "1/info", "1/from"} <= found
    assert results["find all"].check().lines == [str(SMALL)]


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ("no such message", "No such file or directory"),
        ("no such file", "No such file or directory"),
        ("no such box", "No such file or directory"),
        ("make", "Permission denied"),
        ("write", "Permission denied"),
        ("deleted", "No such file or directory"),
    ],
)
def test_refusals_have_an_errno(
    results: dict[str, Result], step: str, text: str
) -> None:
    result = results[step]
    assert result.status != 0
    assert result.err.decode().strip().endswith(text), f"{result}"


def test_read_from_the_middle(results: dict[str, Result]) -> None:
    assert results["read part"].check().out == quoted(MAIL[0].data)[21:35]


def test_removal(results: dict[str, Result], small: Path, tmp_path: Path) -> None:
    for step in ("delete", "rmdir", "rmdir last"):
        results[step].check()
    left = [n for n in range(1, SMALL + 1) if n not in GONE]
    assert results["numbers after"].check().lines == [str(n) for n in left]
    rest = tmp_path / "rest"
    write_mbox(rest, (m for n, m in enumerate(MAIL, 1) if n in left))
    assert small.read_bytes() == rest.read_bytes()
    assert results["bad ctl"].status != 0


@pytest.mark.parametrize("step", ["9p2000.u", "9p2000.L", "loose"])
def test_other_mounts(results: dict[str, Result], step: str) -> None:
    whole = [_md5(quoted(mail.data)) for mail in MAIL[:2]]
    assert results[step].check().lines == whole
