"""Giving memory back to the system when many peers have gone.

malloc keeps what it was once given; glibc's malloc_trim(3) returns what lies free.
"""

import asyncio
import ctypes
from collections.abc import Callable

CROWD = 64  # connections that are many
LATER = 0.5  # seconds after most have gone, for there may be more to free


class Trim:
    """Watches how many connections a server has.  Used on its loop only."""

    __slots__ = ("_most", "_trim")

    def __init__(self) -> None:
        """Find malloc_trim; where there is none nothing is ever done."""
        self._most = 0
        found: Callable[[int], int] | None
        found = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._trim = found

    def came(self, connections: int) -> None:
        """Note how many there are after one has come."""
        self._most = max(self._most, connections)

    def went(self, connections: int) -> None:
        """Note how many there are after one has gone; trim after a crowd."""
        if self._trim is None or self._most < CROWD or connections > self._most // 4:
            return
        self._most = connections
        asyncio.get_running_loop().call_later(LATER, self._trim, 0)
