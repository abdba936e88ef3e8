"""The root of the keyed dialect: ctl, and the mailboxes as folders."""

from collections.abc import Callable, Iterator, Mapping

from mailfs.attr import tokenize
from mailfs.errors import ENOENT, EPERM, Refused
from mailfs.fs import names, rootctl
from mailfs.fs.codes import KEYED, Code
from mailfs.fs.ctl import CtlHandle
from mailfs.fs.eventfile import EventFile, EventHandle
from mailfs.fs.keyed.box import folder, folders
from mailfs.fs.keyed.boxctl import shown
from mailfs.fs.keyed.visit import KeyedAttach
from mailfs.fs.names import NameRow, always, controlled, never
from mailfs.fs.node import (
    Attach,
    DirListing,
    Writable,
    directory,
    path,
    plain,
    without_suffix,
)
from mailfs.p9.fcall import OEXEC, QTDIR, QTFILE, Qid, Stat
from mailfs.p9.file import File, Handle


class KeyedRoot(File):
    """The root of one attach."""

    __slots__ = ("visit",)

    def __init__(self, attachment: Attach) -> None:
        self.visit = KeyedAttach(attachment)

    @property
    def qid(self) -> Qid:
        """The root's identity."""
        return Qid(QTDIR, 0, path(0, 0, 0, Code.ROOT) | KEYED)

    def stat(self) -> Stat:
        """Tell the node's entry."""
        return directory("/", self.qid.path, 0, self.visit.when, self.visit.user)

    def walk(self, name: str) -> File:
        """Find a folder or a file of the server's own; a suffix is passed over."""
        if name == "..":
            return self
        mailbox = folder(self.visit, self, name)
        if mailbox is not None:
            return mailbox
        found = names.walk(NAMES, self, self.visit.attachment, name)
        if found is not None:
            return found
        bare = without_suffix(name)
        if bare is None:
            raise Refused(ENOENT)
        return self.walk(bare)

    def event(self) -> EventFile:
        """Make the file that tells what happens in any mailbox."""
        return EventFile(
            path(0, 0, 0, Code.EVENT) | KEYED, self.visit.user, self._begin
        )

    async def _begin(self, handle: EventHandle) -> Callable[[], None]:
        handle.many = True
        follow = self.visit.boxes.follow(handle)
        await follow.begin()
        return follow.end

    def open(self, mode: int) -> Handle:
        """Open it to be listed."""
        return DirListing(self.entries)

    def entries(self) -> Iterator[bytes]:
        """Give the packed entries: ctl, then the folders as they were opened."""
        yield from names.entries(NAMES, self, self.visit.attachment)
        yield from folders(self.visit, self, "")


async def command(visit: KeyedAttach, line: str) -> None:
    """Do one command of the root's ctl: those of the other dialect."""
    words = tokenize(line)
    match words:
        case ["open", name, *called] if len(called) < 2:
            await visit.open(name, *called)
        case ["close", name]:
            await visit.close(name)
        case [verb, *_] if verb in rootctl.VERBS and verb != "close":
            await rootctl.command(visit.boxes, line)
        case _:
            raise Refused(f"unknown message: {shown(words)}")


class KeyedRootCtl(Writable):
    """The root's ctl."""

    __slots__ = ("visit",)

    def __init__(self, visit: KeyedAttach) -> None:
        self.visit = visit

    @property
    def qid(self) -> Qid:
        """The file's identity."""
        return Qid(QTFILE, 0, path(0, 0, 0, Code.CTL) | KEYED)

    def stat(self) -> Stat:
        """Tell the node's entry."""
        when, user = self.visit.when, self.visit.user
        return plain("ctl", self.qid.path, 0, when, user, 0o666, 0)

    def open(self, mode: int) -> Handle:
        """Open it for commands; reading shows nothing."""
        if mode & 3 == OEXEC:
            raise Refused(EPERM)
        return CtlHandle(lambda line: command(self.visit, line))


def _ctl(root: KeyedRoot) -> KeyedRootCtl:
    return KeyedRootCtl(root.visit)


NAMES: Mapping[str, NameRow[KeyedRoot]] = {
    "ctl": NameRow(_ctl, controlled),
    "event": NameRow(KeyedRoot.event, always, never),
}
