"""Passing events on, one after the other, to something that may take its time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from mailfs.errors import MailfsError
from mailfs.mailbox.message import Need
from mailfs.mailboxes.entity import Entity
from mailfs.mailboxes.events import Event
from mailfs.mailboxes.retry import retrying
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.mailboxes.scopedset import Follow, ScopedMailboxes

log = logging.getLogger(__name__)

WAITING = 1000  # changes that may wait to be told
T = TypeVar("T")


class Notifier:
    """Listens to all mailboxes of a shelf and tells each event."""

    digests = True

    def __init__(
        self, shelf: ScopedMailboxes, tell: Callable[[Event], Awaitable[None]]
    ) -> None:
        """Do nothing yet."""
        self._shelf = shelf
        self._tell = tell
        self._follow: Follow | None = None
        self._waiting: asyncio.Queue[Sequence[Event]] = asyncio.Queue(WAITING)

    async def begin(self) -> None:
        """Listen, if that has not begun."""
        if self._follow is None:
            self._follow = self._shelf.follow(self)
            await self._follow.begin()

    def pause(self) -> None:
        """Listen no more."""
        if self._follow is not None:
            self._follow.end()
            self._follow = None

    async def run(self) -> None:
        """Tell what is heard, until cancelled."""
        while True:
            for event in await self._waiting.get():
                await self._tell(event)

    def put(self, events: Sequence[Event]) -> None:
        """Take events; Listener."""
        try:
            self._waiting.put_nowait(events)
        except asyncio.QueueFull:
            log.info("too many events, %d are not told", len(events))

    def end(self) -> None:
        """Know that a mailbox is closed; Listener."""

    async def read(self, event: Event, job: Callable[[Entity], T]) -> T | None:
        """Do job with an event's message, on its worker; None if it has gone.

        Whatever the header says is at hand.
        """
        box = self._shelf.get(event.box)
        if box is None:
            return None
        try:
            return await retrying(box, partial(_read, box, event.number, job))
        except (MailfsError, OSError) as e:
            log.info("%s/%d: %s", event.box, event.number, e)
            return None


async def _read(
    box: ScopedMailbox, number: int, job: Callable[[Entity], T]
) -> T | None:
    message = box.message(number)
    if message is None:
        return None
    await box.prepare(message, Need.HEAD)
    return await box.run(partial(job, Entity(box, message)))
