"""The kernel's side, played by the test: what no program can be made to do at will."""

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Sized
from pathlib import Path
from typing import TypeVar

import pytest

from mailfs.fuse import abi, relist, tree
from mailfs.fuse.abi import Init, Op
from mailfs.fuse.device import Device
from mailfs.fuse.entry import owner
from mailfs.fuse.node import FRESH, Nodes
from mailfs.fuse.session import FuseSession
from mailfs.fuse.tree import Tree
from mailfs.p9.fcall import DMDIR, OREAD, OWRITE
from mailfs.p9.mux import connect
from mailfs.p9.ramfs import RamDir, RamFile
from mailfs.p9.srv import Server
from mailfs.where import DialString
from tests.fuse.world import WAIT, World

T = TypeVar("T")
ALL = (1 << 32) - 1


class Kernel:
    """The other end of a device, which has one request a message as the device has."""

    def __init__(self, sock: socket.socket, server: Server, world: World) -> None:
        self.sock = sock
        self.server = server
        self.world = world
        self.session: FuseSession
        self.later = 0.0  # seconds that the mount's clock is put on
        self.how = 0  # the last open file is to be treated
        self.notices: list[bytes] = []
        self._unique = 0
        self._replies: dict[int, tuple[int, bytes]] = {}

    def fids(self) -> int:
        """Return how many fids the server has."""
        return sum(len(c.session.fids.table) for c in self.server.connections)

    def spare(self) -> set[bytes]:
        """Return the names of what there is a fid for that nobody uses."""
        spare = self.session._ops.tree._spare
        return {node.entry.name for node, _ in spare.values()}

    def ahead(self) -> Sized:
        """Return what has been read before it was asked for."""
        return self.session._ops._opening._ahead._files

    async def tell(self, op: int, node: int, body: bytes = b"", pid: int = 7) -> int:
        self._unique += 2
        size = abi.REQUEST.size + len(body)
        head = abi.REQUEST.pack(size, op, self._unique, node, 0, 0, pid, 0, 0)
        await asyncio.get_running_loop().sock_sendall(self.sock, head + body)
        return self._unique

    async def hear(self, unique: int) -> tuple[int, bytes]:
        """Return the errno and the data of a reply."""
        loop = asyncio.get_running_loop()
        while unique not in self._replies:
            frame = await loop.sock_recv(self.sock, 1 << 22)
            size, error, whose = abi.REPLY.unpack_from(frame)
            assert size == len(frame)
            if whose:
                self._replies[whose] = -error, frame[abi.REPLY.size :]
            else:
                self.notices.append(frame)
        return self._replies.pop(unique)

    async def ask(
        self, op: int, node: int = 1, body: bytes = b"", pid: int = 7
    ) -> bytes:
        """Return the data of the reply.  Raises OSError with its errno."""
        number, data = await self.hear(await self.tell(op, node, body, pid))
        if number:
            raise OSError(number, os.strerror(number))
        return data

    async def init(self, minor: int = 41, more: int = ALL) -> tuple[int, ...]:
        body = abi.INIT_IN.pack(7, minor, 1 << 17, ALL, more) + bytes(44)
        return abi.INIT_OUT.unpack(await self.ask(Op.INIT, 0, body))

    async def look(self, path: str) -> int:
        """Return the node of a path, looked up name by name."""
        node = 1
        for name in path.split("/"):
            data = await self.ask(Op.LOOKUP, node, name.encode() + b"\0")
            assert len(data) == abi.ENTRY_OUT.size + abi.ATTR.size
            node = abi.ENTRY_OUT.unpack_from(data)[0]
        return node

    async def open(self, path: str, flags: int = os.O_RDONLY, op: int = Op.OPEN) -> int:
        data = await self.ask(op, await self.look(path), abi.OPEN_IN.pack(flags, 0))
        fh, self.how, _ = abi.OPEN_OUT.unpack(data)
        return int(fh)

    async def read(self, fh: int, offset: int, size: int, op: int = Op.READ) -> bytes:
        return await self.ask(op, 1, reading(fh, offset, size))

    async def write(self, fh: int, data: bytes, offset: int = 0) -> int:
        body = abi.WRITE_IN.pack(fh, offset, len(data), 0, 0, 0, 0) + data
        return int(abi.WRITE_OUT.unpack(await self.ask(Op.WRITE, 1, body))[0])

    async def close(self, fh: int, op: int = Op.RELEASE) -> None:
        assert await self.ask(op, 1, abi.RELEASE_IN.pack(fh, 0, 0, 0)) == b""


