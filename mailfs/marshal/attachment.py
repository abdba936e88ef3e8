"""Files that go with a message."""

import os
from dataclasses import dataclass

from mailfs.errors import MailfsError, reason
from mailfs.marshal import entity
from mailfs.marshal.entity import Entity
from mailfs.msg.word import printable

MAX_MESSAGE = 128 << 20  # octets; send(8) takes no more


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to attach: inline, to be shown with the text, or to be kept."""

    path: str
    type: str | None = None  # as -t gives it; ``mime``: the file is a MIME part
    inline: bool = False

    def entity(self, *, seven: bool = False) -> Entity:
        """Return the file as a part.  Raises MailfsError if it cannot be read."""
        base = os.fsencode(os.path.basename(self.path)).decode("utf-8", "replace")
        name = printable(base) or "file"
        octets = read(self.path)
        return entity.file(octets, name, self.type, inline=self.inline, seven=seven)


def read(path: str) -> bytes:
    """Return the octets of a file.  Raises MailfsError if it cannot be read."""
    try:
        with open(path, "rb") as file:
            octets = file.read(MAX_MESSAGE + 1)
    except OSError as e:
        raise MailfsError(f"{path}: can't read file: {reason(e)}") from e
    if len(octets) > MAX_MESSAGE:
        raise MailfsError(f"{path}: over {MAX_MESSAGE >> 20} MB")
    return octets
