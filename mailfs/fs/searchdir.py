"""Queries as directories: ``MAILBOX/search/QUERY`` holds the messages it finds.

They are the messages themselves: removing one there deletes it.  The directory is
live; each listing asks again.
"""

import hashlib
from collections.abc import Iterable, Iterator

from mailfs.errors import ENOENT, EPERM, Refused
from mailfs.fs.codes import Code
from mailfs.fs.ctl import CtlHandle
from mailfs.fs.indexfile import NAME, IndexFile
from mailfs.fs.mailboxdir import MailboxDir
from mailfs.fs.messagedir import MessageDir
from mailfs.fs.node import DirListing, directory, path, plain
from mailfs.mailboxes.find import find
from mailfs.p9.fcall import OREAD, OTRUNC, QTDIR, QTFILE, Qid, Stat
from mailfs.p9.file import File, Handle, Later, Records
from mailfs.query.grammar import parse


class SearchesDir(File):
    """The directory of all queries; it lists none, and each can be walked to."""

    __slots__ = ("dir",)

    def __init__(self, of: MailboxDir) -> None:
        self.dir = of

    @property
    def qid(self) -> Qid:
        """The directory's identity."""
        return Qid(QTDIR, 0, self.dir.id(Code.SEARCHES))

    def stat(self) -> Stat:
        """Tell the directory's entry."""
        when, user = self.dir.box.view.mtime, self.dir.attachment.user
        return directory("search", self.qid.path, 0, when, user)

    def walk(self, name: str) -> File:
        """Read a query.  Raises Refused, with the word that is wrong in it."""
        if name == "..":
            return self.dir
        return FoundDir(self.dir, name, self, name)

    def open(self, mode: int) -> Handle:
        """Open it to be listed: nothing."""
        return DirListing(lambda: ())


class FoundDir(File):
    """The messages of a mailbox that a query finds, newest first."""

    __slots__ = ("dir", "name", "parent", "query", "text")

    def __init__(self, of: MailboxDir, text: str, parent: File, name: str) -> None:
        """Read the query text.  Raises Refused if it cannot be meant.

        name is that of the directory in its parent.
        """
        self.dir = of
        self.parent = parent
        self.name = name
        self.text = text
        self.query = parse(text)

    @property
    def qid(self) -> Qid:
        """The directory's identity; its version changes with the mailbox."""
        # Half of the hash in the place of a message's number, half in a part's.
        # The directory of /search is another than that of the mailbox.
        mark = hash_of(f"{self.text}/{self.name}")
        box = self.dir.attachment.boxes.id(self.dir.box)
        where = path(box, mark >> 16, mark, Code.FOUND)
        return Qid(QTDIR, self.dir.box.view.vers, where)

    def stat(self) -> Stat:
        """Tell the directory's entry."""
        view, user = self.dir.box.view, self.dir.attachment.user
        return directory(self.name, self.qid.path, view.vers, view.mtime, user)

    def walk(self, name: str) -> Later[File]:
        """Find a message that the query finds."""
        if name == "..":
            return self.parent
        if name == "status":
            return FoundStatus(self)
        number = name.partition(".")[0]  # a suffix is passed over
        if number == NAME:
            return self._index()
        if not (number.isascii() and number.isdecimal()):
            raise Refused(ENOENT)
        return self._message(number)

    def _index(self) -> IndexFile:
        """Make the file that has a line for each message, newest first."""
        box, code = self.dir, self.qid.path - Code.FOUND + Code.FOUNDINDEX
        return IndexFile(code, box.attachment.user, box.box, self._numbers)

    async def _numbers(self) -> Iterable[int]:
        return (await find(self.dir.box, self.query)).numbers

    async def _message(self, name: str) -> MessageDir:
        await self.dir.box.awake()
        found = self.dir.message(name, self)
        if not (await find(self.dir.box, self.query, [found.number])).numbers:
            raise Refused(ENOENT)
        return found

    def open(self, mode: int) -> Handle:
        """Open it to be listed."""
        return DirListing(self._listed)

    async def _listed(self) -> Iterable[bytes | Records]:
        return self._entries(await self._numbers())

    def _entries(self, numbers: Iterable[int]) -> Iterator[bytes | Records]:
        if self.dir.attachment.everything:
            yield self._index().stat().pack()
        view = self.dir.box.view
        rows = [row for number in numbers if (row := view.row(number)) is not None]
        yield from self.dir.messages(view, rows)


class FoundStatus(File):
    """How a query was answered: a name and a number a line.

    found    messages that answer
    asked    those of them that a server found, by pieces of text
    unread   messages that nobody looked through, for the server was not asked
    """

    __slots__ = ("dir",)

    def __init__(self, of: FoundDir) -> None:
        self.dir = of

    @property
    def qid(self) -> Qid:
        """The file's identity."""
        of = self.dir.qid
        return Qid(QTFILE, 0, of.path - Code.FOUND + Code.FOUNDSTATUS)

    def stat(self) -> Stat:
        """Tell the file's entry; its length is known when it is read."""
        box = self.dir.dir
        when, user = box.box.view.mtime, box.attachment.user
        return plain("status", self.qid.path, 0, when, user, 0o444, 0)

    async def open(self, mode: int) -> Handle:
        """Open it to be read; the query is asked."""
        if mode & 3 != OREAD or mode & OTRUNC:
            raise Refused(EPERM)
        found = await find(self.dir.dir.box, self.dir.query)
        rows = (
            ("found", found.numbers),
            ("asked", found.asked),
            ("unread", found.unread),
        )
        text = "".join(f"{name} {len(numbers)}\n" for name, numbers in rows)
        return CtlHandle(None, text.encode())


def hash_of(name: str) -> int:
    """Return 42 bits that tell a query from others."""
    digest = hashlib.blake2b(name.encode(), digest_size=6).digest()
    return int.from_bytes(digest) & ((1 << 42) - 1)
