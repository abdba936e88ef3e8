"""Who takes away a whole directory, as ``rm -r`` does, and who but one file of it.

A 9P server may let a directory be removed with all that is in it, and refuse to remove
the files one by one: a message is one thing.  Unix has no such call; rm(1) removes
the files first and gives up where one is refused.  While it does, it has their
directory open, for it has to find them.  So we let a process that has a directory open
believe that it removed what the server keeps there, and it comes to the removal that
counts, of the directory above.  If that never comes, nothing was removed.

Whoever removes a single file has not opened its directory and is told the truth.
"""

from collections.abc import Iterable
from pathlib import Path

from mailfs.fuse.opendir import OpenDir


def process(thread: int, proc: Path = Path("/proc")) -> int:
    """Find the process of a thread, 0 if it cannot be told; proc(5).

    FUSE tells threads, and what removes directories may use several.
    """
    try:
        status = (proc / str(thread) / "status").read_text("ascii", "replace")
    except OSError:
        return 0
    rows = (line.split() for line in status.splitlines())
    return next((int(row[1]) for row in rows if row[0] == "Tgid:"), 0)


def opened_by(thread: int, opened: Iterable[OpenDir]) -> bool:
    """Whether a thread's process has one of these directories open."""
    threads = {directory.pid for directory in opened}
    if not threads or not thread:  # 0 is one in a namespace that we cannot see
        return False
    if thread in threads:
        return True
    ours = process(thread)
    return ours != 0 and ours in map(process, threads)
