"""Biff: a line for each message that comes, as ``upas/fs -b`` prints it."""

import asyncio
from collections.abc import Callable

from mailfs.mailboxes.entity import Entity
from mailfs.mailboxes.events import NEW, Event
from mailfs.mailboxes.notify import Notifier
from mailfs.mailboxes.scopedset import ScopedMailboxes
from mailfs.printable import shown


class Biff:
    """Shows who wrote what, as mail comes."""

    def __init__(self, shelf: ScopedMailboxes, show: Callable[[str], None]) -> None:
        """Do nothing yet; show is given whole lines, without their ends."""
        self._show = show
        self._tell = Notifier(shelf, self._biff)

    async def run(self) -> None:
        """Show until cancelled."""
        telling = asyncio.ensure_future(self._tell.run())
        try:
            await self._tell.begin()
            await telling
        finally:
            telling.cancel()
            self._tell.pause()

    async def _biff(self, event: Event) -> None:
        if event.what == NEW:
            text = await self._tell.read(event, line)
            if text is not None:
                self._show(text)


def line(item: Entity) -> str:
    """Return ``[ from / subject / length ]``, with nothing a terminal would obey."""
    values = item.envelope
    text = f"[ {values.from_} / {values.subject} / {item.size()} ]"
    return shown(text)
