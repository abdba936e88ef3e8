"""Waiting for descriptors.

By poll: select takes no descriptor above 1023, and a server of many files has such.
"""

import errno
import select
from collections.abc import Iterable


def readable(descriptors: Iterable[int], seconds: float | None = None) -> set[int]:
    """Return the descriptors that can be read, or whose peer has hung up.

    Waits for the first of them at most so many seconds, without end for None.  Raises
    OSError (EBADF) for one that has been closed.
    """
    poll = select.poll()
    for fd in descriptors:
        if fd < 0:
            raise OSError(errno.EBADF, "the connection is closed")
        poll.register(fd, select.POLLIN)
    patience = None if seconds is None else max(0.0, seconds) * 1000
    return {fd for fd, _ in poll.poll(patience)}
