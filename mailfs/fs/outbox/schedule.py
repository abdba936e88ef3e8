"""The thread that sends letters: each when it has rested, or at once."""

import threading
import time
from collections import deque
from collections.abc import Callable

from mailfs.fs.outbox.letter import Letter


class Schedule:
    """The letters to be sent, and the one thread that takes them in turn."""

    def __init__(
        self,
        take: Callable[[Letter], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start with no letters; take is called in the thread and must not raise."""
        self._take = take
        self._clock = clock
        self._changed = threading.Condition()
        self._now: deque[Letter] = deque()
        self._resting: dict[Letter, float] = {}  # when each is due, by the clock
        self._busy = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def put(self, letter: Letter, rest: float = 0.0) -> None:
        """Take a letter after so many seconds of rest."""
        with self._changed:
            if rest > 0:
                self._resting[letter] = self._clock() + rest
            else:
                self._resting.pop(letter, None)
                self._now.append(letter)
            self._changed.notify_all()

    def cancel(self, letter: Letter) -> bool:
        """Take a resting letter back.  Return False if it does not rest any more."""
        with self._changed:
            return self._resting.pop(letter, None) is not None

    def hurry(self, letter: Letter) -> None:
        """End a letter's rest, if it rests."""
        with self._changed:
            if letter in self._resting:
                self._resting[letter] = self._clock()
                self._changed.notify_all()

    def settle(self, timeout: float | None = None) -> bool:
        """End all rest and wait, so many seconds, until nothing is left to take.

        Return whether nothing is.
        """
        with self._changed:
            now = self._clock()
            self._resting = dict.fromkeys(self._resting, now)
            self._changed.notify_all()
            return self._changed.wait_for(
                lambda: not (self._now or self._resting or self._busy), timeout
            )

    def stop(self) -> None:
        """End the thread once it has taken what is due; the others are left."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while (letter := self._next()) is not None:
            self._take(letter)

    def _next(self) -> Letter | None:
        """Wait for the next letter that is due; None if there will be none."""
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            while True:
                now = self._clock()
                for letter in [one for one, due in self._resting.items() if due <= now]:
                    del self._resting[letter]
                    self._now.append(letter)
                if self._now:
                    self._busy = True
                    return self._now.popleft()
                if self._stopped:
                    return None
                wait = min(self._resting.values()) - now if self._resting else None
                self._changed.wait(wait)
