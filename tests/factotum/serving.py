"""A factotum served in this process, and 9P clients of it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from mailfs import where
from mailfs.factotum.agent import Agent
from mailfs.factotum.client import Factotum
from mailfs.factotum.proto import PROTOS
from mailfs.factotum.step import Env
from mailfs.factotum.tree import FactotumService
from mailfs.p9.client import Client, OpenFile
from mailfs.p9.fcall import ORDWR
from mailfs.p9.srv import Server
from mailfs.where import DialString
from tests.factotum.world import NOW, world

T = TypeVar("T")


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def call(self, job: Callable[[], T]) -> T:
        async def work() -> T:
            return job()

        return self.do(work())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Served:
    """An agent and the server that shows it."""

    def __init__(self, scratch: Path, env: Env | None = None) -> None:
        self.address = DialString("unix", str(scratch / "f"))
        self.loop = Loop()
        self.agent = Agent(where.user(), PROTOS, env or world("agent"))
        service = FactotumService(self.agent, lambda: NOW)
        self.server = Server(lambda uname, aname: service.root(uname))
        self.loop.do(self.server.listen(self.address))

    def add(self, *keys: str) -> None:
        for text in keys:
            self.loop.call(lambda text=text: self.agent.control(f"key {text}"))  # type: ignore[misc]

    def client(self, uname: str | None = None) -> Client:
        return Client(self.address, uname=uname, timeout=30)

    def keys(self, getkey: Callable[[str], None] | None = None) -> Factotum:
        return Factotum(self.address, getkey=getkey)

    def close(self) -> None:
        self.loop.do(self.server.close())
        self.loop.do(self.agent.close())
        self.loop.close()


@contextmanager
def serving(scratch: Path, *keys: str, env: Env | None = None) -> Iterator[Served]:
    served = Served(scratch, env)
    try:
        served.add(*keys)
        yield served
    finally:
        served.close()


class Rpc:
    """An rpc file, spoken to octet by octet."""

    def __init__(self, client: Client) -> None:
        self.file: OpenFile = client.open("rpc", ORDWR)

    def __call__(self, request: bytes | str, count: int = 4096) -> bytes:
        self.file.write(request.encode() if isinstance(request, str) else request)
        return self.file.read(count)
