"""Root drains users' directories with their rights alone."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailfs.queue.spool import Job, enqueue, jobs
from mailfs.runq.users import Owner, owner
from mailfs.send.owner import do_as
from tests.queue.test_hostile import ENDS
from tests.queue.world import DATA, World
from tests.wait import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights")

USER, OTHER = "daemon", "nobody"
SCRIPT = """#!/bin/sh
(id -u; cat; echo) >>SEEN
"""


@pytest.fixture
def world() -> Iterator[World]:
    """Make a world that other users can reach."""
    with tempfile.TemporaryDirectory(prefix="mailfs") as name:
        root = Path(name)
        root.chmod(0o755)
        world = World(root)
        world.queue.mkdir(parents=True)
        world.queue.chmod(0o1777)
        seen = root / "seen"
        seen.touch()
        seen.chmod(0o666)
        (root / "mail/lib").mkdir(parents=True)
        script = root / "mail/lib/remotemail"
        script.write_text(SCRIPT.replace("SEEN", str(seen)))
        script.chmod(0o755)
        yield world


def put(world: World, user: str = USER) -> Job:
    """Put a message into a user's directory, as the user."""
    who = pwd.getpwnam(user)
    folder = world.queue / user
    before = set(jobs(folder))

    def act() -> None:
        enqueue(world.queue, user, DATA, ("mail", "/dev/null", "net!b.com", "a@b.com"))

    do_as((who.pw_uid, who.pw_gid), act)
    found = set(jobs(folder)) - before
    return found.pop() if found else Job(folder, "gone")


def command(world: World, *words: str) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-m", "mailfs", "runq", "--root", str(world.root), *words]
    return subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)


def runq(world: World, *words: str) -> str:
    with command(world, *words) as process:
        try:
            _, told = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, told
    return told


def seen(world: World) -> str:
    return (world.root / "seen").read_text()


def test_owner(world: World) -> None:
    job = put(world)
    who = pwd.getpwnam(USER)
    assert owner(job.folder) == Owner(USER, who.pw_uid, who.pw_gid, who.pw_dir)
    os.chown(job.folder, pwd.getpwnam(OTHER).pw_uid, -1)
    assert owner(job.folder) is None
    assert owner(world.queue / "nobody-has-this-name") is None
    (world.queue / "root").mkdir()
    assert owner(world.queue / "root") is None


def test_with_the_rights_of_the_owner(world: World) -> None:
    put_in = [put(world) for _ in range(3)]
    runq(world, "-a")
    assert not any(job.control.exists() for job in put_in)
    told = seen(world).split("\n")
    assert told.count(str(pwd.getpwnam(USER).pw_uid)) == 3
    assert told.count("hello") == 3
    assert "0" not in told


def test_what_leads_elsewhere_is_left(world: World) -> None:
    secret = world.root / "secret"
    secret.write_text("From root Sun Nov 22 12:45:08 2026\n\nsecret\n")
    secret.chmod(0o600)
    linked, wrote, waits = put(world), put(world), put(world)
    good = put(world)
    linked.path("D").unlink()
    linked.path("D").symlink_to(secret)
    wrote.path("E").symlink_to(secret)
    waits.path("C").unlink()
    os.mkfifo(waits.path("C"))
    before = secret.read_text()
    runq(world, "-a")
    assert "secret" not in seen(world)
    assert secret.read_text() == before
    assert not good.control.exists()
    assert stat.S_ISFIFO(waits.path("C").lstat().st_mode)


def test_a_directory_that_is_a_link(world: World) -> None:
    job = put(world, OTHER)
    (world.queue / USER).symlink_to(world.queue / OTHER)
    os.chown(world.queue / USER, pwd.getpwnam(USER).pw_uid, -1, follow_symlinks=False)
    told = runq(world, "-q", USER)
    assert job.control.exists()
    assert not seen(world)
    assert "left alone" in told


def test_in_the_name_of_another(world: World) -> None:
    """A directory of one user under another's name is nobody's."""
    job = put(world)
    squatted = world.queue / OTHER
    shutil.move(job.folder, squatted)
    told = runq(world, "-a")
    assert f"{squatted}: not the directory of a user: left alone" in told
    assert (squatted / f"C.{job.name}").exists()
    assert not seen(world)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_watch_and_end(world: World, sign: int) -> None:
    lib = world.root / "mail/lib/remotemail"
    with command(world, "--watch") as process:
        try:
            first = put(world)
            until(lambda: not first.control.exists())
            second = put(world)
            until(lambda: not second.control.exists())
            lib.write_text("#!/bin/sh\nexec sleep 60\n")
            last = put(world)
            until(lambda: _children(process.pid) == 3)  # supervisor, child, command
            process.send_signal(sign)
            process.wait(ENDS)
            until(lambda: not _running(world))
        finally:
            process.kill()
    assert last.control.exists()


def _children(pid: int) -> int:
    """Count the processes below one."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    found = [int(word) for task in tasks for word in task.read_text().split()]
    return len(found) + sum(map(_children, found))


def _running(world: World) -> list[str]:
    """List the processes of a world's runq."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(world.root).encode() in words:
            found.append(path.parent.name)
    return found
