"""Mailboxes that nobody uses go to sleep: an open one holds descriptors.

A sleeping mailbox shows what it showed, and whoever looks into it wakes it.  Where
very many are opened one after another, those go first whose opening is longest ago.
"""

import asyncio
import logging
import resource
from collections import OrderedDict
from collections.abc import Callable, Iterable

from mailfs.mailbox.mailbox import Mailbox

log = logging.getLogger(__name__)

REST = 300.0  # seconds without use after which a mailbox sleeps
LOOKS = 5  # looks in that time
MOST = 256  # mailboxes open at a time; each takes 300 kB, most of it SQLite's
EACH = 8  # descriptors that an open mailbox holds at most
OTHERS = 256  # descriptors that are for clients and servers


def affordable() -> int:
    """Return how many mailboxes may be open at a time, by the limit of descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST
    return min(max((soft - min(OTHERS, soft // 2)) // EACH, 8), MOST)


class Tired:
    """Sends the mailboxes of a registry to sleep."""

    def __init__(
        self,
        boxes: Callable[[], Iterable[Mailbox]],
        rest: float = REST,
        most: int | None = None,
    ) -> None:
        """Take those that boxes gives; most is how many may be open at a time."""
        self._boxes = boxes
        self._pause = rest / LOOKS
        self._most = affordable() if most is None else most
        self._open: OrderedDict[Mailbox, None] = OrderedDict()
        self._idle: dict[Mailbox, int] = {}  # looks at which nobody had used it
        self._task: asyncio.Task[None] | None = None
        self._crowd: asyncio.Task[None] | None = None

    def enter(self, box: Mailbox) -> None:
        """Take a mailbox that was added."""
        box.opened = self._opened
        if not box.asleep:
            self._opened(box)
        if self._task is None:
            self._task = asyncio.ensure_future(self._look())

    async def close(self) -> None:
        """Send none to sleep any more."""
        tasks = [t for t in (self._task, self._crowd) if t is not None]
        self._most = 1 << 30
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _opened(self, box: Mailbox) -> None:
        self._open[box] = None
        self._open.move_to_end(box)
        full = len(self._open) > self._most
        if full and (self._crowd is None or self._crowd.done()):
            self._crowd = asyncio.ensure_future(self._thin_out())

    async def _thin_out(self) -> None:
        """Send those to sleep whose opening is longest ago."""
        there = set(self._boxes())
        for box in list(self._open):
            if len(self._open) <= self._most:
                return
            if box.asleep or box not in there or await box.rest():
                self._open.pop(box, None)

    async def _look(self) -> None:
        """Look at each from time to time."""
        while True:
            await asyncio.sleep(self._pause)
            there = list(self._boxes())
            known = set(there)
            self._idle = {b: n for b, n in self._idle.items() if b in known}
            for box in there:
                if not box.idle():
                    self._idle.pop(box, None)
                    continue
                count = self._idle.get(box, 0) + 1
                self._idle[box] = count
                if count >= LOOKS and await box.rest():
                    log.debug("%s: nobody uses it: asleep", box.name)
                    self._open.pop(box, None)
                    del self._idle[box]
