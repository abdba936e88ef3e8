"""When a queued message is tried again, and when no more; runq in qer(8).

Pure: times are seconds since the epoch, of D.NAME (when it was queued) and of E.NAME
(when it was last tried).
"""

import hashlib
from dataclasses import dataclass

SHORTEST = 30.0  # seconds between attempts; upas's own first interval
LONGEST = 3600.0  # seconds; upas's last one
GROWTH = 0.5  # of the age at the last attempt; 30, 30, 30, 45, 68 ... seconds
JITTER = 0.1  # of the wait, so that what failed together comes back apart

GIVE_UP = 120.0  # hours; RFC 5321 section 4.5.4.1 wants four or five days
WARN = 4 * 3600.0  # seconds until the sender hears of a delay, once


@dataclass(frozen=True, slots=True)
class Times:
    """What the files of one message tell."""

    queued: float
    tried: float | None = None  # None: never

    def age(self, now: float) -> float:
        """Compute the time in the queue, in seconds."""
        return now - self.queued


def due(times: Times, name: str) -> float:
    """Compute the time of the next attempt; name seeds the jitter."""
    if times.tried is None:
        return times.queued
    wait = (times.tried - times.queued) * GROWTH
    return times.tried + min(max(wait, SHORTEST), LONGEST) * _spread(name)


def backoff(failures: int, name: str) -> float:
    """Return the seconds to leave a host alone that failed so many times in a row."""
    wait = SHORTEST * 2.0 ** min(failures - 1, 16)
    return min(wait, LONGEST) * _spread(name)


def _spread(name: str) -> float:
    seed = hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=2)
    return 1.0 + JITTER * (int.from_bytes(seed.digest()) / 0x8000 - 1.0)
