"""A file system in memory: the worked example of a server; ramfs(4).

Files can be made, read, written, appended to, truncated, renamed, given other
permissions and removed.  There is one user, who may do what the mode's first three
bits say.
"""

import time
from collections.abc import Callable, Iterator

from mailfs.errors import (
    EEXIST,
    EFULL,
    EGONE,
    EINUSE,
    ENOENT,
    ENOTEMPTY,
    EPERM,
    Refused,
)
from mailfs.p9.errstr import EWSTAT
from mailfs.p9.fcall import (
    DMAPPEND,
    DMDIR,
    DMEXCL,
    DMTMP,
    NOTOUCH,
    ORCLOSE,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    Qid,
    Stat,
)
from mailfs.p9.file import DirHandle, File, Handle

MAX_SIZE = 256 << 20  # octets in all files together; a mistaken offset ends here

_NEEDS = {OREAD: 0o400, OWRITE: 0o200, ORDWR: 0o600}  # OEXEC needs 0o100
_KEPT = DMDIR | DMAPPEND | DMEXCL | DMTMP | 0o777


class Ram:
    """One tree: its owner, its clock, and what it may hold."""

    def __init__(
        self,
        user: str,
        max_size: int = MAX_SIZE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.user = user
        self.clock = clock
        self.max_size = max_size
        self.size = 0  # octets in all files
        self._path = 0
        self.root = RamDir(self, None, "/", DMDIR | 0o755)

    def attach(self, uname: str, aname: str) -> "RamDir":
        """Return the root to anybody who could connect."""
        return self.root

    def new_path(self) -> int:
        """Return a qid.path that no file has had."""
        self._path += 1
        return self._path

    def grow(self, octets: int) -> None:
        """Count octets that a file gains, or loses if negative.

        Raises Refused if they are more than the tree may hold.
        """
        if self.size + octets > self.max_size:
            raise Refused(EFULL)
        self.size += octets


class RamNode(File):
    """What files and directories have in common."""

    __slots__ = ("mode", "mtime", "name", "opens", "parent", "path", "ram", "vers")

    def __init__(self, ram: Ram, parent: "RamDir | None", name: str, mode: int) -> None:
        self.ram = ram
        self.parent = parent  # None for the root, and for what has been removed
        self.name = name
        self.mode = mode & _KEPT
        self.path = ram.new_path()
        self.vers = 0
        self.mtime = int(ram.clock())
        self.opens = 0

    @property
    def qid(self) -> Qid:
        """The identity; its type is the top octet of the mode."""
        return Qid(self.mode >> 24, self.vers, self.path)

    @property
    def length(self) -> int:
        """Octets; 0 for a directory."""
        return 0

    def stat(self) -> Stat:
        """Return the directory entry."""
        user, time = self.ram.user, self.mtime
        return Stat(
            *(0, 0, self.qid, self.mode, time, time, self.length, self.name),
            *(user, user, user),
        )

    def changed(self) -> None:
        """Note a change of what the node holds."""
        self.vers += 1
        self.mtime = int(self.ram.clock())

    def check_open(self, mode: int) -> None:
        """Raise Refused unless the node may be opened so."""
        need = _NEEDS.get(mode & 3, 0o100) | (0o200 if mode & OTRUNC else 0)
        if self.mode & need != need:
            raise Refused(EPERM)
        if self.mode & DMEXCL and self.opens:
            raise Refused(EINUSE)
        if mode & ORCLOSE:
            self.holder().check_write()

    def holder(self) -> "RamDir":
        """Return the directory the node is in.  Raises Refused if it is in none."""
        if self.parent is None:
            raise Refused(EPERM if self is self.ram.root else EGONE)
        return self.parent

    def remove(self) -> None:
        """Take the node out of its directory; open fids keep what they have."""
        holder = self.holder()
        holder.check_write()
        del holder.children[self.name]
        holder.changed()
        self.parent = None

    def wstat(self, stat: Stat) -> None:
        """Change name, mode, length or time of change; all is checked first."""
        self._check_wstat(stat)
        if stat.name and stat.name != self.name:
            holder = self.holder()
            holder.check_name(stat.name)
            del holder.children[self.name]
            holder.children[stat.name] = self
            holder.changed()
            self.name = stat.name
        if stat.length != NOTOUCH.length:
            self.set_length(stat.length)
        if stat.mode != NOTOUCH.mode:
            self.mode = stat.mode & _KEPT
        if stat.mtime != NOTOUCH.mtime:
            self.mtime = stat.mtime

    def _check_wstat(self, stat: Stat) -> None:
        now = self.stat()
        for field in ("type", "dev", "qid", "atime", "uid", "gid", "muid"):
            asked = getattr(stat, field)
            if asked not in (getattr(NOTOUCH, field), getattr(now, field)):
                raise Refused(EWSTAT)
        if stat.mode != NOTOUCH.mode and (stat.mode ^ self.mode) & DMDIR:
            raise Refused(EWSTAT)
        if stat.name and stat.name != self.name:
            self.holder().check_name(stat.name)
        if stat.length != NOTOUCH.length:
            self.check_length(stat.length)

    def check_length(self, length: int) -> None:
        """Raise Refused unless the node can be made that long."""
        raise NotImplementedError

    def set_length(self, length: int) -> None:
        """Make the node that long."""
        raise NotImplementedError


class RamFile(RamNode):
    """A plain file."""

    __slots__ = ("data",)

    def __init__(self, ram: Ram, parent: "RamDir", name: str, mode: int) -> None:
        super().__init__(ram, parent, name, mode)
        self.data = bytearray()

    @property
    def length(self) -> int:
        """Octets."""
        return len(self.data)

    def open(self, mode: int) -> "RamHandle":
        """Open, and truncate if asked unless the file is append-only."""
        self.check_open(mode)
        if mode & OTRUNC and not self.mode & DMAPPEND:
            self.set_length(0)
            self.changed()
        return RamHandle(self)

    def check_length(self, length: int) -> None:
        """Raise Refused unless the file may be written and there is room."""
        if not self.mode & 0o200:
            raise Refused(EPERM)
        if length - len(self.data) > self.ram.max_size - self.ram.size:
            raise Refused(EFULL)

    def set_length(self, length: int) -> None:
        """Cut the file, or lengthen it with zeros."""
        more = length - len(self.data)
        self.ram.grow(more)
        if more < 0:
            del self.data[length:]
        else:
            self.data.extend(bytes(more))
        if more:
            self.changed()

    def release(self) -> None:
        """Let the octets go once nothing refers to them."""
        if self.parent is None and not self.opens:
            self.ram.grow(-len(self.data))
            self.data = bytearray()

    def remove(self) -> None:
        """Take the file out of its directory; whoever has it open keeps it."""
        super().remove()
        self.release()


class RamHandle(Handle):
    """An open file."""

    __slots__ = ("file",)

    def __init__(self, file: RamFile) -> None:
        self.file = file
        file.opens += 1

    def read(self, offset: int, count: int) -> bytes:
        """Return octets; none from the end on."""
        return bytes(self.file.data[offset : offset + count])

    def write(self, offset: int, data: bytes) -> int:
        """Put octets, after a gap of zeros if need be."""
        file = self.file
        if file.mode & DMAPPEND:
            offset = len(file.data)
        end = offset + len(data)
        if end > len(file.data):
            file.ram.grow(end - len(file.data))
            file.data.extend(bytes(max(0, offset - len(file.data))))
        file.data[offset:end] = data
        file.changed()
        return len(data)

    def close(self) -> None:
        """Let go of the file."""
        self.file.opens -= 1
        self.file.release()


class RamDir(RamNode):
    """A directory."""

    __slots__ = ("children",)

    def __init__(self, ram: Ram, parent: "RamDir | None", name: str, mode: int) -> None:
        super().__init__(ram, parent, name, mode)
        self.children: dict[str, RamNode] = {}

    def check_write(self) -> None:
        """Raise Refused unless names may be added and taken away."""
        if not self.mode & 0o200:
            raise Refused(EPERM)

    def check_name(self, name: str) -> None:
        """Raise Refused unless name may be added here."""
        self.check_write()
        if name in (".", "..") or name in self.children:
            raise Refused(EEXIST)

    def walk(self, name: str) -> RamNode:
        """Return the child, or the parent for ``..``."""
        if name == "..":
            return self.parent or self
        if not self.mode & 0o100:
            raise Refused(EPERM)
        try:
            return self.children[name]
        except KeyError:
            raise Refused(ENOENT) from None

    def open(self, mode: int) -> "RamDirHandle":
        """Open for reading."""
        self.check_open(mode)
        return RamDirHandle(self)

    def create(self, name: str, perm: int, mode: int) -> "tuple[RamNode, Handle]":
        """Make a child; its permissions are no more than the directory's; open(5)."""
        if self.parent is None and self is not self.ram.root:
            raise Refused(EGONE)
        self.check_name(name)
        node: RamFile | RamDir
        handle: Handle
        if perm & DMDIR:
            node = RamDir(self.ram, self, name, perm & (~0o777 | self.mode & 0o777))
            handle = RamDirHandle(node)
        else:
            node = RamFile(self.ram, self, name, perm & (~0o666 | self.mode & 0o666))
            handle = RamHandle(node)
        self.children[name] = node
        self.changed()
        return node, handle

    def remove(self) -> None:
        """Take the directory out of its own; it must be empty."""
        if self.children:
            raise Refused(ENOTEMPTY)
        super().remove()

    def check_length(self, length: int) -> None:
        """Raise Refused unless length is 0, which a directory's is."""
        if length:
            raise Refused(EWSTAT)

    def set_length(self, length: int) -> None:
        """Do nothing: it is 0."""


class RamDirHandle(DirHandle):
    """An open directory."""

    __slots__ = ("directory",)

    def __init__(self, directory: RamDir) -> None:
        super().__init__()
        self.directory = directory

    def entries(self) -> Iterator[bytes]:
        """Return the children's entries, oldest first."""
        children = list(self.directory.children.values())
        return (child.stat().pack() for child in children)
