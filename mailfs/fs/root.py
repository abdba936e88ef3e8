"""The root of the tree: ctl, event, outbox, a directory for each open mailbox."""

import time
from collections.abc import Callable, Iterator, Mapping

from mailfs.errors import ENOBOX, ENOENT, EPERM, Refused
from mailfs.fs import aname as anames
from mailfs.fs import names, rootctl
from mailfs.fs.allsearchdir import AllSearchesDir
from mailfs.fs.aname import KEYED, UPAS, Aname
from mailfs.fs.boxdir import BoxDir
from mailfs.fs.codes import Code
from mailfs.fs.ctl import CtlHandle
from mailfs.fs.eventfile import EventFile, EventHandle
from mailfs.fs.keyed.root import KeyedRoot
from mailfs.fs.names import NameRow, always, controlled, everything, never
from mailfs.fs.node import (
    Attach,
    DirListing,
    Writable,
    directory,
    path,
    plain,
    without_suffix,
)
from mailfs.fs.outbox.tree import Outbox, may_send
from mailfs.mailboxes.registry import MailboxRegistry
from mailfs.mailboxes.scopedset import ScopedMailboxes
from mailfs.p9.fcall import OEXEC, QTDIR, QTFILE, Qid, Stat
from mailfs.p9.file import File, Handle


class Root(File):
    """The root of one attach."""

    __slots__ = ("_boxes", "attachment")

    is_dir = True

    def __init__(self, attachment: Attach) -> None:
        self.attachment = attachment
        self._boxes: dict[str, BoxDir] = {}  # one directory for all walks

    @property
    def qid(self) -> Qid:
        """The root's identity."""
        return Qid(QTDIR, 0, path(0, 0, 0, Code.ROOT))

    def stat(self) -> Stat:
        """Tell the node's entry."""
        user = self.attachment.user
        return directory(".", self.qid.path, 0, int(time.time()), user)

    def walk(self, name: str) -> File:
        """Find a mailbox or a file of the server's own; a suffix is passed over."""
        if name == "..":
            return self
        box = self.attachment.boxes.get(name)
        if box is not None:
            known = self._boxes.get(name)
            if known is None or known.box is not box:
                known = self._boxes[name] = BoxDir(self.attachment, self, box)
            return known
        self._boxes.pop(name, None)
        found = names.walk(NAMES, self, self.attachment, name)
        if found is not None:
            return found
        bare = without_suffix(name)
        if bare is None:
            raise Refused(ENOENT)
        return self.walk(bare)

    def event(self) -> EventFile:
        """Make the file that tells what happens in any mailbox."""
        user = self.attachment.user
        return EventFile(path(0, 0, 0, Code.EVENT), user, self._begin)

    def changes(self) -> EventFile:
        """Make the file that tells the same at once, without digests."""
        code, user = path(0, 0, 0, Code.CHANGES), self.attachment.user
        return EventFile(code, user, self._begin, name="changes", digests=False)

    async def _begin(self, handle: EventHandle) -> Callable[[], None]:
        handle.many = True
        follow = self.attachment.boxes.follow(handle)
        await follow.begin()
        return follow.end

    def open(self, mode: int) -> Handle:
        """Open it to be listed."""
        return DirListing(self.entries)

    def entries(self) -> Iterator[bytes]:
        """Give the packed entries: files, then the mailboxes as they were opened."""
        yield from names.entries(NAMES, self, self.attachment)
        for box in self.attachment.boxes:
            yield BoxDir(self.attachment, self, box).entry().pack()


class RootCtl(Writable):
    """The root's ctl."""

    __slots__ = ("attachment",)

    def __init__(self, attachment: Attach) -> None:
        self.attachment = attachment

    @property
    def qid(self) -> Qid:
        """The file's identity."""
        return Qid(QTFILE, 0, path(0, 0, 0, Code.CTL))

    def stat(self) -> Stat:
        """Tell the node's entry."""
        now, user = int(time.time()), self.attachment.user
        return plain("ctl", self.qid.path, 0, now, user, 0o666, 0)

    def open(self, mode: int) -> Handle:
        """Open it for commands; reading shows nothing."""
        if mode & 3 == OEXEC:
            raise Refused(EPERM)
        boxes = self.attachment.boxes
        return CtlHandle(lambda line: rootctl.command(boxes, line))


def _outbox(root: Root) -> Outbox:
    return Outbox(root.attachment, root)


def _ctl(root: Root) -> RootCtl:
    return RootCtl(root.attachment)


def _unnamed(attachment: Attach) -> bool:
    """Attaches have the directory search that see no mailbox of that name."""
    return attachment.boxes.get("search") is None


def _search(root: Root) -> AllSearchesDir:
    return AllSearchesDir(root.attachment, root)


NAMES: Mapping[str, NameRow[Root]] = {
    "ctl": NameRow(_ctl, controlled),
    # Who reads every file there is would wait there for the next mail.
    "event": NameRow(Root.event, always, everything),
    "changes": NameRow(Root.changes, always, never),
    "outbox": NameRow(_outbox, may_send),
    "search": NameRow(_search, _unnamed, everything),
}

DIALECTS: dict[str, Callable[[Attach], File]] = {UPAS: Root, KEYED: KeyedRoot}


def attach(
    boxes: MailboxRegistry,
    uname: str,
    aname: str,
    bound: Aname = Aname(),  # noqa: B008  # a value
) -> File:
    """Make the root for an attach.

    Only the mailboxes' user may attach.  What aname asks for is narrowed to what bound
    allows; the dialect is aname's, else bound's, else upas.  Raises Refused for other
    users, and for an attach name that means nothing or names no mailbox there is.
    """
    if uname != boxes.place.user:
        raise Refused(EPERM)
    asked = anames.parse(aname)
    shelf = ScopedMailboxes(boxes, bound.scope.narrowed(asked.scope))
    for name in asked.scope.boxes or ():
        if shelf.get(name) is None:
            raise Refused(ENOBOX)
    everything = bound.everything or asked.everything
    dialect = asked.dialect or bound.dialect or UPAS
    modes = bound.modes or asked.modes
    return DIALECTS[dialect](Attach(shelf, everything, modes))
