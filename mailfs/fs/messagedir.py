"""The directory of a message or a MIME part, and the files in it."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from mailfs.errors import EGONE, EIO, ENOENT, EPERM, Refused
from mailfs.fs.codes import Code
from mailfs.fs.files import FILES, OURS
from mailfs.fs.files import FileRow as Row
from mailfs.fs.node import (
    Attach,
    DirListing,
    Writable,
    directory,
    path,
    plain,
    suffix,
    without_suffix,
)
from mailfs.mailbox.kinds import Stale
from mailfs.mailbox.message import Need, version
from mailfs.mailbox.octets import Memory, Octets, Streamed
from mailfs.mailbox.view import View
from mailfs.mailboxes import flags
from mailfs.mailboxes.entity import Entity
from mailfs.mailboxes.retry import retrying
from mailfs.p9.errstr import EWSTAT
from mailfs.p9.fcall import (
    OEXEC,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    QTDIR,
    QTFILE,
    Qid,
    Stat,
)
from mailfs.p9.file import File, Handle, Later

T = TypeVar("T")


class MessageDir(File):
    """A message's directory, or a part's: the fixed files, then the parts 1, 2, ..."""

    __slots__ = (
        "_base",
        "_files",
        "_seen",
        "_vers",
        "attachment",
        "item",
        "number",
        "parent",
    )

    is_dir = True

    def __init__(
        self,
        attachment: Attach,
        parent: File,
        item: Entity,
        number: int,
    ) -> None:
        """Make the node called number in its parent."""
        self.attachment = attachment
        self.parent = parent
        self.item = item
        self.number = number
        self._seen: View | None = None  # the view that the version was taken from
        self._vers = 0
        self._files: dict[str, MessageFile] = {}  # those walked to
        box = attachment.boxes.id(item.box)
        self._base = path(box, item.message.number, item.ordinal, 0)

    def forget(self) -> None:
        """Let go of the files walked to, which refer to it."""
        self._files.clear()

    def id(self, code: int) -> int:
        """Make the qid.path of a node of this directory."""
        return self._base | code

    @property
    def vers(self) -> int:
        """The version of all that is in it: it changes with octets and flags only."""
        box = self.item.box
        if self._seen is not box.view:
            message = self.item.message
            self._seen = box.view
            self._vers = version(message.ident, box.flags(message.number))
        return self._vers

    @property
    def qid(self) -> Qid:
        """The directory's identity."""
        return Qid(QTDIR, self.vers, self.id(Code.MESSAGE))

    def stat(self) -> Stat:
        """Tell the directory's entry; its times are the message's."""
        when, user = self.item.message.date, self.attachment.user
        name = str(self.number)
        return directory(name, self.id(Code.MESSAGE), self.vers, when, user)

    def rows(self) -> Mapping[str, Row]:
        """The files that are listed."""
        return FILES | OURS if self.attachment.everything else FILES

    def row(self, name: str) -> Row | None:
        """Find the file of that name, listed or not."""
        return FILES.get(name) or OURS.get(name)

    def flags_handle(self) -> Handle:
        """Open the file flags to be written."""
        return FlagsHandle(self)

    def walk(self, name: str) -> Later[File]:
        """Find a file or a part; a suffix that begins with a dot is passed over."""
        known = self._files.get(name)
        if known is not None:
            return known
        if name == "..":
            return self.parent
        row = self.row(name)
        if row is not None:
            file = self._files[name] = MessageFile(self, name, row)
            return file
        if name.isdecimal() and name.isascii():
            return when(self, Need.OUTLINE, lambda: self._part(name))
        bare = without_suffix(name)
        if bare is None:
            raise Refused(ENOENT)
        return self.walk(bare)

    def _part(self, name: str) -> "MessageDir":
        item = self.item
        number = int(name[:9])
        if str(number) != name or not 0 < number <= len(item.outline):
            raise Refused(ENOENT)
        return type(self)(self.attachment, self, item.child(number), number)

    def renew(self) -> None:
        """Look the message up again.  Raises Refused if it has gone."""
        item = self.item
        if not item.top:
            assert isinstance(self.parent, MessageDir)
            self.parent.renew()
            self.item = self.parent.item.child(self.number)
            return
        message = item.box.message(item.message.number)
        if message is None:
            raise Refused(EGONE)
        self.item = Entity(item.box, message, item.ignore)

    def open(self, mode: int) -> Handle:
        """Open it to be listed."""
        return DirListing(lambda: when(self, Need.ENTRIES, self.entries))

    def entries(self) -> list[bytes]:
        """List the files, then the parts, packed."""
        found = [MessageFile(self, name, row) for name, row in self.rows().items()]
        kind = self.kind() if self.attachment.everything else ""
        if kind:
            # Whoever looks at names only, as a file manager does, knows what to open.
            found = [_suffixed(file, kind) for file in found]
        records = [file.known().pack() for file in found]
        for child in self.item.children():
            node = type(self)(self.attachment, self, child, child.number)
            records.append(node.stat().pack())
        return records

    def kind(self) -> str:
        """Find the suffix that an attachment's name has; empty for what is none."""
        item = self.item
        if item.outline:
            return ""
        part = item.part
        if part is not None:
            return "" if part.message else suffix(part.filename)
        return suffix(item.envelope.filename) if item.ready(Need.HEAD) else ""

    def remove(self) -> Later[None]:
        """Delete the message; a part cannot be."""
        if not self.item.top:
            raise Refused(EPERM)
        return self.item.box.delete([self.item.message.number])


