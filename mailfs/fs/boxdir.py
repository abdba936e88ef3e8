"""A mailbox's directory: ctl, our own status, and the messages by number."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

from mailfs.errors import ENOENT, EPERM, Refused
from mailfs.fs import boxctl, names
from mailfs.fs.codes import Code
from mailfs.fs.ctl import CtlHandle
from mailfs.fs.eventfile import EventFile, EventHandle
from mailfs.fs.indexfile import IndexFile
from mailfs.fs.mailboxdir import MailboxDir
from mailfs.fs.messagedir import MessageDir
from mailfs.fs.names import NameRow, always, controlled, everything
from mailfs.fs.node import (
    Attach,
    DirListing,
    Writable,
    directory,
    plain,
    without_suffix,
)
from mailfs.fs.searchdir import SearchesDir
from mailfs.mailbox.view import View
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.p9.fcall import OEXEC, OREAD, OTRUNC, QTDIR, QTFILE, Qid, Stat
from mailfs.p9.file import File, Handle, Later, Records

RECENT = 64  # directories of messages kept for the next walk


class BoxDir(MailboxDir):
    """The directory of one mailbox."""

    __slots__ = ("__weakref__", "_recent", "_view")

    def __init__(self, attachment: Attach, parent: File, box: ScopedMailbox) -> None:
        super().__init__(attachment, parent, box)
        # Directories walked to of late, of one view.
        self._view: View | None = None
        self._recent: dict[str, MessageDir] = {}
        box.on_rest(self)

    def forget(self) -> None:
        """Let go of kept directories: they hold the mailbox's store open."""
        for kept in self._recent.values():
            kept.forget()
        self._view = None
        self._recent.clear()

    @property
    def qid(self) -> Qid:
        """The directory's identity; its version changes with what is in it."""
        return Qid(QTDIR, self.box.view.vers, self.id(Code.BOX))

    def entry(self) -> Stat:
        """Tell the directory's entry as the mailbox was last listed."""
        view = self.box.view
        name, user = self.box.name, self.attachment.user
        writable = self.attachment.modes and not self.box.place.readonly
        mode = 0o755 if writable else 0o555
        return directory(name, self.id(Code.BOX), view.vers, view.mtime, user, mode)

    def stat(self) -> Later[Stat]:
        """Tell the directory's entry as the mailbox is now."""
        # Looking at a list of folders opens none of them.
        waiting = None if self.box.asleep else self.box.refresh()
        return self.entry() if waiting is None else self._stat(waiting)

    async def _stat(self, waiting: Awaitable[None]) -> Stat:
        await waiting
        return self.entry()

    async def _walk(self, waiting: Awaitable[None], name: str) -> File:
        await waiting
        return self._message(name)

    def walk(self, name: str) -> Later[File]:
        """Find a message or a file of the mailbox's own; a suffix is passed over."""
        known = self._recent.get(name)
        if known is not None and self._view is self.box.view:
            return known
        if name.isdecimal() and name.isascii():
            waiting = self.box.refresh() if self.box.asleep else None
            if waiting is not None:
                return self._walk(waiting, name)
            return self._message(name)
        if name == "..":
            return self.parent
        found = names.walk(self.rows(), self, self.attachment, name)
        if found is not None:
            return found
        bare = without_suffix(name)
        if bare is None:
            raise Refused(ENOENT)
        return self.walk(bare)

    def rows(self) -> "Mapping[str, NameRow[BoxDir]]":
        """The names that are no message's."""
        return NAMES

    def _message(self, name: str) -> MessageDir:
        """Find a message; its directory is kept for the next walk through it."""
        found = self.message(name, self)
        view = self.box.view
        if view is not self._view:
            self._view = view
            self._recent.clear()
        elif len(self._recent) >= RECENT:
            del self._recent[next(iter(self._recent))]
        self._recent[name] = found
        return found

    def event(self) -> EventFile:
        """Make the file that tells what happens in the mailbox."""
        return EventFile(self.id(Code.EVENT), self.attachment.user, self._begin)

    async def _begin(self, handle: EventHandle) -> Callable[[], None]:
        await self.box.awake()
        await self.box.listen(handle)
        return lambda: self.box.ignore(handle)

    def index(self) -> IndexFile:
        """Make the file that has a line for each message, in order of number."""
        user = self.attachment.user
        return IndexFile(self.id(Code.INDEX), user, self.box, self._numbers)

    async def _numbers(self) -> Iterable[int]:
        await self.box.refreshed()
        return self.box.view

    def open(self, mode: int) -> Handle:
        """Open it to be listed."""
        return DirListing(self.listed)

    def listed(self) -> Later[Iterable[bytes | Records]]:
        """List the mailbox as it is now, packed."""
        waiting = self.box.refresh()
        return self.entries() if waiting is None else self._listed(waiting)

    async def _listed(self, waiting: Awaitable[None]) -> Iterable[bytes | Records]:
        await waiting
        return self.entries()

    def entries(self) -> Iterator[bytes | Records]:
        """Give the entries, packed: control files, then messages, oldest first."""
        yield from names.entries(self.rows(), self, self.attachment)
        yield from self._messages(self.box.view)

    def _messages(self, view: View) -> Iterator[Records]:
        return self.messages(view, view.order)


