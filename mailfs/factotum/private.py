"""A factotum within this process, which nobody else can ask and which ends with it."""

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

from mailfs import where
from mailfs.factotum.agent import Agent
from mailfs.factotum.authsrv import asker
from mailfs.factotum.client import Factotum
from mailfs.factotum.fetch import Fetch
from mailfs.factotum.proto import PROTOS
from mailfs.factotum.step import Env
from mailfs.factotum.tree import FactotumService
from mailfs.p9.srv import Server
from mailfs.secret import Secret

T = TypeVar("T")


class PrivateFactotum:
    """A factotum served while entered, in a thread and a directory of its own.

    fetch makes the HTTP requests that renew tokens.
    """

    def __init__(self, fetch: Fetch) -> None:
        env = Env(os.urandom, time.time, asker(lambda dom: ""), fetch)
        self._agent = Agent(where.user(), PROTOS, env)
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> "PrivateFactotum":
        self._folder = tempfile.TemporaryDirectory(prefix="mf")  # mode 0700
        self.address = where.DialString("unix", f"{self._folder.name}/f")
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        service = FactotumService(self._agent)
        self._server = Server(lambda uname, aname: service.root(uname))
        self._do(self._server.listen(self.address))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._server.close())
        self._do(self._agent.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def keys(self) -> Factotum:
        """Make a connection to it."""
        return Factotum(self.address)

    def add(self, line: Secret) -> None:
        """Add a key, ``key ...``, in the place of one it equals."""
        with self.keys() as agent:
            agent.control(line.text())
