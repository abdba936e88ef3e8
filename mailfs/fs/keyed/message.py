"""The directory of a message in the keyed dialect."""

from collections.abc import Mapping

from mailfs.errors import EGONE, Refused
from mailfs.fs.codes import KEYED
from mailfs.fs.files import FileRow as Row
from mailfs.fs.keyed import flags
from mailfs.fs.keyed.files import FILES, listed
from mailfs.fs.messagedir import MessageDir
from mailfs.p9.file import Handle


class KeyedMessage(MessageDir):
    """A message's directory, or a part's."""

    __slots__ = ()

    def id(self, code: int) -> int:
        """Make the qid.path of a node of this directory."""
        return super().id(code) | KEYED

    def rows(self) -> Mapping[str, Row]:
        """The files that are listed."""
        return listed(self.item)

    def row(self, name: str) -> Row | None:
        """Find the file of that name, listed or not."""
        return FILES.get(name)

    def kind(self) -> str:
        """Give no name a suffix: plan9port's programs look for names of their own."""
        return ""

    def flags_handle(self) -> Handle:
        """Open the file flags to be written."""
        return WordsHandle(self)


class WordsHandle(Handle):
    """The file flags, open to be written; reading shows the flags as they are."""

    __slots__ = ("_dir",)

    def __init__(self, of: KeyedMessage) -> None:
        self._dir = of

    def read(self, offset: int, count: int) -> bytes:
        """Read the flags as words."""
        return flags.show(self._dir.item.flags()).encode()[offset : offset + count]

    async def write(self, offset: int, data: bytes) -> int:
        """Set and clear flags; on disk when it returns.  The offset is ignored."""
        add, drop = flags.parse(data.decode("utf-8", "replace"))
        item = self._dir.item
        if item.box.view.row(item.message.number) is None:
            raise Refused(EGONE)
        await item.box.set_flags([(item.message.number, add, drop)])
        return len(data)
