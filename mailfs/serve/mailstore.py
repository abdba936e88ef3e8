"""One user's mailboxes for the sessions of that user, shared with whoever serves them.

A folder is opened when a session needs it; the mailbox is the one that 9P shows, if it
is open there already.  Those that nobody uses any more are kept a while.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from mailfs.errors import EBOXNAME, EBOXUSE, Refused
from mailfs.mailbox.drivers.spec import LEVEL, is_network
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.kinds import Listing
from mailfs.mailbox.view import View
from mailfs.mailboxes.registry import MailboxRegistry
from mailfs.mailboxes.scope import EVERYTHING, Scope
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.mailboxes.scopedset import ScopedMailboxes
from mailfs.serve.folders import INBOX, BadFolder, Folder, Folders

MAX_UNUSED = 16  # folders kept open that nobody uses
_MAIN = "mbox"  # what 9P calls the user's mailbox

T = TypeVar("T")


class Holder(Protocol):
    """A session that has a folder open."""

    def lose(self) -> None:
        """Know that the folder is gone."""

    def hold(self, numbers: Iterable[int], view: View) -> None:
        """Know which messages go, and the view that can still read them; any thread."""


class Mailstore:
    """A user's folders, open and not."""

    def __init__(
        self, boxes: MailboxRegistry, inbox: str, scope: Scope = EVERYTHING
    ) -> None:
        """Open nothing yet.  inbox: path of the user's mailbox."""
        self.folders = Folders(boxes.place, inbox)
        self.readonly = boxes.place.readonly or scope.readonly
        self._boxes = boxes
        self._scoped = ScopedMailboxes(boxes, scope)
        self._lock = asyncio.Lock()
        self._used: Counter[str] = Counter()  # by path
        self._ours: set[str] = set()  # names of those that we have opened
        self._unused: OrderedDict[str, str] = OrderedDict()  # path: name
        self._begun = False
        self._holders: dict[str, set[Holder]] = {}  # by path

    async def work(self, job: Callable[[], T]) -> T:
        """Do job, with the folders, in a thread."""
        return await asyncio.to_thread(job)

    async def begin(self) -> None:
        """Make the usual folders, the first time."""
        if not self._begun:
            self._begun = True
            await self.work(self.folders.begin)

    async def find(self, name: str) -> Folder:
        """Return a folder that is there.  Raises BadFolder."""
        return await self.work(partial(self.folders.find, name))

    async def open(self, folder: Folder) -> ScopedMailbox:
        """Open a folder; to be released.  Raises BadFolder, OSError, MailfsError."""
        async with self._lock:
            box = self._there(folder)
            if box is None:
                if folder.name == INBOX:
                    await self.work(partial(self._make_inbox, folder))
                box = await self._opened(folder)
            self._used[folder.path] += 1
            self._unused.pop(folder.path, None)
        await box.awake()
        return box

    def _make_inbox(self, folder: Folder) -> None:
        """Make the user's mailbox if mail has never come."""
        if is_network(folder.path) or self.readonly:
            return
        try:
            self.folders.store(folder).close()
        except FileNotFoundError:
            from mailfs.mailbox.drivers.mbox.driver import Spool

            Spool(folder.path, self._boxes.place).make()

    def _there(self, folder: Folder) -> ScopedMailbox | None:
        return next((box for box in self._scoped if box.path == folder.path), None)

    async def _opened(self, folder: Folder) -> ScopedMailbox:
        name = _MAIN if folder.name == INBOX else folder.name.replace("/", LEVEL)
        for title in (name, f"{name}{LEVEL}", f"{name}{LEVEL}{LEVEL}"):
            try:
                box = await self._boxes.open(folder.path, title)
            except Refused as e:
                if str(e) not in (EBOXUSE, EBOXNAME):
                    raise
                continue
            except FileNotFoundError as e:
                raise BadFolder("no such mailbox", "NONEXISTENT") from e
            self._ours.add(box.name)
            scoped = self._scoped.get(box.name)
            if scoped is None:  # closed again meanwhile
                break
            return scoped
        raise BadFolder("mailbox cannot be opened now", "INUSE")

    async def release(self, box: ScopedMailbox) -> None:
        """Undo one open."""
        path = box.path
        self._used[path] -= 1
        if self._used[path] > 0:
            return
        del self._used[path]
        if box.name not in self._ours:
            return
        self._unused[path] = box.name
        while len(self._unused) > MAX_UNUSED:
            _, name = self._unused.popitem(last=False)
            await self._close(name)

    async def _close(self, name: str) -> None:
        self._ours.discard(name)
        await self._boxes.close(name)

    def enter(self, box: ScopedMailbox, holder: Holder) -> None:
        """Note that a session has a folder open."""
        self._holders.setdefault(box.path, set()).add(holder)

    def leave(self, box: ScopedMailbox, holder: Holder) -> None:
        """Note that it has not any more."""
        self._holders.get(box.path, set()).discard(holder)

    async def expunge(
        self, box: ScopedMailbox, pick: Callable[[View], Iterable[int]]
    ) -> None:
        """Remove the messages that pick gives, of the mailbox as it is now.

        Sessions that have it open can read them until they are told.
        """
        holders = list(self._holders.get(box.path, ()))

        def job(state: MailboxState) -> None:
            gone = list(pick(state.list()))

            def how(listing: Listing, rows: Sequence[int]) -> Listing:
                for holder in holders:
                    holder.hold(gone, state.view)
                return state.driver.expunge(listing, rows)

            if gone:
                state.remove(gone, how)

        await box.alter(job)

    async def take_away(self, folder: Folder) -> None:
        """Close a folder, and those in it, because they are about to go."""
        async with self._lock:
            for box in list(self._scoped):
                if box.path != folder.path and not box.path.startswith(
                    f"{folder.path}/"
                ):
                    continue
                for holder in self._holders.pop(box.path, ()):
                    holder.lose()
                self._unused.pop(box.path, None)
                await self._close(box.name)