def reading(fh: int, offset: int, size: int) -> bytes:
    return abi.READ_IN.pack(fh, offset, size, 0, 0, 0, 0)


def play(directory: Path, work: Callable[[Kernel], Awaitable[T]]) -> T:
    """Do work with a mounted World."""

    async def main() -> T:
        world = World()
        server = Server(world.attach)
        await server.listen(DialString("unix", str(directory / "s")))
        mux = await connect(DialString("unix", str(directory / "s")))
        root, _ = await mux.attach("glenda", "")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for sock in (ours, theirs):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        theirs.setblocking(False)
        kernel = Kernel(theirs, server, world)
        files = Tree(
            mux,
            root,
            owner((1, 2), "glenda"),
            frozenset({b"event"}),
            frozenset({b"search"}),
            clock=lambda: mux.loop.time() + kernel.later,
        )
        told = await files.fstat(root, b"/")
        nodes = Nodes(told, files.clock)
        session = FuseSession(Device(ours.detach()), files, nodes)
        kernel.session = session
        session.begin()
        try:
            async with asyncio.timeout(WAIT):
                return await work(kernel)
        finally:
            await session.close()
            theirs.close()
            await server.close()

    return asyncio.run(main())


def refuses(number: int) -> "pytest.RaisesExc[OSError]":
    return pytest.raises(OSError, match=rf"^\[Errno {number}\]")


def test_structs_are_as_long_as_the_kernels() -> None:
    """linux/fuse.h."""
    sizes = {
        "REQUEST": 40,
        "REPLY": 16,
        "INIT_OUT": 64,
        "ATTR": 88,
        "ATTR_OUT": 16,
        "ENTRY_OUT": 40,
        "DIRENT": 24,
        "DIRENTPLUS": 152,
        "SETATTR_IN": 88,
        "READ_IN": 40,
        "WRITE_IN": 40,
        "WRITE_OUT": 8,
        "OPEN_OUT": 16,
        "CREATE_IN": 16,
        "RELEASE_IN": 24,
        "FSYNC_IN": 16,
        "STATFS_OUT": 80,
        "INVAL_ENTRY": 16,
        "STORE": 24,
        "RENAME2_IN": 16,
        "FORGET_ONE": 16,
    }
    assert {name: getattr(abi, name).size for name in sizes} == sizes


def test_init(tmp_path: Path) -> None:
    async def work(kernel: Kernel) -> None:
        with refuses(errno.EPROTO):
            await kernel.init(minor=30)
        major, minor, ahead, flags, *_, flags2, _, _ = await kernel.init()
        assert (major, minor, ahead) == (7, abi.MINOR, 1 << 17)
        assert flags & Init.DO_READDIRPLUS
        assert not flags & ~0x7FFFFFFF
        assert flags2 << 32 & Init.HAS_EXPIRE_ONLY
        assert await kernel.ask(Op.DESTROY) == b""
        with refuses(errno.ENOSYS):
            await kernel.ask(4095)
        assert len(await kernel.ask(Op.STATFS)) == 80

    play(tmp_path, work)


def test_an_old_kernel_is_told_to_ask_again(tmp_path: Path) -> None:
    """One that cannot be told to doubt a name believes none for any time."""

    async def work(kernel: Kernel) -> None:
        await kernel.init(minor=31, more=0)
        data = await kernel.ask(Op.LOOKUP, 1, b"hello\0")
        assert abi.ENTRY_OUT.unpack_from(data)[2:] == (0, 0, 0, 0)
        fh = await kernel.open("hello", os.O_WRONLY)
        await kernel.write(fh, b"x")
        assert kernel.notices == []

    play(tmp_path, work)


