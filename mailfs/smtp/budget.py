"""Memory for messages that are changed as a whole, shared by all deliveries."""

import threading

from mailfs.smtp.fate import DeliveryError
from mailfs.smtp.limit import DeliveryLimit

MEMORY = 128 << 20  # octets for all of them
WAIT = 120.0  # seconds for others to be done; the server at hand waits meanwhile


class MemoryBudget:
    """Octets that deliveries share; safe in any thread.

    One that needs more than all gets it when no other has any.
    """

    def __init__(self, octets: int = MEMORY, wait: float = WAIT) -> None:
        self._most = octets
        self._wait = wait
        self._used = 0
        self._freed = threading.Condition()

    def take(self, octets: int, limit: DeliveryLimit) -> None:
        """Wait for octets.  Raises DeliveryError, temporary, if it takes too long."""
        with self._freed:
            seconds = limit.left(self._wait)
            if not self._freed.wait_for(lambda: self._fits(octets), seconds):
                text = "too many large messages are under way"
                raise DeliveryError(text, permanent=False, enhanced="4.3.1")
            self._used += octets

    def _fits(self, octets: int) -> bool:
        return not self._used or self._used + octets <= self._most

    def give(self, octets: int) -> None:
        """Give octets back."""
        with self._freed:
            self._used -= octets
            self._freed.notify_all()
