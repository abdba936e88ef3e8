"""9P servers to mount, and mounts of them as processes of their own."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from mailfs.errors import EPERM, Refused
from mailfs.fuse import mountpoint
from mailfs.p9.fcall import DMDIR, OWRITE, QTDIR, Qid, Stat
from mailfs.p9.file import DirHandle, File, Handle, Later
from mailfs.p9.ramfs import Ram, RamDir, RamFile, RamHandle
from mailfs.p9.srv import Server, run
from mailfs.where import DialString

WAIT = 60.0  # seconds until a test is given up

fuse = [
    pytest.mark.live,
    pytest.mark.skipif(
        not mountpoint.DEVICE.exists(), reason="this machine has no /dev/fuse"
    ),
]


class Waits(RamFile):
    """A file without a length, whose readers wait for what tell gives them."""

    __slots__ = ("cancelled", "deaf", "readers", "waiting")

    def __init__(self, ram: Ram, parent: RamDir, name: str) -> None:
        super().__init__(ram, parent, name, 0o444)
        self.readers = 0
        self.cancelled = 0
        self.deaf = False  # flushes are not answered
        self.waiting: list[asyncio.Future[bytes]] = []

    def open(self, mode: int) -> "Handle":  # type: ignore[override]
        return WaitsHandle(self)

    def tell(self, data: bytes) -> None:
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(data)


class WaitsHandle(Handle):
    def __init__(self, file: Waits) -> None:
        self.file = file
        file.readers += 1

    async def read(self, offset: int, count: int) -> bytes:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.file.waiting.append(future)
        try:
            return (await future)[:count]
        except asyncio.CancelledError:
            self.file.cancelled += 1
            if not self.file.deaf:
                raise
            future = asyncio.get_running_loop().create_future()
            self.file.waiting.append(future)
            return (await future)[:count]

    def close(self) -> None:
        self.file.readers -= 1


class Odd(RamFile):
    """A file that tells neither length nor version, but has contents."""

    __slots__ = ()

    @property
    def qid(self) -> Qid:
        return super().qid._replace(vers=0)

    def stat(self) -> Stat:
        return super().stat()._replace(length=0)


class Whole(RamDir):
    """A directory that is removed as one, or not at all."""

    __slots__ = ("removed",)

    def __init__(self, ram: Ram, parent: RamDir, name: str, *names: str) -> None:
        super().__init__(ram, parent, name, DMDIR | 0o555)
        self.removed = False
        for child in names:
            self.children[child] = Part(ram, self, child, 0o444)

    def remove(self) -> None:
        if isinstance(self.parent, Whole):
            raise Refused(EPERM)
        assert self.parent is not None
        self.removed = True
        del self.parent.children[self.name]
        self.parent.changed()


class Part(RamFile):
    """A file of such a directory; its server takes its removal for the whole's."""

    __slots__ = ()

    def remove(self) -> None:
        if self.parent is not None:
            self.parent.remove()


class Stays(RamDir):
    """A directory that cannot be removed."""

    __slots__ = ()

    def remove(self) -> None:
        raise Refused(EPERM)


class Late(RamDir):
    """A directory that is walked in only after a while."""

    __slots__ = ()

    def walk(self, name: str) -> Later[File]:  # type: ignore[override]
        return self._walk(name)

    async def _walk(self, name: str) -> File:
        await asyncio.sleep(0.001)
        return super().walk(name)


class Many(File):
    """A directory of so many directories."""

    def __init__(self, parent: File, count: int) -> None:
        self.parent = parent
        self.count = count

    @property
    def qid(self) -> Qid:
        return Qid(QTDIR, 1, 1 << 40 | self.count)

    def entry(self, number: int) -> Stat:
        qid = Qid(QTDIR, 1, 1 << 41 | self.count << 20 | number)
        name, mode = str(number), DMDIR | 0o555
        return Stat(0, 0, qid, mode, 7, 7, 0, name, "glenda", "glenda", "glenda")

    def stat(self) -> Stat:
        return self.entry(0)._replace(qid=self.qid, name=f"many{self.count}")

    def walk(self, name: str) -> File:
        if name == "..":
            return self.parent
        if not name.isdecimal() or not 0 < int(name) <= self.count:
            raise Refused("file does not exist")
        return One(self, int(name))

    def open(self, mode: int) -> Handle:
        return ManyHandle(self)


class One(Many):
    """One of them."""

    def __init__(self, parent: Many, number: int) -> None:
        super().__init__(parent, 0)
        self.told = parent.entry(number)

    @property
    def qid(self) -> Qid:
        return self.told.qid

    def stat(self) -> Stat:
        return self.told


class ManyHandle(DirHandle):
    def __init__(self, directory: Many) -> None:
        super().__init__()
        self.directory = directory

    def entries(self) -> Iterator[bytes]:
        of = self.directory
        return (of.entry(i).pack() for i in range(1, of.count + 1))


