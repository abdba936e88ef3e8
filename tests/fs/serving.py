"""A tree of mailboxes served in this process, and real 9P clients of it."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from mailfs.fs.root import attach
from mailfs.mailbox.driver import Place
from mailfs.mailbox.net import Network
from mailfs.mailboxes.registry import MailboxRegistry, ignored
from mailfs.p9.client import Client
from mailfs.p9.srv import Server
from mailfs.where import DialString

USER = "glenda"
T = TypeVar("T")


class Tree:
    """Mailboxes, the server that shows them, and the loop both run on."""

    def __init__(
        self, scratch: Path, *, readonly: bool = False, net: Network | None = None
    ) -> None:
        scratch.mkdir(exist_ok=True)
        self.root = scratch / "root"
        self.address = DialString("unix", str(scratch / "s"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        place = Place(self.root, USER, readonly, net)
        self.boxes = MailboxRegistry(place, scratch / "cache", ignored(self.root))
        self.server = Server(lambda uname, aname: attach(self.boxes, uname, aname))
        self.do(self.server.listen(self.address))

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Do work on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def open(self, path: Path | str, name: str) -> None:
        """Open a mailbox."""
        self.do(self.boxes.open(str(path), name))

    def client(self, aname: str = "", uname: str = USER) -> Client:
        """Return a client of the tree."""
        return Client(self.address, aname=aname, uname=uname)

    def heard(self) -> bool:
        """Whether anybody listens to what happens in a mailbox."""
        return any(box.listeners for box in self.boxes)

    def close(self) -> None:
        """End everything."""
        self.do(self.server.close())
        self.do(self.boxes.close_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def serving(scratch: Path, *, readonly: bool = False, **boxes: Path) -> Iterator[Tree]:
    """Serve boxes, by name, until the end of the block."""
    tree = Tree(scratch, readonly=readonly)
    try:
        for name, path in boxes.items():
            tree.open(path, name)
        yield tree
    finally:
        tree.close()
