"""What the kernel asks of a file system, answered from a 9P tree.

An operation returns its answer at once where it can, else a coroutine.  It raises
Refused with the server's refusal, or OSError with an errno of ours.
"""

import asyncio
import errno
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from mailfs.errors import EPERM, MailfsError, Refused
from mailfs.fuse import abi, failures, handles, recursion
from mailfs.fuse.abi import Op, Request, Valid
from mailfs.fuse.device import MAX_WRITE
from mailfs.fuse.entry import Entry, fit
from mailfs.fuse.failures import Failures, TextFile
from mailfs.fuse.handles import Handles
from mailfs.fuse.moving import move
from mailfs.fuse.node import (
    FRESH,
    FuseNode,
    Name,
    Nodes,
    entry_out,
    text,
)
from mailfs.fuse.opendir import OpenDir
from mailfs.fuse.openfile import FuseFile
from mailfs.fuse.opening import Opening, Store
from mailfs.fuse.relist import Relist
from mailfs.fuse.tree import Opened, Tree
from mailfs.fuse.waiting import WaitingFile
from mailfs.p9.fcall import DMDIR, NOTOUCH, OREAD, OTRUNC, Twstat
from mailfs.p9.unixerr import errno_of

Answer: TypeAlias = bytes | Awaitable[bytes | None] | None
"""Octets to reply; None if the kernel wants no reply."""

Expire = Callable[[list[tuple[int, bytes]]], "asyncio.Future[None]"]
"""Have the kernel ask again for names, each in the directory of a node."""

READ_MOST = 1 << 20  # octets the kernel reads ahead of a process
BACKGROUND = 64  # reads ahead that the kernel has under way at once
NAME_MOST = 255  # octets; what statfs(2) says, NAME_MAX of Linux

_NOREPLACE = 1  # of renameat2(2)
_WANTED = (
    abi.Init.ASYNC_READ
    | abi.Init.ATOMIC_O_TRUNC
    | abi.Init.BIG_WRITES
    | abi.Init.DO_READDIRPLUS
    | abi.Init.PARALLEL_DIROPS
    | abi.Init.MAX_PAGES
    | abi.Init.INIT_EXT
    | abi.Init.HAS_EXPIRE_ONLY
    | abi.Init.DIRECT_IO_ALLOW_MMAP
)


