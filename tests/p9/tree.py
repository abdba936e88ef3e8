"""A tree for tests: ramfs with files that wait, fail or misbehave; a way to ask."""

import asyncio
import errno
from collections.abc import Callable, Iterator

from mailfs.errors import Refused
from mailfs.p9.fcall import (
    DMDIR,
    HEADER,
    NOFID,
    OREAD,
    OWRITE,
    Fcall,
    Reply,
    Request,
    Tattach,
    Tversion,
    pack,
    unpack,
)
from mailfs.p9.file import DirHandle, File, Handle, Later
from mailfs.p9.ramfs import Ram, RamDir, RamFile
from mailfs.p9.session import Session

CLOCK = 1_000_000_000


class Waits(RamFile):
    """A file of which open, read, write, stat, remove and wstat wait for go."""

    def __init__(self, tree: "Tree", name: str) -> None:
        super().__init__(tree.ram, tree.ram.root, name, 0o666)
        self.tree = tree
        self.go = asyncio.Event()
        self.begun = 0
        self.cancelled = 0
        self.closed = 0
        self.removed = 0
        self.lasts = 0.0  # seconds from being cancelled to the end of a stubborn read
        self.finished = False

    async def pause(self) -> None:
        self.begun += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def _open(self) -> Handle:
        await self.pause()
        return WaitsHandle(self)

    def open(self, mode: int) -> Later[Handle]:  # type: ignore[override]
        return self._open() if "open" in self.name else WaitsHandle(self)

    async def remove(self) -> None:  # type: ignore[override]
        await self.pause()
        self.removed += 1


class WaitsHandle(Handle):
    def __init__(self, file: Waits) -> None:
        self.file = file

    async def read(self, offset: int, count: int) -> bytes:
        await self.file.pause()
        return b"late"[offset:][:count]

    async def write(self, offset: int, data: bytes) -> int:
        await self.file.pause()
        return len(data)

    def close(self) -> None:
        self.file.closed += 1


class Stubborn(Waits):
    """A file whose read is finished even if it is cancelled."""

    def open(self, mode: int) -> Handle:  # type: ignore[override]
        return StubbornHandle(self)


class StubbornHandle(WaitsHandle):
    async def read(self, offset: int, count: int) -> bytes:
        try:
            await self.file.pause()
        except asyncio.CancelledError:
            await asyncio.sleep(self.file.lasts)
            self.file.finished = True
        return b"done"


class Late(RamDir):
    """A directory that walks, lists, opens and makes children only after a while."""

    def walk(self, name: str) -> Later[File]:  # type: ignore[override]
        return self._walk(name)

    async def _walk(self, name: str) -> File:
        await asyncio.sleep(0)
        return super().walk(name)

    def open(self, mode: int) -> Handle:  # type: ignore[override]
        return LateHandle(self)

    async def create(  # type: ignore[override]
        self, name: str, perm: int, mode: int
    ) -> tuple[File, Handle]:
        await asyncio.sleep(0)
        return super().create(name, perm, mode)


class LateHandle(DirHandle):
    def __init__(self, directory: RamDir) -> None:
        super().__init__()
        self.directory = directory

    async def entries(self) -> Iterator[bytes]:
        await asyncio.sleep(0)
        return iter([child.stat().pack() for child in self.directory.children.values()])


class Fails(RamFile):
    """A file whose read does what its name says."""

    def open(self, mode: int) -> Handle:  # type: ignore[override]
        return FailsHandle(self.name)


class FailsHandle(Handle):
    def __init__(self, how: str) -> None:
        self.how = how

    def read(self, offset: int, count: int) -> bytes:
        match self.how:
            case "bug":
                raise RuntimeError("a bug")
            case "refuses":
                raise Refused("not today")
            case "oserror":
                raise FileNotFoundError(errno.ENOENT, "No such file", "/secret/path")
        return b"x" * (count + 1)

    def close(self) -> None:
        if self.how == "badclose":
            raise Refused("not closed")


class Tree:
    """Ramfs with the files above in its root; make it inside the event loop."""

    def __init__(self) -> None:
        self.ram = Ram("glenda", clock=lambda: CLOCK)
        self.put("alpha", b"alpha\n")
        self.put("empty", b"")
        (directory, _) = self.ram.root.create("dir", DMDIR | 0o755, OREAD)
        assert isinstance(directory, RamDir)
        self.dir = directory
        self.late = Late(self.ram, self.ram.root, "late", DMDIR | 0o755)
        self.waits = Waits(self, "waits")
        self.waits_open = Waits(self, "waits-open")
        self.stubborn = Stubborn(self, "stubborn")
        children = self.ram.root.children
        for node in (self.late, self.waits, self.waits_open, self.stubborn):
            children[node.name] = node
        for how in ("bug", "refuses", "oserror", "toomuch", "badclose"):
            children[how] = Fails(self.ram, self.ram.root, how, 0o444)
        self.late.children["child"] = RamFile(self.ram, self.late, "child", 0o644)

    def attach(self, uname: str, aname: str) -> Later[File]:
        match aname:
            case "":
                return self.ram.root
            case "late":
                return self._attach_late()
        raise Refused("no such tree")

    async def _attach_late(self) -> File:
        await asyncio.sleep(0)
        return self.ram.root

    def put(self, name: str, data: bytes, perm: int = 0o644) -> None:
        _, handle = self.ram.root.create(name, perm, OWRITE)
        handle.write(0, data)
        handle.close()


class Peer:
    """A client of a bare session: no sockets, no loop needed for what is immediate."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def tell(self, msg: Request, tag: int = 1) -> None:
        raw = pack(tag, msg)
        self.session.request(raw[4], tag, raw, HEADER.size, len(raw))

    def heard(self) -> list[tuple[int, Fcall]]:
        """Return the replies that have come since the last call."""
        raw = b"".join(self.session.replies)
        self.session.replies.clear()
        self.session.bulk = 0
        return list(map(unpack, split(raw)))

    def ask(self, msg: Request, tag: int = 1) -> Reply:
        """Return the reply, which must be immediate and the only one."""
        self.tell(msg, tag)
        ((got, reply),) = self.heard()
        assert got == tag
        assert len(pack(got, reply)) <= self.session.msize
        return reply  # type: ignore[return-value]

    async def wait(self, msg: Request, tag: int = 1) -> Reply:
        """Return the reply, which may take a few turns of the loop."""
        self.tell(msg, tag)
        ((got, reply),) = await self.hear()
        assert got == tag
        return reply  # type: ignore[return-value]

    async def hear(self, turns: int = 12) -> list[tuple[int, Fcall]]:
        """Return what comes within some turns of the loop."""
        for _ in range(turns):
            await asyncio.sleep(0)
        return self.heard()

    def begin(self, msize: int = 8216, fid: int = 0) -> None:
        """Agree on a version and attach as fid."""
        self.ask(Tversion(msize, "9P2000"), 0xFFFF)
        self.ask(Tattach(fid, NOFID, "glenda", ""))


def split(raw: bytes) -> Iterator[bytes]:
    """Give the messages in raw."""
    while raw:
        size = int.from_bytes(raw[:4], "little")
        assert len(raw) >= size
        yield raw[:size]
        raw = raw[size:]


def peer(attach: "Callable[[str, str], Later[File]]", **options: object) -> Peer:
    """Return a peer of a new session."""
    return Peer(Session(attach, **options))  # type: ignore[arg-type]
