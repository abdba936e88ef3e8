"""The time one delivery may take, and its end from another thread.

Each wait of a delivery ends with it: look-ups, dialling, TLS, every reply.  Until the
end of the data has gone to the server the delivery may be cut without harm; from then
on only the server knows whether the mail is its own, so its answer is waited for.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mailfs.smtp.fate import DeliveryError

# Seconds for all but the data.  RFC 5321 section 4.5.3.2 grants five minutes to each
# reply, so to 100 recipients one after the other more than eight hours.
ATTEMPT = 1800.0
QUIET = 0.5  # seconds without a word after which a server counts as slow
LONG = 30.0  # seconds of any delivery after which it does


class Cut(DeliveryError):
    """A delivery was ended by its caller, or took too long; another one may do."""

    def __init__(self, text: str) -> None:
        super().__init__(text, permanent=False, enhanced="4.4.7")


class DeliveryLimit:
    """The clock of one delivery; cut() and the questions may come from any thread."""

    def __init__(
        self,
        seconds: float = ATTEMPT,
        quiet: float = QUIET,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin; seconds are for everything but the data of messages."""
        self._clock = clock
        self._quiet = quiet
        self._lock = threading.Lock()
        self._interrupt: Callable[[], None] | None = None
        self._sealed = False
        self._paused = False
        self._why = ""  # not empty: cut
        self.began = self._heard = clock()
        self.end = self.began + seconds

    def left(self, most: float) -> float:
        """Return the seconds for a wait that may take at most so many.

        Raises Cut if there are none, or if the delivery has been cut.
        """
        self.check()
        if self._paused:
            return most
        left = self.end - self._clock()
        if left <= 0:
            raise Cut(f"gave up after {self.end - self.began:.0f} seconds")
        return min(most, left)

    def check(self) -> None:
        """Raise Cut if the delivery has been cut."""
        if self._why:
            raise Cut(self._why)

    def heard(self) -> None:
        """Note that the other side has said something."""
        self._heard = self._clock()

    def seal(self) -> None:
        """Note that the end of the data goes out now.  Raises Cut if it must not."""
        with self._lock:
            self.check()
            self._sealed = True

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let time stand still while the data of a message goes, until its answer."""
        began, self._paused = self._clock(), True
        try:
            yield
        finally:
            with self._lock:
                self._sealed = False
            self._paused = False
            self.end += self._clock() - began

    @property
    def sealed(self) -> bool:
        """Whether the server has all of a message and has not answered."""
        return self._sealed

    @property
    def cut_off(self) -> bool:
        """Whether cut() has been called in time."""
        return bool(self._why)

    def cut(self, why: str) -> bool:
        """End the delivery and the wait it is in; False if it is too late for that."""
        with self._lock:
            if self._sealed:
                return False
            self._why = self._why or why
            if self._interrupt is not None:
                self._interrupt()
            return True

    @contextmanager
    def interruptible(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Have cut() call interrupt during the block; it must not wait or raise."""
        with self._lock:
            self.check()
            before, self._interrupt = self._interrupt, interrupt
        try:
            yield
        finally:
            with self._lock:
                self._interrupt = before

    @property
    def slow_at(self) -> float:
        """When it counts as slow, by the clock, if it goes on hearing nothing."""
        return min(self._heard + self._quiet, self.began + LONG)
