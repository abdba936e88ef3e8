"""Total time for one answer, however slowly its octets drip."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SLOWEST = 1024  # octets a second; slower than any line mail is read over
LONGEST = 4 * 3600.0  # seconds that one answer may be waited for, whatever comes

Clock = Callable[[], float]


class Deadline:
    """The time one answer may be waited for, in all; only waiting counts.

    A server that says nothing has the seconds; one that sends much has longer, but no
    longer than if it sent ``slowest`` octets a second, nor than ``longest`` seconds.
    """

    def __init__(
        self,
        seconds: float,
        clock: Clock = time.monotonic,
        slowest: float = SLOWEST,
        longest: float = LONGEST,
    ) -> None:
        self._clock = clock
        self._slowest = slowest
        self._left = seconds
        self._longest = longest

    @contextmanager
    def waiting(self) -> Iterator[float]:
        """Count the time within; gives the seconds left, more than 0.

        Raises TimeoutError if there are none.
        """
        left = min(self._left, self._longest)
        if left <= 0:
            raise TimeoutError("timed out")
        began = self._clock()
        try:
            yield left
        finally:
            spent = self._clock() - began
            self._left -= spent
            self._longest -= spent

    def got(self, octets: int) -> None:
        """Count octets that have come, or have been taken by the peer."""
        self._left += octets / self._slowest
