"""The file index.jsonl of a directory of messages: a JSON object a line, for each."""

from collections.abc import Awaitable, Callable, Iterable

from mailfs.errors import EPERM, Refused
from mailfs.fs.node import plain
from mailfs.mailboxes.indextext import IndexText
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.p9.fcall import OREAD, OTRUNC, QTFILE, Qid, Stat
from mailfs.p9.file import File, Handle

NAME = "index"  # it is listed with a suffix, which walks pass over
LISTED = f"{NAME}.jsonl"


class IndexFile(File):
    """An index of messages of one mailbox."""

    __slots__ = ("_box", "_numbers", "_path", "_user")

    def __init__(
        self,
        path: int,
        user: str,
        box: ScopedMailbox,
        numbers: Callable[[], Awaitable[Iterable[int]]],
    ) -> None:
        """Make the node; numbers gives the messages as they are when it is opened."""
        self._path = path
        self._user = user
        self._box = box
        self._numbers = numbers

    @property
    def qid(self) -> Qid:
        """The file's identity."""
        return Qid(QTFILE, 0, self._path)

    def stat(self) -> Stat:
        """Tell the file's entry; its length is known when it has been read."""
        when = self._box.view.mtime
        return plain(LISTED, self._path, 0, when, self._user, 0o444, 0)

    async def open(self, mode: int) -> Handle:
        """Open it to be read."""
        if mode & 3 != OREAD or mode & OTRUNC:
            raise Refused(EPERM)
        return IndexHandle(IndexText(self._box, await self._numbers()))


class IndexHandle(Handle):
    """An index, open."""

    __slots__ = ("_text",)

    def __init__(self, text: IndexText) -> None:
        self._text = text

    async def read(self, offset: int, count: int) -> bytes:
        """Read octets, as soon as they are made."""
        return await self._text.read(offset, count)
