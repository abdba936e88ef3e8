"""The folders of an account or directory, kept as open mailboxes.

A specification that ends with ``/*`` names every folder of something.  The set is
listed again and again: a folder that others make gets a mailbox, one that they remove
or rename loses it, within the poll interval.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Protocol

from mailfs.errors import EBOXGONE, MailfsError, Refused
from mailfs.mailbox.driver import Driver, Member, Place, RemoteDriver
from mailfs.mailbox.drivers import members
from mailfs.mailbox.drivers.called import told_apart
from mailfs.mailbox.mailbox import Mailbox, told
from mailfs.mailbox.pool import away
from mailfs.mailboxes.backoff import FIRST, pause

log = logging.getLogger(__name__)

POLL = 30.0  # seconds between looks at the folders there are; one question to a server


class OpenMailboxes(Protocol):
    """What a set needs of the mailboxes that it adds its own to: registry's part."""

    @property
    def place(self) -> Place:
        """Where mailboxes and their caches lie."""

    def __iter__(self) -> Iterator[Mailbox]:
        """Go through the open mailboxes."""

    def get(self, name: str) -> Mailbox | None:
        """Find an open mailbox by its name."""

    def reserved(self, name: str) -> bool:
        """Whether a name is about to be somebody else's."""

    async def add(self, name: str, path: str, driver: Driver, *, wake: bool) -> Mailbox:
        """Add a mailbox, asleep unless wake."""

    async def close(self, name: str) -> None:
        """Close a mailbox."""


class FolderSet:
    """The mailboxes of one specification with ``/*``."""

    def __init__(
        self, registry: OpenMailboxes, path: str, stem: str, poll: float = POLL
    ) -> None:
        """Open nothing yet.  stem begins the names of its mailboxes, if not empty."""
        self.path = path
        self.stem = stem
        self.boxes: dict[str, Mailbox] = {}  # by the path of the folder
        self._registry = registry
        self._poll = poll
        self._closed: set[str] = set()  # folders that a client has closed
        self._stand_in: Mailbox | None = None  # while nothing could be listed
        self._task: asyncio.Task[None] | None = None
        self._main_path = ""
        self._turn = asyncio.Lock()  # one listing at a time

    @property
    def main(self) -> Mailbox | None:
        """The mailbox that stands for the whole: the main folder's, else the first."""
        found = self.boxes.get(self._main_path)
        return found or next(iter(self.boxes.values()), None)

    async def begin(self, found: Sequence[Member] | None = None) -> Mailbox:
        """Open the main folder; the others sleep.  Raises what listing raises.

        Folders that a client had closed are opened again.  found spares the listing.
        """
        self._closed.clear()
        async with self._turn:
            if found is None:
                found = await self._listed()
            await self._apply(found)
        self._follow()
        main = self.main
        if main is None:
            raise Refused(EBOXGONE)
        return main

    def begin_later(self, stand_in: Mailbox) -> None:
        """Have stand_in in the place of all, and go on trying."""
        self._stand_in = stand_in
        self._main_path = stand_in.path
        self.boxes[stand_in.path] = stand_in
        self._follow()

    def dismiss(self, box: Mailbox) -> bool:
        """Leave a folder closed that a client has closed; True if none is left."""
        paths = [path for path, one in self.boxes.items() if one is box]
        for path in paths:
            del self.boxes[path]
            self._closed.add(path)
        return bool(paths) and not self.boxes

    async def end(self) -> None:
        """List no more; the mailboxes stay open."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _follow(self) -> None:
        if self._task is None:
            self._task = asyncio.ensure_future(self._go_on())

    async def _go_on(self) -> None:
        """List from time to time, and when a client has opened the stand-in."""
        failures, wait = 0, self._poll if self._stand_in is None else FIRST
        while True:
            if self._stand_in is None:
                await asyncio.sleep(wait)
            else:
                await self._stand_in.awoken(wait)
            try:
                async with self._turn:
                    await self._apply(await self._listed())
            except (OSError, MailfsError) as e:
                failures, wait = failures + 1, pause(e, failures)
                self._failed(e)
            else:
                failures, wait = 0, self._poll
                self._tell("")

    def _failed(self, error: OSError | MailfsError) -> None:
        if self._stand_in is None:
            self._tell(told(error))
        elif self._stand_in.asleep:
            self._stand_in.fail(error)

    def _tell(self, error: str) -> None:
        """Have status say why the folders cannot be listed; log it once."""
        main = self.main
        if main is not None and main.remarks.get("folders", "") != error:
            if error:
                log.info("%s: folders: %s", main.name, error)
            main.remarks["folders"] = error

    async def _listed(self) -> list[Member]:
        """List the folders.  Raises OSError and MailfsError; none at all is Refused."""
        place, main = self._registry.place, self.main
        if main is None or main.asleep or not isinstance(main.driver, RemoteDriver):
            found = await away(members, self.path, place)
        else:
            found = await main.run(lambda: members(self.path, place, main.driver))
        if not found:
            raise Refused(EBOXGONE)
        return found

    async def _apply(self, found: Sequence[Member]) -> None:
        """Close the mailboxes of folders that are gone, enter those of new ones."""
        registry = self._registry
        there = {one.path for one in found}
        self._main_path = next((one.path for one in found if not one.name), "")
        self._closed &= there
        titles = {one.path: self._title(one) for one in found}
        for path, box in list(self.boxes.items()):
            if registry.get(box.name) is not box:
                del self.boxes[path]
            elif path not in there or titles[path] != box.name:
                del self.boxes[path]
                await registry.close(box.name)
        stand_in, self._stand_in = self._stand_in, None
        if stand_in is not None and registry.get(stand_in.name) is stand_in:
            await stand_in.refreshed()
        known = {box.path for box in registry} | self._closed
        new = [one for one in found if one.path not in known]
        for one, made in zip(new, await away(_made, new), strict=True):
            await self._enter(titles[one.path], one, made)

    async def _enter(
        self, name: str, one: Member, made: Driver | OSError | MailfsError
    ) -> None:
        """Add a mailbox for a folder; open it if it is the main one."""
        try:
            if not isinstance(made, Driver):
                raise made
            box = await self._registry.add(name, one.path, made, wake=not one.name)
        except (OSError, MailfsError) as e:
            if not one.name:
                raise
            log.info("%s: %s: %s", self.path, one.path, e)  # it bars no other
        else:
            self.boxes[one.path] = box
            box.rests = bool(one.name) or box.rests  # it begins asleep, too

    def _title(self, one: Member) -> str:
        """Return the name of a folder's mailbox, other than those of all the others."""
        name = title(self.stem, one.name)
        mine = self.boxes.get(one.path)
        there = self._registry.get(name)
        taken = there is not None and there not in self.boxes.values()
        if (taken and there is not mine) or self._registry.reserved(name):
            return told_apart(name, one.path)
        return name


def _made(found: Sequence[Member]) -> list[Driver | OSError | MailfsError]:
    """Make the drivers of folders, or find out why there is none; may block."""
    made: list[Driver | OSError | MailfsError] = []
    for one in found:
        try:
            made.append(one.make())
        except (OSError, MailfsError) as e:
            made.append(e)
    return made


def title(stem: str, name: str) -> str:
    """Return the name of one of several mailboxes, of which main's is empty."""
    if not stem:
        return name or "mbox"
    return f"{stem}:{name}" if name else stem
