"""Files that go with a message."""

import os
from dataclasses import dataclass

from mailfs.marshal import entity, tree
from mailfs.marshal.entity import Entity
from mailfs.msg.word import printable

MAX_MESSAGE = 128 << 20  # octets; send(8) takes no more
MESSAGE = "message/rfc822"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to attach: inline, to be shown with the text, or to be kept.

    path is one of this machine, or of a message in a served tree, as tree has it.
    """

    path: str
    type: str | None = None  # as -t gives it; ``mime``: the file is a MIME part
    inline: bool = False

    def check(self) -> None:
        """Raise MailfsError if the file cannot be opened."""
        tree.octets(self.path, MAX_MESSAGE, look=True)

    def entity(self, *, seven: bool = False) -> Entity:
        """Make the file a part.  Raises MailfsError if it cannot be read."""
        base = os.fsencode(os.path.basename(self.path)).decode("utf-8", "replace")
        name = printable(base) or "file"
        octets, message = tree.octets(self.path, MAX_MESSAGE)
        type = self.type or (MESSAGE if message else None)
        return entity.file(octets, name, type, inline=self.inline, seven=seven)