def test_a_change_is_told_before_the_write_returns(tmp_path: Path) -> None:
    async def work(kernel: Kernel) -> None:
        await kernel.init()
        data = await kernel.ask(Op.LOOKUP, 1, b"hello\0")
        _, _, seconds, _, nanoseconds, _ = abi.ENTRY_OUT.unpack_from(data)
        assert 0.9 * FRESH < seconds + nanoseconds / 1e9 <= FRESH
        fh = await kernel.open("box/1/subject")
        ctl = await kernel.open("hello", os.O_WRONLY)
        assert await kernel.write(ctl, b"x") == 1
        told = {notice[abi.REPLY.size + 16 : -1] for notice in kernel.notices}
        assert told == {b"hello", b"box", b"1", b"subject"}
        for notice in kernel.notices:
            size, code, unique = abi.REPLY.unpack_from(notice)
            assert (size, code, unique) == (len(notice), abi.NOTIFY_INVAL_ENTRY, 0)
            parent, length, flags = abi.INVAL_ENTRY.unpack_from(notice, abi.REPLY.size)
            assert parent >= 1
            assert length == size - abi.REPLY.size - abi.INVAL_ENTRY.size - 1
            assert flags == abi.EXPIRE_ONLY
        await kernel.write(ctl, b"y")
        assert len(kernel.notices) == 4  # nothing has been asked for since
        await kernel.close(fh)

    play(tmp_path, work)


