"""The mailboxes that one attach or login sees, each as a ScopedMailbox.

With ScopedMailbox the one place where an attach name's restrictions are kept: the
tree's dialects and the servers reach mailboxes through it only, so none can forget.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mailfs.errors import ENOBOX, EPERM, EROFS, Refused
from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers.spec import LEVEL
from mailfs.mailbox.mailbox import Mailbox
from mailfs.mailboxes.events import Listener
from mailfs.mailboxes.registry import MailboxRegistry
from mailfs.mailboxes.scope import EVERYTHING, Scope
from mailfs.mailboxes.scoped import Box, ScopedMailbox


class ScopedMailboxes:
    """The open mailboxes of a server within a scope."""

    __slots__ = ("_boxes", "_windows", "scope")

    def __init__(self, boxes: MailboxRegistry, scope: Scope = EVERYTHING) -> None:
        self._boxes = boxes
        self.scope = scope
        self._windows: dict[str, ScopedMailbox] = {}

    @property
    def place(self) -> Place:
        """Root, user and whether anything may be changed."""
        place = self._boxes.place
        return replace(place, readonly=True) if self.scope.readonly else place

    @property
    def ignore(self) -> Sequence[bytes]:
        """What the file header leaves out."""
        return self._boxes.ignore

    def __iter__(self) -> Iterator[ScopedMailbox]:
        """Give the mailboxes in the order they were opened."""
        windows = (self.get(box.name) for box in self._boxes)
        return (window for window in windows if window is not None)

    def get(self, name: str) -> ScopedMailbox | None:
        """Return the mailbox called name, None if there is none to be seen."""
        box = self._boxes.get(name) if self.scope.sees(name) else None
        if box is None:
            self._windows.pop(name, None)
            return None
        window = self._windows.get(name)
        if window is None or not window.shows(box):
            window = ScopedMailbox(box, self.scope, self._boxes.source(box))
            self._windows[name] = window
        return window

    def find(self, name: str) -> ScopedMailbox | None:
        """Return a mailbox by its name, or by its account's name for the folder."""
        return self.get(name) or self.get(name.replace("/", LEVEL))

    def id(self, box: Box) -> int:
        """Return the number that tells a mailbox from the others in qids."""
        real = self._boxes.get(box.name)
        if real is None or self._windows.get(box.name) is not box:
            return 0
        return self._boxes.id(real)

    def expand(self, name: str) -> str:
        """Expand a path in a control message; upasfs(4)."""
        return self._boxes.expand(name)

    async def open(self, path: str, name: str | None = None) -> ScopedMailbox:
        """Open the mailbox at path for all who use the server."""
        return self._window(await self._free().open(path, name))

    async def create(self, path: str, name: str | None = None) -> ScopedMailbox:
        """Open the mailbox at path, after making an mdir if nothing is there."""
        return self._window(await self._changing().create(path, name))

    def _window(self, box: Mailbox) -> ScopedMailbox:
        window = self.get(box.name)
        if window is None:  # closed again meanwhile
            raise Refused(ENOBOX)
        return window

    def check_free(self) -> None:
        """Raise Refused unless mailboxes may be opened, made and removed by path."""
        self._free()

    async def close(self, name: str) -> None:
        """Forget the mailbox called name."""
        await self._free().close(name)

    async def remove(self, path: str, *, recurse: bool, truncate: bool) -> None:
        """Remove the mailbox at path, or with truncate the mail in it."""
        await self._changing().remove(path, recurse=recurse, truncate=truncate)

    async def rename(self, old: str, new: str, *, keep: bool) -> None:
        """Move the mailbox at old to new."""
        await self._changing().rename(old, new, keep=keep)

    def check_writable(self) -> None:
        """Raise Refused where nothing may be changed."""
        if self.place.readonly:
            raise Refused(EROFS)

    def _changing(self) -> MailboxRegistry:
        """Return the mailboxes as wholes, to those who may change all of them."""
        self.check_writable()
        return self._free()

    def _free(self) -> MailboxRegistry:
        """Return the mailboxes as wholes, to those who see all of them."""
        if not self.scope.free:
            raise Refused(EPERM)
        return self._boxes

    def follow(self, listener: Listener) -> "Follow":
        """Make the follower that tells listener the events of every mailbox."""
        return Follow(self, self._boxes, listener)


class Follow:
    """Tells one listener the events of all mailboxes, those opened later too."""

    def __init__(
        self, shelf: ScopedMailboxes, boxes: MailboxRegistry, listener: Listener
    ) -> None:
        self._shelf = shelf
        self._boxes = boxes
        self._listener = listener
        self._windows: list[ScopedMailbox] = []

    async def begin(self) -> None:
        """Tell from now on."""
        self._boxes.followers.append(self._opened)
        try:
            for window in self._shelf:
                self._windows.append(window)
                await window.listen(self._listener)
        except BaseException:
            self.end()
            raise

    def _opened(self, box: Mailbox) -> None:
        window = self._shelf.get(box.name)
        if window is not None:
            self._windows = [w for w in self._windows if w.name != window.name]
            self._windows.append(window)
            window.listen_at_once(self._listener)

    def end(self) -> None:
        """Tell nothing more."""
        if self._opened in self._boxes.followers:
            self._boxes.followers.remove(self._opened)
        for window in self._windows:
            window.ignore(self._listener)
        self._windows.clear()
