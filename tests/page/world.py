"""A new user's world: a root, a name space, a terminal."""

import os
import subprocess

from tests.setup.world import Place
from tests.wait import SOON, until


def spawn(place: Place, *argv: str) -> "subprocess.Popen[str]":
    """Start a server; the place ends what the test does not."""
    return subprocess.Popen(
        place.command(*argv),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=place.env,
    )


def serve(place: Place, *argv: str, service: str) -> "subprocess.Popen[str]":
    """Start a server and wait until it is posted."""
    process = spawn(place, *argv)
    until(lambda: (place.namespace / service).exists() or process.poll() is not None)
    return process


def end(process: "subprocess.Popen[str]") -> str:
    """End a server; return what it said on standard error."""
    process.terminate()
    return process.communicate(timeout=SOON)[1]


def unattended(place: Place, *argv: str) -> str:
    """Run a verb that fails, its errors on a terminal nobody types at; return them."""
    ours, theirs = os.openpty()
    done = subprocess.run(
        place.command(*argv),
        stdin=subprocess.DEVNULL,
        stderr=theirs,
        env=place.env,
        timeout=SOON,
        check=False,
    )
    os.close(theirs)
    text = os.read(ours, 65536).decode().replace("\r\n", "\n")
    os.close(ours)
    assert done.returncode == 1, text
    return text
