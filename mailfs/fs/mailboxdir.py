"""What a directory of a mailbox's messages has: identities, messages, their entries."""

from collections.abc import Iterator, Sequence

from mailfs.errors import ENOENT, Refused
from mailfs.fs.codes import Code
from mailfs.fs.columns import Columns, packed
from mailfs.fs.messagedir import MessageDir
from mailfs.fs.node import Attach, path
from mailfs.mailbox.view import View
from mailfs.mailboxes.entity import Entity
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.p9.file import File, Records


class MailboxDir(File):
    """A directory of one mailbox, without its names."""

    __slots__ = ("_base", "attachment", "box", "parent")

    is_dir = True

    def __init__(self, attachment: Attach, parent: File, box: ScopedMailbox) -> None:
        self.attachment = attachment
        self.parent = parent
        self.box = box
        self._base = path(attachment.boxes.id(box), 0, 0, 0)

    def id(self, code: int) -> int:
        """Make the qid.path of a node of this directory."""
        return self._base | code

    def message(self, name: str, parent: File) -> MessageDir:
        """Find a message by its number; parent is where it was looked for."""
        message = self.box.message(int(name[:9]))
        if message is None or str(message.number) != name:
            raise Refused(ENOENT)
        item = Entity(self.box, message, self.attachment.boxes.ignore)
        return MessageDir(self.attachment, parent, item, message.number)

    def messages(self, view: View, rows: Sequence[int]) -> Iterator[Records]:
        """Give the packed entries of messages, in the order of those rows of a view."""
        listing = view.listing
        columns = Columns(view.numbers, listing.idents, listing.flags, listing.dates)
        base, user = self.id(Code.MESSAGE), self.attachment.user
        return packed(columns, rows, self.box.first, base, user)
