"""Seconds between attempts at what fails: doubled each time, with jitter.

Jitter keeps the mailboxes that one server has dropped from coming back all at once.
"""

import random
import time
from collections.abc import Callable

JITTER = 0.3  # share of the seconds that is left to chance


class Backoff:
    """The next attempt's time; used by one thread."""

    def __init__(
        self,
        first: float,
        longest: float,
        *,
        jitter: float = JITTER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Wait first seconds after a failure, and longest after many."""
        self._first = first
        self._longest = longest
        self._jitter = jitter
        self._clock = clock
        self.seconds = 0.0  # between attempts, 0 after a success
        self._next = 0.0  # when the next is due, on the clock

    def failed(self, least: float = 0.0) -> float:
        """Note a failure; seconds until the next attempt, at least about least."""
        wait = max(2 * self.seconds, self._first, least)
        self.seconds = min(wait, max(self._longest, least))
        chance = random.uniform(1.0 - self._jitter, 1.0)  # noqa: S311  # no secret
        self._next = self._clock() + self.seconds * chance
        return self.left

    def succeeded(self) -> None:
        """Begin with the first seconds after the next failure."""
        self.seconds = self._next = 0.0

    @property
    def left(self) -> float:
        """Seconds until the next attempt is due; 0 if it is."""
        return max(0.0, self._next - self._clock())
