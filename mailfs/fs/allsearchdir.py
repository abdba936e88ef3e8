"""Queries of all mailboxes: ``/search/QUERY`` has a directory for each that answers.

``/search/QUERY/MAILBOX`` holds the messages as ``/MAILBOX/search/QUERY`` does.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator

from mailfs.errors import ENOENT, MailfsError, Refused
from mailfs.fs.codes import Code
from mailfs.fs.mailboxdir import MailboxDir
from mailfs.fs.node import Attach, DirListing, directory, path
from mailfs.fs.searchdir import FoundDir, hash_of
from mailfs.mailboxes.find import find
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.p9.fcall import QTDIR, Qid, Stat
from mailfs.p9.file import File, Handle
from mailfs.query.grammar import parse
from mailfs.query.tree import Query

log = logging.getLogger(__name__)

AT_ONCE = 8  # mailboxes that are searched at the same time


class AllSearchesDir(File):
    """The directory of all queries; it lists none, and each can be walked to."""

    __slots__ = ("attachment", "parent")

    def __init__(self, attachment: Attach, parent: File) -> None:
        self.attachment = attachment
        self.parent = parent

    @property
    def qid(self) -> Qid:
        """The directory's identity."""
        return Qid(QTDIR, 0, path(0, 0, 0, Code.ALLSEARCHES))

    def stat(self) -> Stat:
        """Tell the directory's entry; its times are not known."""
        return directory("search", self.qid.path, 0, 0, self.attachment.user)

    def walk(self, name: str) -> File:
        """Read a query.  Raises Refused, with the word that is wrong in it."""
        return self.parent if name == ".." else AllFoundDir(self, name)

    def open(self, mode: int) -> Handle:
        """Open it to be listed: nothing."""
        return DirListing(lambda: ())


class AllFoundDir(File):
    """The mailboxes that hold messages which a query finds."""

    __slots__ = ("name", "parent", "query")

    def __init__(self, parent: AllSearchesDir, name: str) -> None:
        """Read the query.  Raises Refused if it cannot be meant."""
        self.parent = parent
        self.name = name
        self.query = parse(name)

    @property
    def qid(self) -> Qid:
        """The directory's identity."""
        mark = hash_of(self.name)
        return Qid(QTDIR, 0, path(0, mark >> 16, mark, Code.ALLFOUND))

    def stat(self) -> Stat:
        """Tell the directory's entry; its times are not known."""
        user = self.parent.attachment.user
        return directory(self.name, self.qid.path, 0, 0, user)

    def walk(self, name: str) -> File:
        """Find the messages of a mailbox, be there any or none."""
        if name == "..":
            return self.parent
        box = self.parent.attachment.boxes.get(name)
        if box is None:
            raise Refused(ENOENT)
        return self._found(box)

    def _found(self, box: ScopedMailbox) -> FoundDir:
        of = MailboxDir(self.parent.attachment, self, box)
        return FoundDir(of, self.name, self, box.name)

    def open(self, mode: int) -> Handle:
        """Open it to be listed."""
        return DirListing(self._listed)

    async def _listed(self) -> Iterable[bytes]:
        room = asyncio.Semaphore(AT_ONCE)
        boxes = list(self.parent.attachment.boxes)
        answers = await asyncio.gather(*(_answers(b, self.query, room) for b in boxes))
        return self._entries(
            box for box, there in zip(boxes, answers, strict=True) if there
        )

    def _entries(self, boxes: Iterable[ScopedMailbox]) -> Iterator[bytes]:
        for box in boxes:
            yield self._found(box).stat().pack()


async def _answers(box: ScopedMailbox, query: Query, room: asyncio.Semaphore) -> bool:
    """Whether a mailbox has a message that answers.

    One that cannot be opened is said to have: who looks there is told why.
    """
    async with room:
        try:
            return bool((await find(box, query)).numbers)
        except (OSError, MailfsError) as e:
            log.info("%s: search: %s", box.name, e)
            return True
