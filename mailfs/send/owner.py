"""Doing something as the user whose it is, where we are root.

A child does it, forked and not started anew: that user may be unable to read the
program that root runs.
"""

import os
from collections.abc import Callable

from mailfs.send.refusal import UNWRITTEN, Refusal, temporary

MAX_TEXT = 1024  # octets of a refusal's text that come back


def do_as(owner: tuple[int, int], act: Callable[[], None]) -> None:
    """Call act with the rights of (uid, gid) alone, and wait.

    What it needs has to be imported already.  Raises Refusal, temporary, if act does or
    if it fails otherwise.
    """
    source, sink = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(owner, act, sink)
    os.close(sink)
    with open(source, "rb") as f:
        text = f.read(MAX_TEXT).decode("utf-8", "replace")
    _, status = os.waitpid(pid, 0)
    if status:
        raise temporary(text or UNWRITTEN)


def _child(owner: tuple[int, int], act: Callable[[], None], sink: int) -> None:
    status = 1
    try:
        os.setgroups([])
        os.setgid(owner[1])
        os.setuid(owner[0])
        act()
        status = 0
    except Refusal as e:
        os.write(sink, e.text.encode("utf-8", "replace"))
    finally:
        # Not exit: what the parent has open and buffered is the parent's.
        os._exit(status)
