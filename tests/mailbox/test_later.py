"""Changes that wait for their server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mailfs.errors import MailfsError
from mailfs.mailbox.drivers.imap.later import WaitingChange, WaitingChanges
from mailfs.mailbox.kinds import Flag

CASES = [
    (
        WaitingChange("flags", 7, 1, Flag.SEEN, Flag.FLAGGED),
        '["flags", 7, 1, 32, 8, ""]\n',
    ),
    (WaitingChange("delete", 1, 2), '["delete", 1, 2, 0, 0, ""]\n'),
    (
        WaitingChange("move", 1, 2, folder='a "b"/\u00e4'),
        '["move", 1, 2, 0, 0, "a \\"b\\"/\\u00e4"]\n',
    ),
]


@pytest.mark.parametrize(("change", "line"), CASES)
def test_lines(change: WaitingChange, line: str) -> None:
    assert change.line() == line
    assert WaitingChange.parse(line) == change


NONE_OF_OURS = [
    "x",
    "[]",
    "[1]",
    "{}",
    "[" * 100_000,
    '["flags", 1, 2, 3]',
    '["empty", 1, 2, 0, 0, ""]',  # a verb of another version
    '[["flags"], 1, 2, 32, 0, ""]',
    '["delete", 0, 2, 0, 0, ""]',
    '["delete", 1, 0, 0, 0, ""]',
    '["delete", 1, -2, 0, 0, ""]',
    '["delete", 1, 4294967296, 0, 0, ""]',
    '["delete", 1, 2.5, 0, 0, ""]',
    '["delete", true, 2, 0, 0, ""]',
    '["delete", "1", 2, 0, 0, ""]',
    '["delete", 1, 2, 32, 0, ""]',
    '["delete", 1, 2, 0, 0, "Trash"]',
    '["flags", 1, 2, 0, 0, ""]',
    '["flags", 1, 2, 4096, 0, ""]',
    '["flags", 1, 2, 16, 0, ""]',
    '["flags", 1, 2, 32, 32, ""]',
    '["move", 1, 2, 0, 0, ""]',
    '["move", 1, 2, 0, 0, null]',
    '["move", 1, 2, 0, 0, "a\\r\\nb"]',
    '["delete", 1, 2, 0, 0, ""] x',
]


@pytest.mark.parametrize("line", ["", *NONE_OF_OURS])
def test_lines_that_are_none(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # json's own, or ours
        WaitingChange.parse(line)


def changes(count: int, first: int = 0) -> list[WaitingChange]:
    return [WaitingChange("delete", 1, n + 1) for n in range(first, first + count)]


def test_in_order(tmp_path: Path) -> None:
    queue = WaitingChanges(tmp_path / "q" / "x")
    assert queue.waiting() == []
    queue.add(changes(3))
    queue.add(changes(2, 3))
    assert queue.waiting() == changes(5)
    queue.done(2)
    assert queue.waiting() == changes(3, 2)
    queue.add(changes(1, 5))
    queue.done(4)
    assert queue.waiting() == []
    assert len(queue) == 0


def test_it_is_nobody_elses(tmp_path: Path) -> None:
    queue = WaitingChanges(tmp_path / "q" / "x")
    queue.add(changes(1))
    assert queue.path.stat().st_mode & 0o777 == 0o600
    assert queue.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_line_cut_short_was_promised_to_nobody(tmp_path: Path) -> None:
    queue = WaitingChanges(tmp_path / "x")
    queue.add(changes(3))
    whole = queue.path.read_bytes()
    for cut in range(len(whole)):
        queue.path.write_bytes(whole[:cut])
        waiting = queue.waiting()
        assert waiting == changes(whole[:cut].count(b"]"))
        queue.add(changes(1, 9))
        assert queue.waiting() == [*waiting, *changes(1, 9)]


def test_lines_that_are_no_changes_are_put_aside(tmp_path: Path) -> None:
    """Never sent, never lost, counted; the good ones stay in their order."""
    queue = WaitingChanges(tmp_path / "x")
    queue.add(changes(2))
    bad = [line.encode() for line in NONE_OF_OURS] + [b"\xff\xfe", b"\0" * 40]
    with queue.path.open("ab") as file:
        file.writelines(line + b"\n" for line in bad)
    queue.add(changes(2, 2))
    assert queue.waiting() == changes(4)
    assert queue.aside == len(bad)
    assert queue.bad.read_bytes() == b"".join(line + b"\n" for line in bad)
    assert queue.bad.stat().st_mode & 0o777 == 0o600
    again = WaitingChanges(tmp_path / "x")
    assert (again.waiting(), again.aside) == (changes(4), len(bad))
    again.done(4)
    assert (len(again), again.aside) == (0, len(bad))


def test_damage_found_when_some_are_done(tmp_path: Path) -> None:
    queue = WaitingChanges(tmp_path / "x")
    queue.add(changes(2))
    queue.path.write_bytes(b"garbage\n" + queue.path.read_bytes())
    queue.done(1)
    assert (queue.waiting(), queue.aside) == (changes(1, 1), 1)


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    queue = WaitingChanges(tmp_path / "x", most=100)
    queue.add(changes(10))
    with pytest.raises(MailfsError, match="too many changes wait"):
        queue.add(changes(1))
    assert queue.waiting() == changes(10)


_ADDER = """
import sys
from pathlib import Path
from mailfs.mailbox.drivers.imap.later import WaitingChange, WaitingChanges
queue = WaitingChanges(Path(sys.argv[1]))
for uid in range(int(sys.argv[2]), int(sys.argv[2]) + 200):
    queue.add([WaitingChange("delete", 1, uid + 1)])
    print(uid, flush=True)
"""


def test_nothing_is_lost_between_processes(tmp_path: Path) -> None:
    """One adds while another says what is done."""
    queue = WaitingChanges(tmp_path / "x")
    adder = subprocess.Popen(
        [sys.executable, "-c", _ADDER, str(queue.path), "0"], stdout=subprocess.PIPE
    )
    taken: list[int] = []
    while adder.poll() is None or len(queue):
        waiting = queue.waiting()
        if waiting:
            taken += [one.uid for one in waiting]
            queue.done(len(waiting))
    assert adder.communicate()[0].count(b"\n") == 200
    assert taken == list(range(1, 201))


def test_killed_at_any_moment(tmp_path: Path) -> None:
    for n in range(5):
        queue = WaitingChanges(tmp_path / str(n))
        adder = subprocess.Popen(
            [sys.executable, "-c", _ADDER, str(queue.path), "0"],
            stdout=subprocess.PIPE,
        )
        assert adder.stdout is not None
        for _ in range(n * 7 + 1):
            adder.stdout.readline()
        adder.kill()
        told = n * 7 + 1 + adder.communicate()[0].count(b"\n")
        uids = [one.uid for one in queue.waiting()]
        assert uids == list(range(1, len(uids) + 1))
        assert len(uids) >= told
        assert os.path.exists(queue.path)
