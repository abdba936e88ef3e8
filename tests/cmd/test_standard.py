"""Streams that are closed, full or unread: what was done is reported as done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.send.world import World

ME = "glenda"
TEXT = "To: bob\nSubject: hi\n\nhello\n"
BROKEN = [
    ">&-",
    ">/dev/full",
    "2>&-",
    "2>/dev/full",
    ">&- 2>&-",
    ">/dev/full 2>/dev/full",
    "| true",
    "2>&1 | true",
]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, user=ME)
    made.env |= {"MAILFS_ROOT": str(made.root), "LOGNAME": ME, "sysname": "kremvax"}
    made.env["NAMESPACE"] = str(tmp_path / "ns")
    return made


def shell(world: World, script: str, text: str = TEXT) -> tuple[int, str]:
    """Run a script of bash in which mailfs is ours; return status and all it said."""
    mailfs = f'mailfs() {{ "{sys.executable}" -P -m mailfs "$@"; }}\nset -o pipefail\n'
    done = subprocess.run(
        ["bash", "-c", mailfs + script],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **world.env},
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("streams", BROKEN)
@pytest.mark.parametrize(
    "verb", ["send -t", "send -d bob", "mail", "marshal -8", "upas/send bob"]
)
def test_a_delivery_is_no_failure(world: World, verb: str, streams: str) -> None:
    status, said = shell(world, f"mailfs {verb} {streams}")
    assert (status, "Traceback" in said) == (0, False), said
    assert len(world.mailbox("bob")) == 1


@pytest.mark.parametrize("streams", BROKEN)
def test_a_refusal_is_one(world: World, streams: str) -> None:
    status, said = shell(world, f"mailfs mail -s x nosuch {streams}")
    assert status == 1
    assert "Traceback" not in said
    assert len(world.mailbox(ME, "dead.letter")) == 1


@pytest.mark.parametrize("streams", BROKEN)
@pytest.mark.parametrize(
    "verb",
    ["runq", "kickqueue", "qer ROOT/mail/queue mail glenda net!x.org a@x.org"],
)
def test_other_verbs(world: World, verb: str, streams: str) -> None:
    told = verb.replace("ROOT", str(world.root))
    status, said = shell(world, f"mailfs {told} {streams}")
    assert (status, "Traceback" in said) == (0, False), said
    if verb.startswith("qer"):
        assert len(list((world.root / "mail/queue").glob("*/C.*"))) == 1


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("send -t", "standard input is closed"),
        ("send bob", "standard input is closed"),
        ("mail bob", "standard input is closed"),
        ("smtp net!x a@b.c d@e.f", "standard input is closed"),
    ],
)
def test_closed_input(world: World, verb: str, what: str) -> None:
    status, said = shell(world, f"mailfs {verb} <&-")
    assert (status, said.count("\n")) == (1, 1), said
    assert what in said


def test_input_that_is_not_needed(world: World) -> None:
    script = "mailfs mail -n -s x -a /etc/hostname bob <&- >&- 2>&-"
    assert shell(world, script)[0] == 0
    assert len(world.mailbox("bob")) == 1


@pytest.mark.parametrize("verb", ["--help", "--version", "send -x bob", "send --help"])
def test_what_cannot_be_printed_is_a_failure(world: World, verb: str) -> None:
    status, said = shell(world, f"mailfs {verb} >/dev/full")
    assert status == 1
    assert said.startswith("mailfs")
    assert said.count("\n") == 1, said


def test_no_file_gets_the_number_of_a_closed_output(world: World) -> None:
    (world.box("bob") / "mbox").write_bytes(b"")
    assert shell(world, "mailfs send -d bob <&0 >&- 2>&-")[0] == 0
    (got,) = world.mailbox("bob")
    assert b"delivered" not in got