class MessageFile(Writable):
    """A file of a message's directory."""

    __slots__ = ("dir", "name", "row")

    def __init__(self, of: MessageDir, name: str, row: Row) -> None:
        self.dir = of
        self.name = name
        self.row = row

    @property
    def qid(self) -> Qid:
        """The file's identity."""
        return Qid(QTFILE, self.dir.vers, self.dir.id(self.row.code))

    def known(self) -> Stat:
        """Tell the file's entry; untold where a server would have to be asked."""
        item = self.dir.item
        if item.message.store.immediate or item.ready(self.row.need):
            return self.entry()
        return self._untold()

    def entry(self) -> Stat:
        """Tell the file's entry with its true length; untold where that is far off."""
        item, row = self.dir.item, self.row
        if row.length is not None:
            length = row.length(item)  # 0 may mean that it is far off
            return self._entry(length, self.dir.vers) if length else self._untold()
        octets = row.render(item)
        if isinstance(octets, Streamed):
            return self._untold()
        return self._entry(len(octets), self.dir.vers)

    def _untold(self) -> Stat:
        """Tell an entry of length 0 and without a version.

        Clients that keep what they have read of a version would take the file for
        empty.
        """
        return self._entry(0, 0)

    def _entry(self, length: int, vers: int) -> Stat:
        of, row = self.dir, self.row
        item = of.item
        date, user = item.message.date, of.attachment.user
        mode = row.mode if item.top else row.mode & 0o444
        name, id_ = self.name, of.id(row.code)
        return plain(name, id_, vers, date, user, mode, length)

    def stat(self) -> Later[Stat]:
        """Tell the file's entry; its true length may have to be worked out."""
        return when(self.dir, self.row.need, self.entry)

    def open(self, mode: int) -> Later[Handle]:
        """Open it to be read, or flags of a message to be written."""
        access = mode & 3
        if access == OREAD and not mode & OTRUNC:
            if self.row.slow:
                return _later(self.dir, self.row.need, self._reader, apart=True)
            return when(self.dir, self.row.need, self._reader)
        if self.name != "flags" or not self.dir.item.top or access == OEXEC:
            raise Refused(EPERM)
        self.dir.item.box.check_writable()  # at the open, not at the first write
        assert access in (OREAD, OWRITE, ORDWR)
        return self.dir.flags_handle()

    def wstat(self, stat: Stat) -> None:
        """Accept what leaves flags as they are."""
        if self.name != "flags" or not self.dir.item.top:
            raise Refused(EWSTAT)
        super().wstat(stat)

    def _reader(self) -> Handle:
        return Reader(self.dir, self.row.render(self.dir.item))


def _suffixed(file: MessageFile, kind: str) -> MessageFile:
    """Give what an attachment says its suffix; walks pass over suffixes."""
    if file.name != "body":
        return file
    return MessageFile(file.dir, f"body{kind}", file.row)


class Reader(Handle):
    """A file open to be read: what it was when it was opened."""

    __slots__ = ("_dir", "_octets")

    def __init__(self, of: MessageDir, octets: Octets) -> None:
        self._dir = of
        self._octets = octets

    def read(self, offset: int, count: int) -> Later[bytes]:
        """Read octets of the file."""
        octets = self._octets
        if isinstance(octets, Memory):
            return octets.data[offset : offset + count]
        box = self._dir.item.box
        if self._dir.item.message.store.immediate:
            return refusing(lambda: octets.read(offset, offset + count))
        return box.run(lambda: refusing(lambda: octets.read(offset, offset + count)))


class FlagsHandle(Handle):
    """The file flags, open to be written; reading shows the flags as they are."""

    __slots__ = ("_dir",)

    def __init__(self, of: MessageDir) -> None:
        self._dir = of

    def read(self, offset: int, count: int) -> bytes:
        """Read the flags as seven letters."""
        return flags.show(self._dir.item.flags()).encode()[offset : offset + count]

    async def write(self, offset: int, data: bytes) -> int:
        """Set and clear flags; on disk when it returns.  The offset is ignored."""
        add, drop = flags.parse(data.decode("utf-8", "replace").strip())
        item = self._dir.item
        if item.box.view.row(item.message.number) is None:
            raise Refused(EGONE)
        await item.box.set_flags([(item.message.number, add, drop)])
        return len(data)


def when(of: MessageDir, need: Need, job: Callable[[], T]) -> Later[T]:
    """Do job at once if what it needs is at hand, else on the mailbox's worker."""
    try:
        if of.item.ready(need):
            return job()
    except Stale:
        pass
    return _later(of, need, job)


async def _later(
    of: MessageDir, need: Need, job: Callable[[], T], *, apart: bool = False
) -> T:
    """Do job on the worker; if the store has changed, list it and try again.

    With apart it is done there even if all that it needs is at hand by now.
    """
    box = of.item.box

    async def attempt() -> T:
        await box.prepare(of.item.message, need)
        if not apart and of.item.ready(need):
            return job()
        return await box.run(job)

    async def again() -> T:
        await box.run(of.renew)
        return await box.run(job)

    try:
        return await retrying(box, attempt, again)
    except Stale as e:
        raise Refused(EIO) from e


def refusing(job: Callable[[], T]) -> T:
    """Do job; say that the file is gone where its store no longer has it."""
    try:
        return job()
    except Stale as e:
        raise Refused(EGONE) from e
