"""A disk that takes nothing: told once an hour, and tried again in a while."""

import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

RETRY = 30.0  # seconds in which a disk that took nothing is left alone
PROBE = 64 << 10  # octets written to find out whether a disk takes any
TOLD = 3600.0  # seconds until the same is logged again


class Outage:
    """Whether writing to one place is worth an attempt; any thread."""

    def __init__(
        self,
        log: logging.Logger,
        place: str,
        *,
        retry: float = RETRY,
        told: float = TOLD,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take a place that works; place begins what is logged."""
        self._log = log
        self._place = place
        self.retry = retry  # seconds
        self._every = told
        self._clock = clock
        self._lock = threading.Lock()
        self._why = ""
        self._until = 0.0  # on the clock
        self._told = -told  # likewise: when a line was logged
        self._count = 0  # failures since

    @property
    def why(self) -> str:
        """Why the last attempt failed; empty if it did not."""
        return self._why

    @property
    def closed(self) -> bool:
        """Whether it failed a moment ago, so that an attempt would be wasted."""
        return bool(self._why) and self._clock() < self._until

    def failed(self, why: str) -> None:
        """Note that an attempt failed."""
        with self._lock:
            now = self._clock()
            self._why, self._until = why, now + self.retry
            self._count += 1
            if now - self._told < self._every:
                return
            self._told, count, self._count = now, self._count, 0
        again = f" ({count} times)" if count > 1 else ""
        self._log.warning("%s: %s; kept in memory%s", self._place, why, again)

    def worked(self) -> None:
        """Note that an attempt was a success."""
        if not self._why:
            return
        with self._lock:
            self._why = ""
        self._log.info("%s: written again", self._place)


def probe(directory: Path) -> str:
    """Return why a directory takes no octets; empty if it does, or is not there."""
    if not directory.exists():
        return ""
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(bytes(PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as e:
        return e.strerror or str(e)
    return ""
