"""Watching stores, so that mail is noticed when it comes, not when somebody looks.

Directories are watched by inotify, and only those whose entries tell, as the driver
names them.  Where inotify is not, or hears nothing because another machine may write
(network file systems), the store is looked at every few seconds.  Remote mailboxes
push by themselves.
"""

import asyncio
import logging
import os
from collections.abc import Collection
from dataclasses import dataclass, field

from mailfs.disk.inotify import IGNORED, MOVE_SELF, OVERFLOW, Inotify
from mailfs.disk.mounts import NETWORK, filesystem
from mailfs.errors import MailfsError
from mailfs.mailbox.driver import Driver
from mailfs.mailbox.mailbox import Mailbox
from mailfs.mailbox.pool import away

log = logging.getLogger(__name__)

POLL = 5.0  # seconds between looks at what cannot be watched; each is a stat or two
QUIET = 0.02  # seconds for what comes along with a change: a delivery is several


@dataclass(slots=True)
class _Watched:
    """One mailbox: the directories watched for it, and how far it is behind."""

    numbers: dict[int, frozenset[str] | None] = field(default_factory=dict)
    polled: bool = False
    dirty: bool = False
    placing: "asyncio.Task[None] | None" = None
    task: "asyncio.Task[None] | None" = None


class Watch:
    """Lists mailboxes again when their stores change."""

    def __init__(
        self, poll: float = POLL, network: Collection[str] = frozenset(NETWORK)
    ) -> None:
        """Watch none yet.  poll is in seconds."""
        self._poll = poll
        self._network = network
        self._boxes: dict[Mailbox, _Watched] = {}
        self._inotify: Inotify | None = None
        self._timer: asyncio.TimerHandle | None = None

    def add(self, box: Mailbox) -> None:
        """Begin to watch a mailbox, and list it once it is watched."""
        if box in self._boxes or not box.driver.watched(box.driver.path):
            return
        self._boxes[box] = watched = _Watched()
        self._place(box, watched)

    def discard(self, box: Mailbox) -> None:
        """Watch a mailbox no more."""
        watched = self._boxes.pop(box, None)
        if watched is None:
            return
        if watched.task is not None:
            watched.task.cancel()
        self._forget(watched)
        if not self._boxes:
            self.close()

    def close(self) -> None:
        """Watch nothing."""
        for box in list(self._boxes):
            watched = self._boxes.pop(box)
            if watched.task is not None:
                watched.task.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify = None  # whoever still adds to it has it closed

    def _place(self, box: Mailbox, watched: _Watched) -> None:
        """Have inotify watch for a mailbox; poll it if that cannot be."""
        if watched.placing is None:
            loop = asyncio.get_running_loop()
            watched.placing = loop.create_task(self._placed(box, watched))

    async def _placed(self, box: Mailbox, watched: _Watched) -> None:
        """Watch a mailbox's directories; away from the loop, for the disk may hang."""
        numbers: dict[int, frozenset[str] | None] = {}
        inotify = None
        try:
            inotify = self._started()
            numbers = await away(_watched, inotify, box.driver, self._network)
        except (MailfsError, OSError) as e:
            log.info("%s: not watched: %s", box.name, e)
        finally:
            watched.placing = None
        if self._boxes.get(box) is not watched or inotify is not self._inotify:
            return
        watched.numbers.update(numbers)
        watched.polled = not numbers
        if watched.polled:
            self._tick_later()
        if not box.asleep:
            self._look(box, watched)  # what came before it was watched

    def _started(self) -> Inotify:
        if self._inotify is None:
            self._inotify = Inotify()
            loop = asyncio.get_running_loop()
            loop.add_reader(self._inotify.fd, self._happened)
        return self._inotify

    def _forget(self, watched: _Watched) -> None:
        """Give back the watches that no other mailbox needs."""
        if self._inotify is not None:
            for number in watched.numbers:
                others = (w for w in self._boxes.values() if w is not watched)
                if not any(number in w.numbers for w in others):
                    self._inotify.remove(number)
        watched.numbers.clear()

    def _happened(self) -> None:
        assert self._inotify is not None
        for number, mask, name in self._inotify.read():
            for box, watched in list(self._boxes.items()):
                if mask & OVERFLOW:
                    self._look(box, watched)
                    continue
                if number not in watched.numbers:
                    continue
                names = watched.numbers[number]
                if mask & (IGNORED | MOVE_SELF):
                    # The directory has gone, or another may stand in its place.
                    watched.polled = True
                    self._tick_later()
                elif names is not None and name and name not in names:
                    continue
                self._look(box, watched)

    def _look(self, box: Mailbox, watched: _Watched) -> None:
        """List a mailbox again, once more if it changes meanwhile."""
        watched.dirty = True
        if watched.task is None:
            loop = asyncio.get_running_loop()
            watched.task = loop.create_task(_catch_up(box, watched))

    def _tick_later(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._poll, self._tick)

    def _tick(self) -> None:
        """Look at what is not watched; maybe it can be, by now."""
        self._timer = None
        for box, watched in self._boxes.items():
            if watched.polled:
                self._forget(watched)
                self._place(box, watched)
        if any(watched.polled for watched in self._boxes.values()):
            self._tick_later()


def _watched(
    inotify: Inotify, driver: Driver, network: Collection[str]
) -> dict[int, frozenset[str] | None]:
    """Add the directories of a store; none where another machine may write.

    Raises OSError if one cannot be watched.
    """
    real = os.path.realpath(driver.path)
    if filesystem(real).partition(".")[0] in network:
        return {}
    return {inotify.add(folder): names for folder, names in driver.watched(real)}


async def _catch_up(box: Mailbox, watched: _Watched) -> None:
    try:
        while watched.dirty:
            await asyncio.sleep(QUIET)
            watched.dirty = False
            await box.refreshed()
    finally:
        watched.task = None