class World:
    """A tree to mount: a writable part, and directories that are hard to mount."""

    def __init__(self) -> None:
        self.ram = Ram("glenda")
        self.root = self.ram.root
        for name, data in (("hello", b"hello, world\n"), ("empty", b"")):
            self.put(name, data)
        self.put("long", bytes(range(256)) * 12_000)  # three messages long
        children: dict[str, Any] = self.root.children
        self.event = Waits(self.ram, self.root, "event")
        self.other = Waits(self.ram, self.root, "other")
        self.odd = Odd(self.ram, self.root, "odd", 0o644)
        self.odd.data += b"contents nevertheless\n"
        self.box = RamDir(self.ram, self.root, "box", DMDIR | 0o555)
        late = Late(self.ram, self.root, "late", DMDIR | 0o755)
        late.children["hello"] = self.root.children["hello"]
        stays = Stays(self.ram, self.root, "stays", DMDIR | 0o755)
        for node in (self.event, self.other, self.odd, self.box, late, stays):
            children[node.name] = node
        for count in (1000, 10_000, 100_000):
            children[f"many{count}"] = Many(self.root, count)
        for number in range(1, 6):
            self.message(str(number))

    def put(self, name: str, data: bytes) -> RamFile:
        node, handle = self.root.create(name, 0o644, OWRITE)
        assert isinstance(handle, RamHandle)
        assert isinstance(node, RamFile)
        handle.write(0, data)
        handle.close()
        return node

    def put_again(self, name: str, data: bytes) -> None:
        self.put_in(self.root, name, data)

    def put_in(self, directory: RamDir, name: str, data: bytes) -> None:
        file = directory.children[name]
        assert isinstance(file, RamFile)
        file.data[:] = data
        file.changed()

    def file(self, name: str) -> RamFile:
        file = self.root.children[name]
        assert isinstance(file, RamFile)
        return file

    def message(self, name: str) -> Whole:
        whole = Whole(self.ram, self.box, name, "subject", "body", "flags")
        part = whole.children["1"] = Whole(self.ram, whole, "1", "body", "type")
        part.children["1"] = Whole(self.ram, part, "1", "body")
        self.box.children[name] = whole
        return whole

    def attach(self, uname: str, aname: str) -> File:
        match aname:
            case "":
                return self.root
            case "file":
                return self.root.children["hello"]
        raise Refused("no such tree")


class Served:
    """A world, served on a Unix socket by a thread of this process."""

    def __init__(self, directory: Path) -> None:
        self.address = DialString("unix", str(directory / "s"))
        self.world: World
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._server: Server

    async def serve(self, ready: Callable[[], None]) -> None:
        self.world = World()
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._server = Server(self.world.attach)
        await self._server.listen(self.address)
        ready()
        await self._stop.wait()
        await self._server.close()

    def do(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call something in the server's loop and return what it returns."""

        async def call() -> Any:
            return function(*args)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(WAIT)

    def stop(self) -> None:
        with suppress(RuntimeError):  # it has been stopped
            self._loop.call_soon_threadsafe(self._stop.set)

    def until(self, what: Callable[[World], bool]) -> None:
        """Wait for something to hold."""
        end = time.monotonic() + WAIT
        while not self.do(what, self.world):
            assert time.monotonic() < end
            time.sleep(0.005)


@contextmanager
def serving(directory: Path) -> Iterator[Served]:
    """Serve a World until the end of the block, or until it is stopped."""
    served, ready = Served(directory), threading.Event()
    thread = threading.Thread(target=lambda: run(served.serve(ready.set)), daemon=True)
    thread.start()
    assert ready.wait(WAIT)
    try:
        yield served
    finally:
        served.stop()
        thread.join(WAIT)
        assert not thread.is_alive()


def command(*words: object) -> list[str]:
    """Return the command line of ``mailfs mount``."""
    return [sys.executable, "-P", "-m", "mailfs", "mount", *map(str, words)]


class Mounted:
    """A directory something is mounted on, by a process in the foreground."""

    def __init__(self, path: Path, process: "subprocess.Popen[str]") -> None:
        self.path = path
        self.process = process

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(WAIT)


def need_fuse() -> None:
    """Skip where FUSE's program is missing, although the device is there."""
    lack = mountpoint.missing()
    if lack is not None:
        pytest.skip(lack)


@contextmanager
def mounting(path: Path, *words: object) -> Iterator[Mounted]:
    """Mount on path until the end of the block, or until it has ended."""
    need_fuse()
    path.mkdir(exist_ok=True)
    process = subprocess.Popen(
        command("-f", *words, path), stderr=subprocess.PIPE, text=True
    )
    try:
        end = time.monotonic() + WAIT
        while not path.is_mount():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end
            time.sleep(0.005)
        yield Mounted(path, process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=WAIT)
        gone(path)


def gone(path: Path) -> None:
    """Wait until nothing is mounted on path."""
    end = time.monotonic() + WAIT
    while True:
        try:
            if not os.path.ismount(path):
                return
        except OSError:  # its process has ended, and it is not unmounted yet
            pass
        assert time.monotonic() < end
        time.sleep(0.005)