class BoxCtl(Writable):
    """A mailbox's ctl."""

    __slots__ = ("dir",)

    def __init__(self, of: BoxDir) -> None:
        self.dir = of

    @property
    def qid(self) -> Qid:
        """The file's identity."""
        return Qid(QTFILE, 0, self.dir.id(Code.BOXCTL))

    def text(self) -> bytes:
        """Show the mailbox's path and its version, a line each."""
        box = self.dir.box
        return f"{box.path}\n{box.view.vers}\n".encode("utf-8", "replace")

    def stat(self) -> Stat:
        """Tell the file's entry."""
        of = self.dir
        when, user = of.box.view.mtime, of.attachment.user
        return plain("ctl", of.id(Code.BOXCTL), 0, when, user, 0o666, len(self.text()))

    def open(self, mode: int) -> Handle:
        """Open it for commands, or to be read."""
        if mode & 3 == OEXEC:
            raise Refused(EPERM)
        box = self.dir.box
        return CtlHandle(lambda line: boxctl.command(box, line), self.text())


class BoxStatus(File):
    """A mailbox's status: a name and a value a line."""

    __slots__ = ("dir",)

    def __init__(self, of: BoxDir) -> None:
        self.dir = of

    @property
    def qid(self) -> Qid:
        """The file's identity."""
        return Qid(QTFILE, 0, self.dir.id(Code.STATUS))

    def text(self) -> bytes:
        """Show the rows of the mailbox's status, a line each."""
        rows = self.dir.box.status()
        lines = (f"{name} {value}\n" for name, value in rows)
        return "".join(lines).encode("utf-8", "replace")

    def stat(self) -> Stat:
        """Tell the file's entry."""
        of = self.dir
        when, user = of.box.view.mtime, of.attachment.user
        return plain(
            "status", of.id(Code.STATUS), 0, when, user, 0o444, len(self.text())
        )

    def open(self, mode: int) -> Handle:
        """Open it to be read; it shows the moment it was opened."""
        if mode & 3 != OREAD or mode & OTRUNC:
            raise Refused(EPERM)
        return CtlHandle(None, self.text())


NAMES: Mapping[str, NameRow[BoxDir]] = {
    "ctl": NameRow(BoxCtl, controlled),
    "status": NameRow(BoxStatus, always, everything),
    # Who reads every file there is would wait there for the next mail.
    "event": NameRow(BoxDir.event, always, everything),
    "search": NameRow(SearchesDir, always, everything),
    "index": NameRow(BoxDir.index, always, everything),
}
