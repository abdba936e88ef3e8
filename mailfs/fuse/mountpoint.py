"""Mounting by fusermount3, the one program of FUSE that may; fusermount3(1).

It passes the device's descriptor over a socket.  Nothing else of FUSE is needed, no
library and no compiler.  A shell that waits for our end unmounts, whatever ends us; the
option auto_unmount, meant for that, does nothing for most users in many versions.
"""

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mailfs.errors import MailfsError

DEVICE = Path("/dev/fuse")
HELPERS = ("fusermount3", "fusermount")
END_SECONDS = 10.0  # that fusermount3 may take to unmount

# read returns at the end of standard input, and that is when we end.
KEEPER = 'read -r _; exec "$0" -u -q -z -- "$1"'

_INSTALL = "install the package fuse3 (Debian, Ubuntu, Fedora, Arch, Alpine: fuse3)"


def missing() -> str | None:
    """Name the part of FUSE that this machine lacks and its remedy; None if nothing."""
    if not sys.platform.startswith("linux"):
        return f"FUSE is spoken as Linux does, and this is {sys.platform}"
    if _helper() is None:
        return f"fusermount3 is missing: {_INSTALL}"
    try:
        mode = DEVICE.stat().st_mode
    except OSError:
        mode = 0
    if not stat.S_ISCHR(mode):
        return (
            f"{DEVICE} is missing: modprobe fuse, or give the container the device "
            f"(docker run --device {DEVICE} --cap-add SYS_ADMIN)"
        )
    return None


def _helper() -> str | None:
    return next(filter(None, map(shutil.which, HELPERS)), None)


class Mountpoint:
    """A directory with a file system on it, from its making to close."""

    def __init__(self, directory: Path, options: Sequence[str]) -> None:
        """Mount on directory with fusermount3's options; fd is the device.

        Raises MailfsError that says what is missing, or what fusermount3 said.
        """
        lack = missing()
        if lack is not None:
            raise MailfsError(lack)
        if not directory.is_dir():
            raise MailfsError(f"{directory}: not a directory")
        helper = _helper()
        assert helper is not None
        self.fd = _mount(helper, directory.absolute(), options)
        self._keeper = subprocess.Popen(  # noqa: S603  # the directory is no code
            ["/bin/sh", "-c", KEEPER, helper, directory.absolute()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def close(self, *, mounted: bool = True) -> None:
        """Unmount, even if busy, unless that has been done."""
        assert self._keeper.stdin is not None
        if not mounted:
            self._keeper.kill()  # by now, something else may be mounted there
        self._keeper.stdin.close()
        try:
            self._keeper.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()


def _mount(helper: str, directory: Path, options: Sequence[str]) -> int:
    """Mount, and return the device's descriptor."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(  # noqa: S603  # no shell reads the words
            [helper, "-o", ",".join(options), "--", directory],
            env=os.environ | {"_FUSE_COMMFD": str(theirs.fileno())},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        theirs.close()
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    if not fds:
        said = done.stderr.decode("utf-8", "replace")
        why = " ".join(said.split()).removeprefix("fusermount3: ")
        raise MailfsError(why or f"{directory}: fusermount3 gave no device")
    os.set_inheritable(fds[0], False)
    return fds[0]
