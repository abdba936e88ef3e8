"""The life of one mount: requests in, answers out, until somebody ends it."""

import asyncio
import errno
import logging
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor

from mailfs.errors import MailfsError
from mailfs.fuse import abi
from mailfs.fuse.abi import Op, Request
from mailfs.fuse.device import Device, Unmounted
from mailfs.fuse.entry import Entry
from mailfs.fuse.failures import Failures
from mailfs.fuse.news import News
from mailfs.fuse.node import Nodes
from mailfs.fuse.ops import HANDLERS, REFUSED, Ops
from mailfs.fuse.tree import Tree
from mailfs.p9.unixerr import errno_of

log = logging.getLogger(__name__)

PATIENCE = 0.8  # seconds for the server to answer the flush of what is interrupted
# Where the name begins of which something is asked, by operation.
NAMED: dict[int, int] = {
    Op.LOOKUP: 0,
    Op.UNLINK: 0,
    Op.RMDIR: 0,
    Op.MKDIR: abi.MKDIR_IN.size,
    Op.CREATE: abi.CREATE_IN.size,
    Op.RENAME: abi.RENAME_IN.size,
    Op.RENAME2: abi.RENAME2_IN.size,
}
QUIET = (Op.LOOKUP, Op.GETATTR)

FAREWELL = 1.0  # seconds for the server to answer what is flushed at the end


class FuseSession:
    """A mounted tree.  It belongs to the running event loop."""

    def __init__(
        self, device: Device, tree: Tree, nodes: Nodes, patience: float = PATIENCE
    ) -> None:
        """Make it, not begun; patience is in seconds."""
        self._patience = patience
        self._left: set[int] = set()  # requests answered EINTR, still under way
        self.device = device
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._nodes = nodes
        self._failures = Failures(nodes)
        self._ops = Ops(tree, nodes, self._expire, device.store, self._failures)
        self._tasks: dict[int, asyncio.Task[None]] = {}  # by unique
        self._news: asyncio.Task[None] | None = None
        self._closing = False
        # The kernel makes whoever drops names wait for whoever holds a directory, and
        # that may be somebody we have to answer.
        self._expirer = ThreadPoolExecutor(1, "expire")

    @property
    def tree(self) -> Tree:
        """The tree that is mounted; another once the server has come back."""
        return self._ops.tree

    def lost(self, error: MailfsError) -> None:
        """Note that the server has gone: nothing that was seen is believed."""
        self._ops.doubt()

    def renew(self, tree: Tree, root: Entry) -> None:
        """Go on with the tree of a server that has come back.

        What was open before stays so, and answers EIO.
        """
        self.tree.abandon()
        self._nodes.renew(root)
        self._ops = self._ops.renewed(tree)
        self._ops.doubt()
        self._listen()

    def begin(self) -> None:
        """Answer from here on; ended is done when the file system is unmounted."""
        self._loop.add_reader(self.device.fd, self._ready)
        self._listen()

    def _listen(self) -> None:
        """Hear what changes in the tree, if its server tells."""
        news = News(self.tree, self._nodes, self._ops.doubt)
        self._news = self._loop.create_task(news.run())

    def _ready(self) -> None:
        try:
            request = self.device.recv()
        except Unmounted:
            self._loop.remove_reader(self.device.fd)
            if not self.ended.done():
                self.ended.set_result(None)
            return
        if request is not None:
            self._take(request)
            self.tree.mux.push()

    def _take(self, request: Request) -> None:
        """Answer a request, or see to it that it will be."""
        if request.op == Op.INTERRUPT:
            self._interrupt(*abi.INTERRUPT_IN.unpack_from(request.body))
            return
        handler = HANDLERS.get(request.op)
        if handler is None:
            self.device.refuse(request.unique, REFUSED.get(request.op, errno.ENOSYS))
            return
        if self._closing and request.op not in (Op.FORGET, Op.BATCH_FORGET):
            self.device.refuse(request.unique, errno.EIO)
            return
        try:
            answer = handler(self._ops, request)
        except (MailfsError, OSError) as e:
            self.device.refuse(request.unique, self._number(request, e))
            return
        if isinstance(answer, bytes):
            self.device.reply(request.unique, answer)
        elif answer is not None:
            task = self._loop.create_task(self._answer(request, answer))
            self._tasks[request.unique] = task

    async def _answer(self, request: Request, later: Awaitable[bytes | None]) -> None:
        """Reply what is waited for, or the errno of what goes wrong."""
        number = 0
        data: bytes | None = b""
        try:
            data = await later
        except asyncio.CancelledError:
            number = errno.EIO if self._closing else errno.EINTR
        except (MailfsError, OSError) as e:
            number = self._number(request, e)
        except Exception:
            log.exception("unexpected error in %s", Op(request.op).name)
            number = errno.EIO
        finally:
            del self._tasks[request.unique]
        if request.unique in self._left:
            self._left.discard(request.unique)
            self._ops.unwanted(request.op, data if not number else None)
        elif number:
            self.device.refuse(request.unique, number)
        else:
            self.device.reply(request.unique, data or b"")

    def _number(self, request: Request, error: MailfsError | OSError) -> int:
        """Find the errno of an error, and keep the words of one that is the server's.

        That a name is missing says all there is to say.
        """
        if isinstance(error, OSError):
            return error.errno or errno.EIO
        number = errno_of(error)
        if number != errno.ENOENT or request.op not in QUIET:
            start = NAMED.get(request.op)
            named = b"" if start is None else abi.name(request.body, start)
            log.warning("%s", self._failures.note(request.node, named, error))
        return number

    def _interrupt(self, unique: int) -> None:
        """Flush a request, unless it has been answered meanwhile."""
        task = self._tasks.get(unique)
        if task is not None:
            task.cancel()
            self._loop.call_later(self._patience, self._leave, unique, task)

    def _leave(self, unique: int, task: "asyncio.Task[None]") -> None:
        """Answer EINTR for a server that answers neither a request nor its flush.

        Until then, nothing can kill the process that waits.
        """
        if self._tasks.get(unique) is task and unique not in self._left:
            self._left.add(unique)
            self.device.refuse(unique, errno.EINTR)

    def _expire(self, names: list[tuple[int, bytes]]) -> "asyncio.Future[None]":
        return self._loop.run_in_executor(self._expirer, self.device.expire, names)

    async def close(self) -> None:
        """Answer everything with an error and give the device back.

        To be followed by the unmounting; until then, users get "not connected".
        """
        self._closing = True
        if self._news is not None:
            self._news.cancel()
        for task in self._tasks.values():
            task.cancel()
        await self._settle(FAREWELL)
        self.tree.mux.close()  # whoever waited for the server waits no more
        await self._settle(None)
        if self._news is not None:
            await asyncio.wait([self._news])
        await self._loop.run_in_executor(None, self._expirer.shutdown)
        self._loop.remove_reader(self.device.fd)
        self.device.close()

    async def _settle(self, seconds: float | None) -> None:
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=seconds)
