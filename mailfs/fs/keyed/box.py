"""A mailbox's directory in the keyed dialect: ctl, search, folders, messages."""

import zlib
from collections.abc import Awaitable, Iterator, Mapping

from mailfs.errors import ENOENT, EPERM, Refused
from mailfs.fs import names
from mailfs.fs.boxdir import BoxCtl, BoxDir, BoxStatus
from mailfs.fs.codes import KEYED, Code
from mailfs.fs.ctl import CtlHandle
from mailfs.fs.keyed import boxctl
from mailfs.fs.keyed.message import KeyedMessage
from mailfs.fs.keyed.visit import KeyedAttach
from mailfs.fs.messagedir import MessageDir
from mailfs.fs.names import NameRow, always, controlled, never
from mailfs.fs.node import DirListing, Writable, directory, path, plain
from mailfs.mailbox.drivers.spec import LEVEL
from mailfs.mailboxes import query
from mailfs.mailboxes.find import find
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.mailboxes.scopedset import ScopedMailboxes
from mailfs.mailboxes.search import search
from mailfs.p9.fcall import OEXEC, QTDIR, QTFILE, Qid, Stat
from mailfs.p9.file import File, Handle, Later, Records
from mailfs.query import grammar


class KeyedBox(BoxDir):
    """The directory of one mailbox, and of the folders below it."""

    __slots__ = ("visit",)

    def __init__(self, visit: KeyedAttach, parent: File, box: ScopedMailbox) -> None:
        super().__init__(visit.attachment, parent, box)
        self.visit = visit

    def id(self, code: int) -> int:
        """Make the qid.path of a node of this directory."""
        return super().id(code) | KEYED

    def entry(self) -> Stat:
        """Tell the directory's entry as the mailbox was last listed."""
        return super().entry()._replace(name=self.box.name.rsplit(LEVEL, 1)[-1])

    def walk(self, name: str) -> Later[File]:
        """Find a folder, a message or a file of the mailbox's own."""
        below = folder(self.visit, self, f"{self.box.name}{LEVEL}{name}")
        if below is not None:
            return below
        found = super().walk(name)
        return self._keyed(found) if isinstance(found, File) else self._later(found)

    async def _later(self, found: Awaitable[File]) -> File:
        return self._keyed(await found)

    def _keyed(self, found: File) -> File:
        """Put this dialect's message in the place of the other's."""
        if type(found) is MessageDir:
            return KeyedMessage(self.attachment, self, found.item, found.number)
        return found

    def rows(self) -> Mapping[str, NameRow[BoxDir]]:
        """The names that are no message's and no folder's."""
        return NAMES

    def entries(self) -> Iterator[bytes | Records]:
        """Give the entries, packed: control files, folders, messages oldest first."""
        yield from names.entries(self.rows(), self, self.attachment)
        yield from folders(self.visit, self, f"{self.box.name}{LEVEL}")
        yield from self._messages(self.box.view)


class Branch(File):
    """The directory of folders that lie in no mailbox of that name."""

    __slots__ = ("name", "parent", "visit")

    def __init__(self, visit: KeyedAttach, parent: File, name: str) -> None:
        self.visit = visit
        self.parent = parent
        self.name = name

    @property
    def qid(self) -> Qid:
        """The directory's identity."""
        number = zlib.crc32(self.name.encode())
        return Qid(QTDIR, 0, path(0, number, number >> 16, Code.BRANCH) | KEYED)

    def stat(self) -> Stat:
        """Tell the node's entry."""
        name = self.name.rsplit(LEVEL, 1)[-1]
        return directory(name, self.qid.path, 0, self.visit.when, self.visit.user)

    def walk(self, name: str) -> Later[File]:
        """Find a folder."""
        if name == "..":
            return self.parent
        below = folder(self.visit, self, f"{self.name}{LEVEL}{name}")
        if below is None:
            raise Refused(ENOENT)
        return below

    def open(self, mode: int) -> Handle:
        """Open it to be listed."""
        return DirListing(lambda: folders(self.visit, self, f"{self.name}{LEVEL}"))


def folder(visit: KeyedAttach, parent: File, name: str) -> File | None:
    """Find the directory of a mailbox, or of those whose names begin so."""
    boxes = visit.boxes
    box = boxes.get(name)
    if box is not None:
        return KeyedBox(visit, parent, box)
    if any(box.name.startswith(f"{name}{LEVEL}") for box in boxes):
        return Branch(visit, parent, name)
    return None


def folders(visit: KeyedAttach, parent: File, prefix: str) -> Iterator[bytes]:
    """Give the packed entries of the folders whose names begin with prefix."""
    for name in below(visit.boxes, prefix):
        found = folder(visit, parent, prefix + name)
        if isinstance(found, KeyedBox):
            yield found.entry().pack()
        elif isinstance(found, Branch):
            yield found.stat().pack()


def below(boxes: ScopedMailboxes, prefix: str) -> list[str]:
    """List the elements that follow prefix in names of mailboxes, each once."""
    rests = (box.name[len(prefix) :] for box in boxes if box.name.startswith(prefix))
    return list(dict.fromkeys(rest.split(LEVEL)[0] for rest in rests))


class KeyedCtl(BoxCtl):
    """A mailbox's ctl."""

    __slots__ = ()

    dir: KeyedBox

    def open(self, mode: int) -> Handle:
        """Open it for commands, or to be read."""
        if mode & 3 == OEXEC:
            raise Refused(EPERM)
        of = self.dir
        return CtlHandle(
            lambda line: boxctl.command(of.visit, of.box, line), self.text()
        )


class SearchFile(Writable):
    """A mailbox's search: write what is sought, read the numbers of what was found."""

    __slots__ = ("dir",)

    def __init__(self, of: BoxDir) -> None:
        self.dir = of

    @property
    def qid(self) -> Qid:
        """The file's identity."""
        return Qid(QTFILE, 0, self.dir.id(Code.SEARCH))

    def stat(self) -> Stat:
        """Tell the node's entry."""
        of = self.dir
        when, user = of.box.view.mtime, of.attachment.user
        return plain("search", of.id(Code.SEARCH), 0, when, user, 0o666, 0)

    def open(self, mode: int) -> Handle:
        """Open it for a search of one's own."""
        if mode & 3 == OEXEC:
            raise Refused(EPERM)
        return SearchHandle(self.dir.box)


class SearchHandle(Handle):
    """The file search, open: it keeps the answer to the last write."""

    __slots__ = ("_answer", "_box")

    def __init__(self, box: ScopedMailbox) -> None:
        self._box = box
        self._answer = b""

    def read(self, offset: int, count: int) -> bytes:
        """Read octets of the answer: numbers, ascending, a blank between them."""
        return self._answer[offset : offset + count]

    async def write(self, offset: int, data: bytes) -> int:
        """Search.  The offset is ignored."""
        self._answer = b""
        text = data.decode("utf-8", "replace")
        if query.is_query(text):
            numbers = sorted((await find(self._box, grammar.parse(text))).numbers)
        else:
            numbers = await search(self._box, query.parse(text))
        self._answer = " ".join(map(str, numbers)).encode()
        return len(data)


NAMES: Mapping[str, NameRow[BoxDir]] = {
    "ctl": NameRow(KeyedCtl, controlled),
    "search": NameRow(SearchFile),
    "status": NameRow(BoxStatus, always, never),
    "event": NameRow(BoxDir.event, always, never),
}
