"""What ``mailfs mount`` needs, and mounts whose server has gone."""

import errno
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from mailfs.doctor.finding import Finding, bad, note, ok
from mailfs.doctor.world import DoctorWorld
from mailfs.fuse import mountpoint

WHAT = "fuse"
MOUNTS = Path("/proc/self/mounts")
KIND = "fuse.9p"


def check(world: DoctorWorld) -> Iterator[Finding]:
    """Look for the device and its helper; no library is needed."""
    lack = mountpoint.missing()
    if lack is not None:
        yield note(WHAT, lack, _install(lack))
        return
    if not os.access(mountpoint.DEVICE, os.R_OK | os.W_OK):
        remedy = f"sudo chmod a+rw {mountpoint.DEVICE}"
        yield note(WHAT, f"{mountpoint.DEVICE}: permission denied", remedy)
        return
    mounts = list(_mounts())
    for path in mounts:
        try:
            os.stat(path)
        except OSError as e:
            if e.errno != errno.ENOTCONN:
                continue
            remedy = f"fusermount3 -u {shlex.quote(path)}"
            yield bad(WHAT, f"{path}: its server has gone", remedy)
    yield ok(WHAT, f"{mountpoint.DEVICE} and fusermount3 are there")


def _install(lack: str) -> str:
    if "fusermount3" in lack:
        return "sudo apt-get install fuse3"
    return "sudo modprobe fuse" if "modprobe" in lack else ""


def _mounts() -> Iterator[str]:
    """Give the directories that our kind of server is mounted on."""
    try:
        text = MOUNTS.read_text(errors="surrogateescape")
    except OSError:
        return
    for line in text.split("\n"):
        words = line.split(" ")
        if len(words) > 2 and words[2] == KIND:
            # As the kernel writes them: blanks in octal; proc_mounts(5).
            yield words[1].replace("\\040", " ").replace("\\011", "\t")
