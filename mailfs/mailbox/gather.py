"""What readers wait for from a server, gathered into few round trips.

Whoever needs a header or a short message says so and waits.  While one batch is under
way the wishes of others collect, and go together in the next.  Who reads one message
after another gets those that follow in the same batch, more of them each time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from mailfs.mailbox.view import View

MAX_BATCH = 512  # messages fetched at once
MAX_OCTETS = 4 << 20  # octets of them, as far as listed; one may be larger

Fetch = Callable[[Sequence[int]], Awaitable[None]]
"""Bring messages of those numbers here; those that have gone are passed over."""


@dataclass(slots=True)
class _Ahead:
    """How far to read ahead of somebody who goes from row to row."""

    last: int = -2  # the row that was asked for last
    edge: int = -2  # the row that comes after what was fetched with it
    step: int = 1  # upwards or downwards
    count: int = 0  # rows to fetch beside the one that was asked for

    def after(self, row: int, most: int) -> range:
        """Return the rows to fetch with row, which nobody has yet."""
        if row == self.edge:
            self.count = min(2 * self.count + 1, most)
        elif abs(row - self.last) == 1:
            self.step, self.count = row - self.last, 1
        else:
            self.step, self.count = 1, 0
        self.last = row
        self.edge = row + self.step * (self.count + 1)
        return range(row + self.step, self.edge, self.step)


class Batcher:
    """One kind of wish, of all who read a mailbox; on the event loop."""

    def __init__(
        self,
        view: Callable[[], View],
        here: Callable[[int], bool],
        fetch: Fetch,
        most: int,
    ) -> None:
        """Wish for messages of the current view.

        here tells of a number whether its wish is fulfilled already; most is how many
        messages are read ahead at the utmost.
        """
        self._view = view
        self._here = here
        self._fetch = fetch
        self._most = most
        self._ahead = _Ahead()
        self._wanted: dict[int, asyncio.Future[None]] = {}
        self._running: asyncio.Task[None] | None = None

    async def want(self, number: int) -> None:
        """Wait until a message is here, or cannot be had; raises what fetch raised."""
        loop = asyncio.get_running_loop()
        future = self._wanted.get(number)
        if future is None:
            future = self._wanted[number] = loop.create_future()
        if self._running is None:
            self._running = asyncio.ensure_future(self._run())
        # A waiter that is cancelled leaves the wish to others who may have joined it.
        await asyncio.shield(future)

    async def _run(self) -> None:
        try:
            while self._wanted:
                await asyncio.sleep(0)  # whoever else is at the door comes along
                await self._batch()
        finally:
            self._running = None

    async def _batch(self) -> None:
        waiting: dict[int, asyncio.Future[None]] = {}
        for number in self._fitting(list(self._wanted)):
            waiting[number] = self._wanted.pop(number)
        numbers = list(waiting)
        numbers += self._following(numbers)
        try:
            await self._fetch(numbers)
        except Exception as e:  # noqa: BLE001  # whoever waits gets it
            for future in waiting.values():
                _fail(future, e)
        except BaseException:
            for future in waiting.values():
                future.cancel()
            raise
        for future in waiting.values():
            if not future.done():
                future.set_result(None)

    def _fitting(self, numbers: Iterable[int]) -> list[int]:
        """Return as many of the numbers as make one batch."""
        view, total = self._view(), 0
        fitting: list[int] = []
        for number in numbers:
            row = view.row(number)
            total += 0 if row is None else view.listing.sizes[row]
            if fitting and (len(fitting) == MAX_BATCH or total > MAX_OCTETS):
                break
            fitting.append(number)
        return fitting

    def _following(self, numbers: Sequence[int]) -> list[int]:
        """Return numbers that will be wanted next, as far as can be told."""
        view = self._view()
        ahead = range(0)
        for row in map(view.row, numbers):
            if row is not None:
                ahead = self._ahead.after(row, self._most)
        sizes, total = view.listing.sizes, 0
        more: list[int] = []
        for row in ahead:
            if not 0 <= row < view.count:
                break
            number = view.numbers[row]
            total += sizes[row]
            if total > MAX_OCTETS:
                break
            if number not in numbers and not self._here(number):
                more.append(number)
        return more


def _fail(future: "asyncio.Future[None]", e: Exception) -> None:
    if not future.done():
        future.set_exception(e)
        future.exception()  # whoever waited may have gone
