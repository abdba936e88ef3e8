"""The rows of the performance table that need FUSE: programs on mounts and plain files.

The floor is the same program on a copy of the tree, files in the page cache.  Each run
begins after what the mount knows has grown stale, so that it has to ask again.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rows import Row
from world import World, median, timed

SMALL = 1_000  # messages of the mailbox that is read whole
LISTED = (1_000, 10_000, 100_000)
MOUNTS = 8
STALE_SECONDS = 1.1
START_SECONDS = 60
NEEDLE = "no mail has this in it"


@contextmanager
def mounted(world: World, socket: Path, name: str = "mount") -> Iterator[Path]:
    """Mount the server at a socket; give the directory."""
    directory = world.home / name
    directory.mkdir(exist_ok=True)
    command = world.command("mount", "-f", "-a", f"unix!{socket}", directory)
    mount = subprocess.Popen(command, env=world.env)
    try:
        end = time.monotonic() + START_SECONDS
        while not directory.is_mount():
            if mount.poll() is not None or time.monotonic() > end:
                sys.exit(f"{command} did not start")
            time.sleep(0.001)
        yield directory
    finally:
        mount.terminate()
        mount.wait()


def run(script: str, directory: Path) -> None:
    """Run a script in a directory, for nobody to read."""
    command = ["sh", "-c", script]
    subprocess.run(command, cwd=directory, stdout=subprocess.DEVNULL)


def both(world: World, script: str, plain: Path, mount: Path) -> tuple[float, float]:
    """Return how many seconds a script takes on plain files, and on a mount.

    The mount's turn comes when what it knows has grown stale.
    """

    def stale() -> float:
        time.sleep(STALE_SECONDS)
        return timed(lambda: run(script, mount))

    floor = median(world.runs, lambda: timed(lambda: run(script, plain)))
    return floor, median(world.runs, stale)


def programs(world: World) -> Iterator[Row]:
    """Run programs that read all of a mailbox."""
    box = world.mbox(SMALL)
    world.index(box)
    copy = world.home / "copy"
    with (
        world.server(f"mbox={box}") as server,
        mounted(world, server.socket) as mount,
    ):
        subprocess.run(["cp", "-r", mount / "mbox", copy], check=True)
        with world.awake():
            for work, script, aim in (
                ("ls", "ls", ""),
                ("ls -l", "ls -l", ""),
                ("cat */subject", "cat */subject", "0.5 s"),
                ("grep -r in 91 of them", f"grep -r '{NEEDLE}' ?? 100", ""),
                ("rg in 91 of them", f"rg '{NEEDLE}' ?? 100", ""),
            ):
                if shutil.which(script.split()[0]):
                    floor, ours = both(world, script, copy, mount / "mbox")
                    yield row(f"FUSE, {SMALL} messages: {work}", floor, ours, aim)
    shutil.rmtree(copy)


def listings(world: World) -> Iterator[Row]:
    """List mailboxes, completely; the floor is as many directories."""
    for n in sorted({min(count, world.messages) for count in LISTED}):
        box = world.mbox(n)
        world.index(box)
        plain = world.home / f"plain{n}"
        for i in range(1, n + 1):
            (plain / str(i)).mkdir(parents=True)
        with (
            world.server(f"mbox={box}") as server,
            mounted(world, server.socket) as mount,
            world.awake(),
        ):
            here = mount / "mbox"
            found = sum(name.isdecimal() for name in os.listdir(here))
            if found != n:
                sys.exit(f"{found} of {n} messages are listed")
            for program in ("ls -f", "ls -l"):
                floor, ours = both(world, program, plain, here)
                yield row(f"FUSE, {program} of {n} messages", floor, ours, "")
        shutil.rmtree(plain)


def several(world: World) -> Iterator[Row]:
    """Read from eight mounts of one server at once; the floor is one of them alone."""
    box = world.mbox(SMALL)
    world.index(box)
    with world.server(f"mbox={box}") as server:
        mounts = [mounted(world, server.socket, f"mount{i}") for i in range(MOUNTS)]
        here = [mount.__enter__() / "mbox" for mount in mounts]
        script = ["sh", "-c", "cat */subject >/dev/null"]

        def read(them: list[Path]) -> float:
            time.sleep(STALE_SECONDS)
            since = time.monotonic()
            running = [subprocess.Popen(script, cwd=directory) for directory in them]
            for process in running:
                process.wait()
            return time.monotonic() - since

        try:
            with world.awake():
                floor = median(world.runs, lambda: read(here[:1]))
                ours = median(world.runs, lambda: read(here))
        finally:
            for mount in mounts:
                mount.__exit__(None, None, None)
    yield row(f"FUSE, cat */subject on {MOUNTS} mounts at once", floor, ours, "")


def row(work: str, floor: float, ours: float, aim: str) -> Row:
    """Return a row of times."""
    return Row(work, f"{floor:.3f} s", f"{ours:.3f} s", f"{ours / floor:.1f}x", aim)


ROWS: dict[str, Callable[[World], Iterator[Row]]] = {
    "fuse": programs,
    "fuse-ls": listings,
    "fuse-many": several,
}
