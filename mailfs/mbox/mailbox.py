"""A mailbox of the server: the one place where the event loop and a worker meet.

The loop reads the latest view, which never changes under it.  Whatever blocks goes
to the mailbox's own thread, one job after another; a job that makes a new view hands
it to the loop before anybody who waited for the job goes on.  A request may stop
waiting, the job goes on to its end.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from mailfs.errors import MailfsError, reason
from mailfs.mbox.build import Build, derive_few
from mailfs.mbox.driver import Driver, Flag, Place
from mailfs.mbox.folder import Folder, message_of
from mailfs.mbox.index import Index, index_path
from mailfs.mbox.message import Message
from mailfs.mbox.view import View

log = logging.getLogger(__name__)

_RECENT = Flag.RECENT.value
RECENT_MESSAGES = 64  # kept with what has been read of them
T = TypeVar("T")


class Mailbox:
    """One open mailbox."""

    def __init__(
        self,
        name: str,
        path: str,
        driver: Driver,
        cache: Path,
        builds: asyncio.Semaphore | None = None,
    ) -> None:
        """Take over driver, which serves path.  open must be awaited first.

        builds lets through as many index processes as may run at once.
        """
        self.name = name
        self.path = path
        self.driver = driver
        self.error = ""  # why the last listing failed
        self._cache = cache
        self._folder: Folder | None = None
        self._view: View | None = None
        self._recent: OrderedDict[int, Message] = OrderedDict()
        self._build: Build | None = None
        self._builds = builds or asyncio.Semaphore(1)
        self._listing: asyncio.Task[None] | None = None
        self._jobs: set[asyncio.Task[object]] = set()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"mbox {name}")

    @property
    def place(self) -> Place:
        """Root, user and whether anything may be changed."""
        return self.driver.place

    @property
    def view(self) -> View:
        """What the mailbox holds, as last listed."""
        assert self._view is not None
        return self._view

    @property
    def first(self) -> int:
        """The first number that was not known before the mailbox was opened."""
        assert self._folder is not None
        return self._folder.first

    async def run(self, job: Callable[[], T]) -> T:
        """Do job on the worker; it may block.  Cancelling stops the wait only."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._worker, job))

    async def open(self, *, apart: bool = True) -> None:
        """List the store.  Raises OSError or MailfsError if it cannot be served.

        apart spares others who use the server a long computation, at the price of
        starting a process for it; without others it only takes longer.
        """
        await self._change(lambda: self._open(apart))
        self._build_rest()

    def _open(self, apart: bool) -> View:
        driver = self.driver
        name = str(Path(driver.path).absolute())
        index = Index(index_path(self._cache, name), driver.kind, name)
        self._folder = folder = Folder(driver, index)
        if folder.load():
            return folder.view
        if apart and folder.heavy and index.path is not None:
            self._list_apart()
        return folder.list()

    def _list_apart(self) -> None:
        """Have a process of its own list the store and go on to build the index."""
        folder = self._folder
        assert folder is not None
        first = folder.first
        self._build = build = Build(self.driver.path, self.place, self._cache)
        try:
            build.wait_listed()
        except MailfsError as e:
            # The listing that follows tells what is wrong, in its own words.
            log.info("%s: index: %s", self.name, e)
        folder.load()
        folder.first = first

    def _relist(self) -> View:
        folder = self._folder
        assert folder is not None
        if folder.heavy and folder.index.path is not None:
            self._list_apart()
        return folder.list()

    def _build_rest(self) -> None:
        """See to it that the index gets what it lacks."""
        self._spawn(self._fill())

    async def _fill(self) -> None:
        async with self._builds:
            await self.run(self._derive)
            if self._build is not None:
                await asyncio.to_thread(self._build.wait)

    def _derive(self) -> None:
        folder = self._folder
        assert folder is not None
        if self._build is not None and self._build.running:
            return
        if not derive_few(folder) and folder.index.path is not None:
            self._build = Build(self.driver.path, self.place, self._cache)

    def _spawn(self, work: Awaitable[object]) -> None:
        task = asyncio.ensure_future(work)
        self._jobs.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[object]") -> None:
        self._jobs.discard(task)
        if not task.cancelled() and (e := task.exception()) is not None:
            log.error("%s: %s", self.name, e, exc_info=e)

    async def _change(self, job: Callable[[], View]) -> None:
        """Do a job that makes a new view, and take it over even if nobody waits."""

        async def work() -> None:
            loop = asyncio.get_running_loop()
            self._take(await loop.run_in_executor(self._worker, job))

        await asyncio.shield(asyncio.ensure_future(work()))

    def _take(self, view: View) -> None:
        if view is not self._view:
            self._view = view
            self._recent.clear()

    def refresh(self) -> Awaitable[None] | None:
        """List again if the store has changed; None if the view is current.

        If the store cannot be listed the last view stays, and error says why.
        """
        if self._listing is None:
            listing = self.view.listing
            try:
                if listing.settled and self.driver.signature() == listing.signature:
                    return None
            except OSError:
                pass  # the listing finds the same, and says so
            self._listing = asyncio.ensure_future(self._refresh())
        return asyncio.shield(self._listing)

    async def _refresh(self) -> None:
        before = self.view
        try:
            await self._change(self._relist)
        except OSError as e:
            self.error = reason(e)
        except MailfsError as e:
            self.error = str(e)
        else:
            self.error = ""
            if self.view.next != before.next:
                self._build_rest()
        finally:
            self._listing = None

    def message(self, number: int) -> Message | None:
        """Return the message with a number, None if there is none."""
        found = self._recent.get(number)
        if found is None:
            assert self._folder is not None
            folder = self._folder
            found = message_of(self.view, number, folder.shape, folder.index)
            if found is None:
                return None
            self._recent[number] = found
            if len(self._recent) > RECENT_MESSAGES:
                self._recent.popitem(last=False)
        return found

    def flags(self, number: int) -> int:
        """Return a message's Flag bits; none if it has gone."""
        row = self.view.row(number)
        if row is None:
            return 0
        bits = self.view.listing.flags[row]
        return bits if number >= self.first else bits & ~_RECENT

    async def delete(self, numbers: Iterable[int]) -> None:
        """Remove messages; on disk when it returns."""
        wanted = list(numbers)
        assert self._folder is not None
        folder = self._folder
        await self._change(lambda: folder.delete(wanted))

    async def set_flags(self, changes: Sequence[tuple[int, Flag, Flag]]) -> None:
        """Apply (number, flags to set, to clear); on disk when it returns."""
        assert self._folder is not None
        folder = self._folder
        await self._change(lambda: folder.set_flags(changes))

    def status(self) -> list[tuple[str, str]]:
        """Return what there is to know, as names and values."""
        build = self._build
        busy = build is not None and build.running
        rows = [
            ("name", self.name),
            ("path", self.path),
            ("kind", self.driver.kind),
            ("state", "error" if self.error else "indexing" if busy else "ready"),
            ("messages", str(len(self.view))),
            ("version", str(self.view.vers)),
        ]
        if busy:
            assert build is not None
            done = build.progress
            rows.append(("progress", f"{done.phase} {done.done} {done.total}"))
        if build is not None and build.error:
            rows.append(("index", build.error))
        if self.error:
            rows.append(("error", self.error))
        return rows

    async def close(self) -> None:
        """End the worker and release the store."""
        for job in self._jobs:
            job.cancel()
        while self._jobs:
            await asyncio.wait(self._jobs)
        await self.run(self._release)  # after whatever the worker still does
        self._worker.shutdown()

    def _release(self) -> None:
        if self._build is not None:
            self._build.stop()
        if self._folder is not None:
            self._folder.close()