class Ops:
    """The operations on one mounted tree."""

    def __init__(
        self,
        tree: Tree,
        nodes: Nodes,
        expire: Expire,
        store: Store,
        refused: Failures,
        handles: Handles | None = None,
    ) -> None:
        """Make them; handles are those of a tree before this one."""
        self.tree = tree
        self.failures = refused
        self.nodes = nodes
        self._expire = expire
        self._store = store
        self._expires = False  # what the kernel is told can be taken back
        self._handles = handles or Handles()
        self._relist = Relist(tree)
        self._opening = Opening(tree, nodes, self._handles, store)

    def renewed(self, tree: Tree) -> "Ops":
        """Make the operations on the tree that takes this one's place."""
        shared = self._expire, self._store, self.failures, self._handles
        ops = Ops(tree, self.nodes, *shared)
        ops._expires = self._expires
        return ops

    # The session

    def init(self, request: Request) -> bytes:
        """Agree on what both know.  Raises OSError if the kernel is too old."""
        major, minor, ahead, flags, more = abi.INIT_IN.unpack_from(request.body)
        if (major, minor) < (abi.MAJOR, abi.OLDEST):
            raise OSError(errno.EPROTO, "Linux before 5.4")
        has = flags
        if flags & abi.Init.INIT_EXT:
            has |= more << 32
        agreed = int(_WANTED) & has
        # What we tell must be taken back when something changes; a kernel that can
        # only drop names, not doubt them, would drop the shells' directories too.
        self._expires = bool(agreed & abi.Init.HAS_EXPIRE_ONLY)
        return abi.INIT_OUT.pack(
            *(abi.MAJOR, abi.MINOR, min(ahead, READ_MOST), agreed & 0xFFFFFFFF),
            *(BACKGROUND, BACKGROUND * 3 // 4, MAX_WRITE, 1),
            *(READ_MOST // abi.PAGE, 0, agreed >> 32, 0, 0),
        )

    def destroy(self, request: Request) -> bytes:
        """Say goodbye."""
        return b""

    def statfs(self, request: Request) -> bytes:
        """Tell what there is to tell of a file system that has no size."""
        return abi.STATFS_OUT.pack(0, 0, 0, 0, 0, abi.PAGE, NAME_MOST, abi.PAGE, 0)

    # Names

    def lookup(self, request: Request) -> Answer:
        """Find a name in a directory."""
        parent = self.nodes.find(request.node)
        name = abi.name(request.body)
        node = self.nodes.known(parent, name)
        if node is not None:
            return self._given(node)
        return self._lookup(parent, name, self._relist.missed(parent))

    async def _lookup(
        self, parent: FuseNode, name: bytes, listing: "asyncio.Task[None] | None"
    ) -> bytes:
        if listing is not None:
            await asyncio.wait([listing])
            node = self.nodes.known(parent, name)
            if node is not None:
                return self._given(node)
        asked = self.tree.clock()
        try:
            entry, fid = await self.tree.look(parent, name)
        except MailfsError:
            if parent.parent is None and name == failures.NAME:
                return self._given(self.failures.enter())
            raise
        node = self.nodes.enter(parent, entry, asked)
        self.tree.keep(node, fid)
        return self._given(node)

    def _given(self, node: FuseNode) -> bytes:
        self.nodes.give(node)
        return entry_out(node, self._left(node))

    def _left(self, node: FuseNode) -> int:
        """Compute the time the kernel may keep an entry, in nanoseconds."""
        if not self._expires or self.tree.waits(node.entry):
            return 0
        return self.nodes.left(node)

    def forget(self, request: Request) -> None:
        """Take back what was given."""
        self.nodes.forget(request.node, *abi.FORGET_IN.unpack_from(request.body))

    def batch_forget(self, request: Request) -> None:
        """Take back many."""
        count, _ = abi.BATCH_IN.unpack_from(request.body)
        start = abi.BATCH_IN.size
        for at in range(
            start, start + count * abi.FORGET_ONE.size, abi.FORGET_ONE.size
        ):
            self.nodes.forget(*abi.FORGET_ONE.unpack_from(request.body, at))

    # Attributes

    def getattr(self, request: Request) -> Answer:
        """Tell a node's attributes."""
        node = self.nodes.find(request.node)
        if self.tree.waits(node.entry):
            return self._growing(node, *abi.GETATTR_IN.unpack_from(request.body))
        # Without a server the mount point is there still: programs must see a mount.
        if self.failures.holds(node):
            node.update(self.failures.entry())
            return self._attr(node)
        gone = node.parent is None and self.tree.mux.lost.done()
        if gone or self.nodes.fresh(node):
            return self._attr(node)
        return self._getattr(node)

    def _growing(self, node: FuseNode, flags: int, _: int, fh: int) -> bytes:
        """Tell the attributes of a file whose readers wait: it grows, and is new.

        It is as long as what its readers have been given, or the one that asks.
        """
        found = self._handles.waiting(node)
        if flags & abi.GETATTR_FH:
            found = [f for f in found if f is self._handles.file(fh)]
            for file in found:
                file.follow()
        length = max((file.end for file in found), default=0)
        entry = node.entry._replace(length=length, mtime=int(time.time()))
        return abi.ATTR_OUT.pack(0, 0, 0) + entry.attr()

    async def _getattr(self, node: FuseNode) -> bytes:
        asked = self.tree.clock()
        self._told(node, await self.tree.stat(node), asked)
        return self._attr(node)

    def _attr(self, node: FuseNode) -> bytes:
        seconds, rest = divmod(self._left(node), 10**9)
        return abi.ATTR_OUT.pack(seconds, rest, 0) + node.entry.attr()

    def _told(self, node: FuseNode, entry: Entry, asked: float) -> None:
        """Note what the server tells of a node.  Raises OSError if it is another."""
        known = node.entry
        if node.parent and (entry.path, entry.kind) != (known.path, known.kind):
            raise OSError(errno.ESTALE, "another file of that name")
        node.update(entry)
        self.nodes.saw(node, asked)

    async def setattr(self, request: Request) -> bytes:
        """Change length, permissions or times; owners are the server's affair."""
        node = self.nodes.find(request.node)
        fields = abi.SETATTR_IN.unpack_from(request.body)
        valid, fh, size, mtime, mode = (fields[i] for i in (0, 2, 3, 6, 11))
        uid, gid = fields[13:15]
        entry, changes = node.entry, NOTOUCH
        if (valid & Valid.UID and uid != entry.uid) or (
            valid & Valid.GID and gid != entry.gid
        ):
            raise OSError(errno.EPERM, "the server's users are not ours")
        if valid & Valid.SIZE:
            changes = changes._replace(length=size)
        if valid & Valid.MODE:
            kept = entry.mode & ~0o777
            changes = changes._replace(mode=kept | (mode & 0o777))
        if valid & Valid.MTIME:
            changes = changes._replace(mtime=min(mtime, 0xFFFFFFFF))
        fid = self._handles.file(fh).fid if valid & Valid.FH else None
        if changes != NOTOUCH:
            await self.tree.wstat(node, changes, fid)
            await self._changed(node)
        asked = self.tree.clock()
        self._told(node, await self.tree.stat(node), asked)
        return self._attr(node)

    def access(self, request: Request) -> bytes:
        """Tell whether a file may be written; all else the server decides.

        Whoever takes a directory away looks at what it removes as if it were its own.
        """
        mask, _ = abi.ACCESS_IN.unpack_from(request.body)
        node = self.nodes.find(request.node)
        refused = mask & os.W_OK and not node.entry.is_dir and not node.writable
        if refused and not self._recursive(node.parent, request.pid):
            raise OSError(errno.EACCES, "not writable")
        return b""

    # Files

    def open(self, request: Request) -> Answer:
        """Open a file."""
        node = self.nodes.find(request.node)
        flags, _ = abi.OPEN_IN.unpack_from(request.body)
        mode = handles.mode(flags)
        if self.failures.holds(node):
            if mode != OREAD:
                raise Refused(EPERM)
            file = TextFile(self.tree, node, self.failures.octets())
            return self._handles.add_direct(file)
        if mode == OREAD and node.entry.vers:
            return self._opening.open(node)
        return self._open_direct(node, mode)

    async def _open_direct(self, node: FuseNode, mode: int) -> bytes:
        """Open a file whose octets the kernel does not keep, nor knows how many."""
        opened = await self.tree.open(node, mode)
        if mode & OTRUNC:
            await self._changed(node)
        if mode == OREAD and self.tree.waits(node.entry):
            return self._handles.add_direct(WaitingFile(self.tree, node, opened))
        file = FuseFile(self.tree, node, opened, mode, direct=True)
        return self._handles.add_direct(file)

    def read(self, request: Request) -> Answer:
        """Read from an open file."""
        fh, offset, size, *_ = abi.READ_IN.unpack_from(request.body)
        return self._handles.file(fh).read(offset, size)

    async def write(self, request: Request) -> bytes:
        """Write to an open file.  What that changes beside it, nobody knows."""
        fh, offset, size, *_ = abi.WRITE_IN.unpack_from(request.body)
        start = abi.WRITE_IN.size
        data = request.body[start : start + size]
        file = self._handles.file(fh)
        try:
            done = await file.write(offset, data)
        finally:
            await self._changed(file.node)
        return abi.WRITE_OUT.pack(done, 0)

    async def fsync(self, request: Request) -> bytes:
        """Have a file that may be written on disk; stat(5)."""
        fh, *_ = abi.FSYNC_IN.unpack_from(request.body)
        file = self._handles.file(fh)
        if file.writable:
            await self.tree.wstat(file.node, NOTOUCH, file.fid)
        return b""

    def release(self, request: Request) -> bytes:
        """Close a file or directory."""
        fh, *_ = abi.RELEASE_IN.unpack_from(request.body)
        self._handles.close(fh)
        return b""

    def unwanted(self, op: Op | int, answer: bytes | None) -> None:
        """Close what was opened for a process that no longer waits."""
        if answer and op in (Op.OPEN, Op.OPENDIR, Op.CREATE):
            end = answer[-abi.OPEN_OUT.size :]
            self._handles.close(abi.OPEN_OUT.unpack(end)[0])

    # Directories

    async def opendir(self, request: Request) -> bytes:
        """Open a directory, and read the beginning of it."""
        node, asked = self.nodes.find(request.node), self.tree.clock()
        opened = await self.tree.open(node, OREAD, self.tree.mux.unit)
        handle = OpenDir(self.tree, node, opened, request.pid, asked)
        return self._handles.add(handle)

    async def readdir(self, request: Request) -> bytes:
        """List an open directory."""
        fh, offset, size, *_ = abi.READ_IN.unpack_from(request.body)
        directory = self._handles.directory(fh)
        await directory.fill(offset)
        if request.op == Op.READDIRPLUS:
            parent, enter = directory.node, self.nodes.enter
            asked = directory.asked
            return directory.plus(
                offset, size, lambda entry: self._given(enter(parent, entry, asked))
            )
        return directory.dirents(offset, size)

    # Changes

    async def create(self, request: Request) -> bytes:
        """Make a file and open it."""
        parent = self.nodes.find(request.node)
        flags, perm, *_ = abi.CREATE_IN.unpack_from(request.body)
        name = abi.name(request.body, abi.CREATE_IN.size)
        mode = handles.mode(flags) & ~OTRUNC
        opened, node = await self._made(parent, name, perm & 0o777, mode)
        file = FuseFile(self.tree, node, opened, mode, direct=True)
        return self._given(node) + self._handles.add_direct(file)

    async def mkdir(self, request: Request) -> bytes:
        """Make a directory."""
        parent = self.nodes.find(request.node)
        perm, _ = abi.MKDIR_IN.unpack_from(request.body)
        name = abi.name(request.body, abi.MKDIR_IN.size)
        opened, node = await self._made(parent, name, DMDIR | (perm & 0o777), OREAD)
        self.tree.mux.clunk(opened.fid)
        return self._given(node)

    async def _made(
        self, parent: FuseNode, name: bytes, perm: int, mode: int
    ) -> tuple[Opened, FuseNode]:
        if not fit(name):
            raise OSError(errno.EINVAL, "no name for a file")
        opened = await self.tree.create(parent, name, perm, mode)
        try:
            entry = await self.tree.fstat(opened.fid, name)
        except BaseException:
            self.tree.mux.clunk(opened.fid)
            raise
        node = self.nodes.enter(parent, entry)
        self.doubt(self.nodes.change(node))
        self.nodes.saw(node)
        return opened, node

    async def unlink(self, request: Request) -> bytes:
        """Remove a file, which takes a directory that may be written.

        Some servers take the removal of a file for that of all around it.
        """
        parent = self.nodes.find(request.node)
        if not parent.writable:
            if self._recursive(parent, request.pid):
                return b""
            raise Refused(EPERM)
        await self._remove(parent, abi.name(request.body))
        return b""

    async def _remove(self, parent: FuseNode, name: bytes) -> None:
        node = parent.children.get(name)
        await self.tree.remove(parent, name)
        self.doubt(self.nodes.change(node))

    async def rmdir(self, request: Request) -> bytes:
        """Remove a directory; with what is in it, if the server does that."""
        parent = self.nodes.find(request.node)
        try:
            await self._remove(parent, abi.name(request.body))
        except Refused as e:
            refused = errno_of(e) in (errno.EACCES, errno.EPERM)
            if not refused or not self._recursive(parent, request.pid):
                raise
        return b""

    def _recursive(self, directory: FuseNode | None, thread: int) -> bool:
        """Whether a thread is removing a whole directory."""
        if directory is None or directory.writable:
            return False
        return recursion.opened_by(thread, self._handles.directories(directory))

    async def _changed(self, node: FuseNode) -> None:
        """Doubt what a change at a node may have changed, here and in the kernel.

        The kernel is waited for, so that whoever made the change sees it; but not for
        longer than it would believe us anyway, for it may be held up by another.
        """
        names = self.nodes.change(node)
        if names and self._expires:
            await asyncio.wait([self._expire(names)], timeout=FRESH)

    def doubt(self, names: list[Name] | None = None) -> None:
        """Have the kernel ask for names again, for all if none are given; wait not.

        While the kernel waits for an answer, it lets nobody else at the directory.
        """
        if names is None:
            names = self.nodes.change()
        if names and self._expires:
            self._expire(names)

    async def rename(self, request: Request) -> bytes:
        """Give a file another name in its directory, or a message another mailbox."""
        form = abi.RENAME_IN if request.op == Op.RENAME else abi.RENAME2_IN
        other, *rest = form.unpack_from(request.body)
        old = abi.name(request.body, form.size)
        new = abi.name(request.body, form.size + len(old) + 1)
        if rest and rest[0] & ~_NOREPLACE:
            raise OSError(errno.EINVAL, "only a plain rename")
        parent = self.nodes.find(request.node)
        if other != request.node:
            return await self._move(parent, old, self.nodes.find(other), new)
        found, fid = await self.tree.look(parent, old)
        try:
            replace = not found.kind and not any(rest)
            await self._rename(parent, new, fid, replace=replace)
        finally:
            self.tree.mux.clunk(fid)
        self.nodes.rename(parent, old, new)
        self.doubt(self.nodes.change(parent.children.get(new)))
        return b""

    async def _move(
        self, parent: FuseNode, old: bytes, target: FuseNode, new: bytes
    ) -> bytes:
        await move(self.tree, parent, old, target, new)
        node = parent.children.pop(old, None)
        # The kernel now has the message under its old number there, and it has another.
        self.doubt([*self.nodes.change(node), (target.id, new)])
        return b""

    async def _rename(
        self, parent: FuseNode, name: bytes, fid: int, *, replace: bool
    ) -> None:
        """Give the file at fid a name, in place of another that has it.

        Editors replace files so.  9P has no such call: the other goes first.
        """
        changes = NOTOUCH._replace(name=text(name))
        try:
            await self.tree.mux.send(Twstat(fid, changes))
        except Refused as e:
            if not replace or errno_of(e) != errno.EEXIST:
                raise
            await self.tree.remove(parent, name)
            await self.tree.mux.send(Twstat(fid, changes))


# What 9P has no message for.  All else that has no handler is not implemented, and
# most of it the kernel then does not ask for again.
REFUSED: dict[int, int] = {
    Op.SYMLINK: errno.EPERM,
    Op.LINK: errno.EPERM,
    Op.MKNOD: errno.EPERM,
}


HANDLERS: dict[int, Callable[[Ops, Request], Answer]] = {
    Op.INIT: Ops.init,
    Op.DESTROY: Ops.destroy,
    Op.STATFS: Ops.statfs,
    Op.LOOKUP: Ops.lookup,
    Op.FORGET: Ops.forget,
    Op.BATCH_FORGET: Ops.batch_forget,
    Op.GETATTR: Ops.getattr,
    Op.SETATTR: Ops.setattr,
    Op.ACCESS: Ops.access,
    Op.OPEN: Ops.open,
    Op.READ: Ops.read,
    Op.WRITE: Ops.write,
    Op.FSYNC: Ops.fsync,
    Op.RELEASE: Ops.release,
    Op.OPENDIR: Ops.opendir,
    Op.READDIR: Ops.readdir,
    Op.READDIRPLUS: Ops.readdir,
    Op.RELEASEDIR: Ops.release,
    Op.CREATE: Ops.create,
    Op.MKDIR: Ops.mkdir,
    Op.UNLINK: Ops.unlink,
    Op.RMDIR: Ops.rmdir,
    Op.RENAME: Ops.rename,
    Op.RENAME2: Ops.rename,
}