def test_listings_go_on_from_any_entry(tmp_path: Path) -> None:
    async def work(kernel: Kernel) -> None:
        await kernel.init()
        fh = await kernel.open("many1000", op=Op.OPENDIR)
        for size in (4096, 200, 70_000):
            at, names = 0, []
            while data := await kernel.read(fh, at, size, Op.READDIR):
                assert len(data) <= size
                found = list(dirents(data, plus=False))
                cut = found[: max(1, len(found) // 2)]  # the reader has no more room
                names += [name for name, _ in cut]
                at = cut[-1][1]
            assert names == [".", "..", *map(str, range(1, 1001))]
        data = await kernel.read(fh, 900, 4096, Op.READDIRPLUS)
        (name, _), *_ = dirents(data, plus=True)
        assert name == "899"
        await kernel.close(fh, Op.RELEASEDIR)
        with refuses(errno.EBADF):
            await kernel.read(fh, 0, 4096, Op.READDIR)

    play(tmp_path, work)


def dirents(data: bytes, *, plus: bool) -> "list[tuple[str, int]]":
    """Return names, and where to go on after each."""
    found, at = [], 0
    while at < len(data):
        at += abi.DIRENTPLUS.size - abi.DIRENT.size if plus else 0
        _, place, length, _ = abi.DIRENT.unpack_from(data, at)
        start = at + abi.DIRENT.size
        found.append((data[start : start + length].decode(), place))
        at = start + length + -length % 8
    return found


def test_a_plus_listing_is_a_lookup(tmp_path: Path) -> None:
    async def work(kernel: Kernel) -> None:
        await kernel.init()
        fh = await kernel.open("box", op=Op.OPENDIR)
        data = await kernel.read(fh, 0, 4096, Op.READDIRPLUS)
        starts, at = [], 0
        while at < len(data):
            starts.append(at)
            length = struct.unpack_from("=I", data, at + abi.DIRENTPLUS.size - 8)[0]
            at += abi.DIRENTPLUS.size + length + -length % 8
        ids = [abi.ENTRY_OUT.unpack_from(data, start)[0] for start in starts]
        assert ids[:2] == [0, 0]
        assert await kernel.look("box/1") == ids[2]
        body = abi.BATCH_IN.pack(2, 0)
        body += abi.FORGET_ONE.pack(ids[2], 2) + abi.FORGET_ONE.pack(ids[3], 1)
        await kernel.tell(Op.BATCH_FORGET, 0, body)
        for gone in ids[2:4]:
            with refuses(errno.ESTALE):
                await kernel.ask(Op.GETATTR, gone, abi.GETATTR_IN.pack(0, 0, 0))
        await kernel.ask(Op.GETATTR, ids[4], abi.GETATTR_IN.pack(0, 0, 0))
        await kernel.tell(Op.FORGET, ids[4], abi.FORGET_IN.pack(1))
        with refuses(errno.ESTALE):
            await kernel.ask(Op.GETATTR, ids[4], abi.GETATTR_IN.pack(0, 0, 0))

    play(tmp_path, work)


def test_octets_are_kept_by_version(tmp_path: Path) -> None:
    def stored(kernel: Kernel) -> list[tuple[int, bytes]]:
        """Return the nodes and octets that the kernel was handed."""
        notices, kernel.notices = kernel.notices, []
        found = []
        for notice in notices:
            if abi.REPLY.unpack_from(notice)[1] == abi.NOTIFY_STORE:
                start = abi.REPLY.size + abi.STORE.size
                node, at, size, _ = abi.STORE.unpack_from(notice, abi.REPLY.size)
                assert (at, size) == (0, len(notice) - start)
                found.append((node, notice[start:]))
        return found

    async def work(kernel: Kernel) -> None:
        await kernel.init()
        node = await kernel.look("hello")
        first = await kernel.open("hello")
        assert stored(kernel) == [(node, b"hello, world\n")]
        assert kernel.how == abi.Fopen.KEEP_CACHE
        assert await kernel.read(first, 7, 4096) == b"world\n"  # kept no more
        again = await kernel.open("hello")
        assert kernel.how == abi.Fopen.KEEP_CACHE
        assert stored(kernel) == []
        kernel.world.put_again("hello", b"good bye, world\n")
        with refuses(errno.ESTALE):  # if the kernel lets go of what it has read
            await kernel.read(again, 0, 4096)
        kernel.later += FRESH
        new = await kernel.open("hello")
        assert kernel.how == 0  # drop what was kept, and keep what comes
        assert stored(kernel) == []  # it may be waiting for a read of the others
        assert await kernel.read(new, 5, 4) == b"bye,"
        assert await kernel.read(new, 0, 4096) == b"good bye, world\n"
        same = await kernel.open("hello")
        assert await kernel.read(same, 10, 4096) == b"world\n"
        for handle in (first, again, new, same):
            await kernel.close(handle)
        kernel.world.put_again("hello", b"so long\n")
        kernel.later += FRESH
        await kernel.open("hello")
        assert stored(kernel) == [(node, b"so long\n")]

    play(tmp_path, work)


def test_a_file_that_is_not_what_was_looked_up(tmp_path: Path) -> None:
    """The kernel has its length from before, so it must not go by that."""

    async def work(kernel: Kernel) -> None:
        await kernel.init()
        node = await kernel.look("hello")
        kernel.world.put_again("hello", b"good bye, all of you\n")
        data = await kernel.ask(Op.OPEN, node, abi.OPEN_IN.pack(os.O_RDONLY, 0))
        fh, how, _ = abi.OPEN_OUT.unpack(data)
        assert how == abi.Fopen.DIRECT_IO
        assert await kernel.read(fh, 0, 4096) == b"good bye, all of you\n"
        kernel.later += FRESH
        await kernel.close(await kernel.open("hello"))
        assert kernel.how != abi.Fopen.DIRECT_IO
        ctl = await kernel.open("empty", os.O_WRONLY)
        kernel.world.put_again("hello", b"back again\n")
        await kernel.write(ctl, b"x")  # from here on, all is doubted
        data = await kernel.ask(Op.OPEN, node, abi.OPEN_IN.pack(os.O_RDONLY, 0))
        assert abi.OPEN_OUT.unpack(data)[1] == abi.Fopen.DIRECT_IO

    play(tmp_path, work)


def test_who_reads_file_after_file_is_read_ahead(tmp_path: Path) -> None:
    async def work(kernel: Kernel) -> None:
        await kernel.init()
        (directory, _) = kernel.world.root.create("files", DMDIR | 0o755, OREAD)
        assert isinstance(directory, RamDir)
        for i in range(40):
            name, data = f"f{i:02}", f"contents of {i}\n".encode()
            _, handle = directory.create(name, 0o644, OWRITE)
            handle.write(0, data if i % 5 else b"")
            handle.close()
        ids = {}
        for name in ("f11", "f12"):
            ids[name] = await kernel.look(f"files/{name}")
        fh = await kernel.open("files", op=Op.OPENDIR)
        assert await kernel.read(fh, 0, 1 << 16, Op.READDIRPLUS)
        assert await kernel.read(fh, 42, 1 << 16, Op.READDIRPLUS) == b""
        kernel.world.put_in(directory, "f12", b"longer than it was\n")
        for i in range(4):
            await kernel.close(await kernel.open(f"files/f{i:02}"))
        (connection,) = kernel.server.connections
        while len(kernel.ahead()) < 8:  # noqa: ASYNC110  # nothing tells when
            await asyncio.sleep(0.001)
        connection.transport.pause_reading()  # the server answers no more
        for i in range(4, 10):
            kernel.notices.clear()
            opened = await kernel.open(f"files/f{i:02}")
            assert kernel.how == abi.Fopen.KEEP_CACHE
            told = b"".join(kernel.notices)
            assert told.endswith(f"contents of {i}\n".encode() if i % 5 else b"")
            await kernel.close(opened)
        connection.transport.resume_reading()
        for name in ("f11", "f12"):
            data = await kernel.ask(Op.OPEN, ids[name], abi.OPEN_IN.pack(0, 0))
            opened, how, _ = abi.OPEN_OUT.unpack(data)
            last = await kernel.read(opened, 0, 100)
            await kernel.close(opened)
        assert how == abi.Fopen.DIRECT_IO
        assert last == b"longer than it was\n"
        ctl = await kernel.open("hello", os.O_WRONLY)
        for file in directory.children.values():
            assert isinstance(file, RamFile)
            file.data[:] = b"another"
            file.changed()
        await kernel.write(ctl, b"x")  # what is known may be so no more
        for i in range(10, 40):
            opened = await kernel.open(f"files/f{i:02}")
            assert kernel.how == abi.Fopen.KEEP_CACHE
            await kernel.close(opened)
            assert kernel.notices[-1].endswith(b"another")

    play(tmp_path, work)


def test_octets_that_cannot_be_kept(tmp_path: Path) -> None:
    async def work(kernel: Kernel) -> None:
        await kernel.init()
        for path, flags in (("odd", os.O_RDONLY), ("hello", os.O_RDWR)):
            await kernel.open(path, flags)
            assert kernel.how == abi.Fopen.DIRECT_IO
        fh = await kernel.open("long")
        assert kernel.how == 0
        whole = bytes(range(256)) * 12_000
        for start, size in ((0, 4096), (100_000, 50_000), (0, 3 << 20), (3 << 20, 9)):
            data = await kernel.read(fh, start, size)
            assert data == whole[start : start + size]
        assert kernel.notices == []

    play(tmp_path, work)


def test_an_interrupt_is_a_flush(tmp_path: Path) -> None:
    async def work(kernel: Kernel) -> None:
        await kernel.init()
        fh = await kernel.open("event")
        read = await kernel.tell(Op.READ, 1, reading(fh, 0, 100))
        await kernel.look("hello")  # nobody else waits
        await kernel.tell(Op.INTERRUPT, 0, abi.INTERRUPT_IN.pack(read + 1000))
        await kernel.tell(Op.INTERRUPT, 0, abi.INTERRUPT_IN.pack(read))
        assert await kernel.hear(read) == (errno.EINTR, b"")
        assert kernel.world.event.cancelled == 1
        read = await kernel.tell(Op.READ, 1, reading(fh, 0, 100))
        await kernel.look("box")
        kernel.world.event.tell(b"news\n")
        assert await kernel.hear(read) == (0, b"news\n")
        await kernel.close(fh)
        await kernel.look("box/1")
        assert kernel.world.event.readers == 0

    play(tmp_path, work)


def test_an_interrupt_that_the_server_does_not_hear(tmp_path: Path) -> None:
    async def work(kernel: Kernel) -> None:
        await kernel.init()
        kernel.world.event.deaf = True
        fh = await kernel.open("event")
        read = await kernel.tell(Op.READ, 1, reading(fh, 0, 100))
        await kernel.look("hello")
        await kernel.tell(Op.INTERRUPT, 0, abi.INTERRUPT_IN.pack(read))
        await kernel.tell(Op.INTERRUPT, 0, abi.INTERRUPT_IN.pack(read))
        assert await kernel.hear(read) == (errno.EINTR, b"")
        assert kernel.world.event.waiting  # the server goes on waiting
        kernel.world.event.deaf = False
        kernel.world.event.tell(b"late\n")  # nobody is told
        await kernel.look("box/1")
        await kernel.close(fh)

    play(tmp_path, work)


def test_a_process_that_takes_all_is_believed(tmp_path: Path) -> None:
    async def work(kernel: Kernel) -> None:
        await kernel.init()
        box = await kernel.look("box")
        whole = await kernel.look("box/3")
        me, whole_3 = os.getpid(), kernel.world.box.children["3"]
        assert isinstance(whole_3, RamDir)
        with refuses(errno.EACCES):
            await kernel.ask(Op.UNLINK, whole, b"subject\0", me)
        body = abi.OPEN_IN.pack(0, 0)
        fh, _, _ = abi.OPEN_OUT.unpack(await kernel.ask(Op.OPENDIR, whole, body, me))
        with refuses(errno.EACCES):
            await kernel.ask(Op.UNLINK, whole, b"subject\0", os.getppid())
        with refuses(errno.EACCES):
            await kernel.ask(Op.RMDIR, whole, b"1\0", os.getppid())
        subject = await kernel.look("box/3/subject")
        with refuses(errno.EACCES):
            await kernel.ask(Op.ACCESS, subject, abi.ACCESS_IN.pack(os.W_OK, 0), 1)
        await kernel.ask(Op.ACCESS, subject, abi.ACCESS_IN.pack(os.W_OK, 0), me)
        await kernel.ask(Op.UNLINK, whole, b"subject\0", me)
        await kernel.ask(Op.RMDIR, whole, b"1\0", me)
        assert {"subject", "1"} < whole_3.children.keys()
        await kernel.close(fh, Op.RELEASEDIR)
        with refuses(errno.EACCES):
            await kernel.ask(Op.UNLINK, whole, b"body\0", me)
        await kernel.look("box/3/1/body")
        await kernel.ask(Op.RMDIR, box, b"3\0", me)
        assert "3" not in kernel.world.box.children
        assert kernel.spare() == {b"box"}  # a server may keep what has a fid
        with refuses(errno.ENOENT):
            await kernel.look("box/3")

    play(tmp_path, work)


def test_handles_that_are_none(tmp_path: Path) -> None:
    async def work(kernel: Kernel) -> None:
        await kernel.init()
        directory = await kernel.open("box", op=Op.OPENDIR)
        file = await kernel.open("hello")
        with refuses(errno.EBADF):
            await kernel.read(directory, 0, 10)
        with refuses(errno.EBADF):
            await kernel.read(file, 0, 4096, Op.READDIR)
        await kernel.close(4711)
        with refuses(errno.ENOENT):
            await kernel.ask(Op.LOOKUP, 1, b"\xff\0")

    play(tmp_path, work)


def test_fids_are_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is looked up, opened and refused, the server has few fids left."""
    monkeypatch.setattr(tree, "MAX_SPARE", 4)

    async def work(kernel: Kernel) -> None:
        await kernel.init()
        before = kernel.fids()
        for round_ in range(30):
            fh = await kernel.open("box/1/subject")
            await kernel.close(fh)
            fh = await kernel.open("box", op=Op.OPENDIR)
            await kernel.read(fh, 0, 4096, Op.READDIRPLUS)
            await kernel.close(fh, Op.RELEASEDIR)
            for path in ("nonesuch", "hello/x", "box/9"):
                with pytest.raises(OSError, match="Errno"):
                    await kernel.look(path)
            with refuses(errno.EACCES):
                await kernel.open("box/1/body", os.O_WRONLY)
            made = f"f{round_}".encode() + b"\0"
            body = abi.CREATE_IN.pack(os.O_WRONLY, 0o644, 0, 0) + made
            data = await kernel.ask(Op.CREATE, 1, body)
            assert len(data) == abi.ENTRY_OUT.size + abi.ATTR.size + abi.OPEN_OUT.size
            await kernel.close(abi.OPEN_OUT.unpack(data[-abi.OPEN_OUT.size :])[0])
            await kernel.ask(Op.UNLINK, 1, made)
            with refuses(errno.EACCES):
                await kernel.ask(Op.MKDIR, await kernel.look("box"), b"\0" * 8 + b"x\0")
        deep = "/".join("abcdefghijklmnopq")  # more names than one walk has
        node = 1
        for name in deep.split("/"):
            body = abi.MKDIR_IN.pack(0o755, 0) + name.encode() + b"\0"
            data = await kernel.ask(Op.MKDIR, node, body)
            node = abi.ENTRY_OUT.unpack_from(data)[0]
        for _ in range(30):
            with refuses(errno.ENOENT):
                await kernel.look(f"{deep}/nonesuch")
        for i in range(1, 31):
            await kernel.look(f"many1000/{i}")
        assert len(kernel.spare()) <= 4
        fh = await kernel.open("event")
        for _ in range(30):
            read = await kernel.tell(Op.READ, 1, reading(fh, 0, 100))
            await kernel.tell(Op.INTERRUPT, 0, abi.INTERRUPT_IN.pack(read))
            assert (await kernel.hear(read))[0] == errno.EINTR
        await kernel.close(fh)
        # What was looked up and not opened is kept for the open that may follow.
        while kernel.fids() - before > 5:  # noqa: ASYNC110  # clunks are on their way
            await asyncio.sleep(0.001)

    play(tmp_path, work)


def test_a_server_that_dies(tmp_path: Path) -> None:
    async def work(kernel: Kernel) -> None:
        await kernel.init()
        fh = await kernel.open("event")
        read = await kernel.tell(Op.READ, 1, reading(fh, 0, 100))
        await kernel.look("hello")
        for connection in list(kernel.server.connections):
            connection.transport.abort()
        assert await kernel.hear(read) == (errno.EIO, b"")
        with refuses(errno.EIO):
            await kernel.look("box")
        await kernel.close(fh)

    play(tmp_path, work)


def test_a_writable_directory_is_no_whole(tmp_path: Path) -> None:
    """There, what cannot be removed is told whoever asks."""

    async def work(kernel: Kernel) -> None:
        await kernel.init()
        me = os.getpid()
        await kernel.ask(Op.OPENDIR, 1, abi.OPEN_IN.pack(0, 0), me)
        with refuses(errno.EACCES):
            await kernel.ask(Op.RMDIR, 1, b"stays\0", me)

    play(tmp_path, work)


def test_a_server_that_walks_later(tmp_path: Path) -> None:
    """It refuses what was sent after the walk, and is asked again."""

    async def work(kernel: Kernel) -> None:
        await kernel.init()
        node = await kernel.look("late/hello")
        kernel.later += FRESH
        data = await kernel.ask(Op.OPEN, node, abi.OPEN_IN.pack(os.O_RDWR, 0))
        fh, _, _ = abi.OPEN_OUT.unpack(data)
        assert await kernel.read(fh, 0, 100) == b"hello, world\n"
        await kernel.ask(Op.GETATTR, node, abi.GETATTR_IN.pack(0, 0, 0))

    play(tmp_path, work)


def test_an_empty_event_is_unlisted(tmp_path: Path) -> None:
    async def work(kernel: Kernel) -> None:
        """A directory of queries is hidden beside it; others have files called so."""
        await kernel.init()
        for name, data in (("stays", b""), ("late", b"full")):
            directory = kernel.world.root.children[name]
            assert isinstance(directory, RamDir)
            _, handle = directory.create("event", 0o644, OWRITE)
            handle.write(0, data)
            directory.create("search", DMDIR | 0o755, OREAD)
        found = {}
        for name in ("stays", "late"):
            fh = await kernel.open(name, op=Op.OPENDIR)
            data = await kernel.read(fh, 0, 4096, Op.READDIR)
            found[name] = [entry for entry, _ in dirents(data, plus=False)]
        late = [".", "..", "hello", "event", "search"]
        assert found == {"stays": [".", ".."], "late": late}

    play(tmp_path, work)


def test_the_end_does_not_wait_for_the_server(tmp_path: Path) -> None:
    async def work(kernel: Kernel) -> None:
        await kernel.init()
        fh = await kernel.open("event")
        read = await kernel.tell(Op.READ, 1, reading(fh, 0, 100))
        await kernel.look("hello")
        (connection,) = kernel.server.connections
        connection.transport.pause_reading()
        await kernel.session.close()
        assert await kernel.hear(read) == (errno.EIO, b"")
        kernel.session.close = closed  # type: ignore[method-assign]

    async def closed() -> None:
        pass

    play(tmp_path, work)


def test_who_asks_name_after_name_is_told_from_a_listing(tmp_path: Path) -> None:
    async def work(kernel: Kernel) -> None:
        async def ask(number: int) -> None:
            data = await kernel.ask(Op.LOOKUP, node, f"{number}\0".encode())
            attr = data[abi.ENTRY_OUT.size :]
            assert abi.ATTR.unpack(attr)[0] == 1 << 41 | 1000 << 20 | number

        await kernel.init()
        node = await kernel.look("many1000")
        fh = await kernel.open("many1000", op=Op.OPENDIR)
        for at in (0, 500, 1002):
            await kernel.read(fh, at, 4096, Op.READDIR)
        await ask(1)
        kernel.later += FRESH
        (connection,) = kernel.server.connections
        for number in range(1, 1 + 1000 // relist.WORTH):
            await ask(number)
        connection.transport.pause_reading()  # the server answers no more
        for number in range(500, 600):
            await ask(number)
        connection.transport.resume_reading()
        kernel.world.root.children.pop("many1000")
        kernel.later += FRESH
        with refuses(errno.ENOENT):
            await kernel.look("many1000")
        with refuses(errno.ENOENT):
            for number in range(600, 700):
                await ask(number)

    play(tmp_path, work)
