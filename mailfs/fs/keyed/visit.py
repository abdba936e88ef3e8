"""One attach of the keyed dialect: what it sees, and which mailboxes it opened."""

import time

from mailfs.errors import EPERM, Refused
from mailfs.fs.node import Attach
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.mailboxes.scopedset import ScopedMailboxes


class KeyedAttach:
    """What all nodes of one attach share.

    Clients close mailboxes that they have not opened: only what was opened by way of
    this attach is closed.
    """

    __slots__ = ("_opened", "attachment", "when")

    def __init__(self, attachment: Attach) -> None:
        self.attachment = attachment
        self.when = int(time.time())  # what directories without mail tell as theirs
        self._opened: set[str] = set()

    @property
    def boxes(self) -> ScopedMailboxes:
        """The mailboxes."""
        return self.attachment.boxes

    @property
    def user(self) -> str:
        """The owner of every file."""
        return self.attachment.user

    def find(self, name: str) -> ScopedMailbox | None:
        """Return a mailbox by its name, or by its path in this tree."""
        return self.boxes.find(name)

    async def open(self, name: str, called: str | None = None) -> None:
        """Open a mailbox as ctl's ``open`` does."""
        known = {box.name for box in self.boxes}
        box = await self.boxes.open(self.boxes.expand(name), called)
        if box.name not in known:
            self._opened.add(box.name)

    async def close(self, name: str) -> None:
        """Close a mailbox that was opened here.  Raises Refused if it was not."""
        if name not in self._opened:
            raise Refused(EPERM)
        self._opened.discard(name)
        await self.boxes.close(name)
