"""A mailbox of the server: the one place where the event loop and a worker meet.

The loop reads the latest view, which never changes under it.  Whatever blocks goes
to the mailbox's own thread, one job after another; a job that makes a new view hands
it to the loop before anybody who waited for the job goes on.  A request may stop
waiting, the job goes on to its end.
"""

import asyncio
import logging
import select
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mailfs.errors import MailfsError, reason
from mailfs.mailbox.build import FEW_HEADERS, Build, derive_few
from mailfs.mailbox.driver import Driver, Place
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.gather import Batcher
from mailfs.mailbox.index import Index, index_path
from mailfs.mailbox.kinds import Flag, Listing
from mailfs.mailbox.message import Message, Need
from mailfs.mailbox.remote import HEADERS, RemoteMessage
from mailfs.mailbox.view import NOTHING, Change, View, difference
from mailfs.mailbox.worker import Leisure, Worker

log = logging.getLogger(__name__)

_RECENT = Flag.RECENT.value
RECENT_MESSAGES = 64  # kept with what has been read of them
AHEAD = 64  # short messages fetched beside the one that is read
HEADS_AHEAD = 400  # headers likewise
SLICES = 400  # headers fetched at a time in the background; readers wait so long
LISTEN = 60.0  # seconds to wait for news at a time; then the driver looks around
PAUSE = 1.0  # seconds until the event loop has surely taken up what it was told
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class News:
    """What a listener is told: what changed from one view to the next."""

    change: Change
    digests: Mapping[int, str]  # of what has gone, where the index knew them


Listener = Callable[[News], None]
"""Called on the event loop, after the mailbox has taken over the new view."""


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
        self.listeners: list[Listener] = []
        self._cache = cache
        self._folder: MailboxState | None = None
        self._view: View | None = None
        self._told: View | None = None  # the worker's: up to where listeners know
        self._recent: OrderedDict[int, Message] = OrderedDict()
        self._build: Build | None = None
        self._builds = builds or asyncio.Semaphore(1)
        self._listing: asyncio.Task[None] | None = None
        self._closing = False
        self._jobs: set[asyncio.Task[object]] = set()
        self._unsliced: list[int] = []  # the worker's: headers still to be fetched
        leisure: Leisure | None = None
        if driver.remote:
            loop = asyncio.get_running_loop()
            driver.alarm = lambda: loop.call_soon_threadsafe(self._alarm)
            leisure = self._leisure
        self._worker = Worker(f"mbox {name}", leisure)
        self._heads = Batcher(
            lambda: self.view, self._sliced, self._fetch_heads, HEADS_AHEAD
        )
        self._wholes = Batcher(
            lambda: self.view, self._whole, self._fetch_wholes, AHEAD
        )

    @property
    def place(self) -> Place:
        """Root, user and whether anything may be changed."""
        return self.driver.place

    @property
    def view(self) -> View:
        """What the mailbox holds, as last listed; nothing before it is opened."""
        return self._view or NOTHING

    @property
    def asleep(self) -> bool:
        """Whether it has not been opened yet; refresh opens it."""
        return self._view is None

    @property
    def first(self) -> int:
        """The first number that was not known before the mailbox was opened."""
        return 1 if self._folder is None else self._folder.first

    async def run(self, job: Callable[[], T]) -> T:
        """Do job on the worker; it may block.  Cancelling stops the wait only."""
        return await asyncio.shield(asyncio.wrap_future(self._worker.submit(job)))

    def _alarm(self) -> None:
        """Look at the store, if anybody is interested; on the event loop."""
        if self.listeners or not self.asleep:
            waiting = self.refresh()
            if waiting is not None:
                self._spawn(self._heard(waiting))

    async def _heard(self, waiting: Awaitable[None]) -> None:
        try:
            await waiting
        except (OSError, MailfsError) as e:
            log.info("%s: %s", self.name, e)

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
        self._folder = folder = MailboxState(driver, index)
        if folder.load():
            if self.listeners:
                self._told = folder.view  # they hear of what came while it slept
            return self._resumed(folder) if driver.remote else folder.view
        if apart and folder.heavy and index.path is not None:
            self._list_apart()
        return folder.list()

    def _resumed(self, folder: MailboxState) -> View:
        """List a store whose messages the index knows; it may be out of reach."""
        try:
            return folder.list()
        except OSError as e:
            self.error = reason(e)
        return folder.view

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
        if self.driver.remote:
            self._unsliced = list(folder.unsliced(FEW_HEADERS))[::-1]
            if len(self._unsliced) < FEW_HEADERS or folder.index.path is None:
                return
            self._unsliced = []
            self._build = Build(self.driver.path, self.place, self._cache)
        elif not derive_few(folder) and folder.index.path is not None:
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
            done = self._worker.submit(lambda: self._noting(job))
            view, news = await asyncio.wrap_future(done)
            self._take(view)
            if news is not None:
                for listener in list(self.listeners):
                    listener(news)

        await asyncio.shield(asyncio.ensure_future(work()))

    def _noting(self, job: Callable[[], View]) -> tuple[View, News | None]:
        """Do job, and find out what it changed if anybody listens."""
        if self._folder is not None:
            self._folder.parted = {} if self.listeners else None
        view = job()
        told, self._told = self._told, view
        if told is None or told is view or not self.listeners:
            return view, None
        assert self._folder is not None
        change = difference(told, view)
        return view, News(change, self._folder.parted or {}) if change else None

    def _take(self, view: View) -> None:
        if view is not self._view:
            self._view = view
            self._recent.clear()

    def hurry(self) -> None:
        """Have the next refresh ask the server, whenever it was asked last."""
        self.driver.hurry()

    def refresh(self) -> Awaitable[None] | None:
        """List again if the store has changed; None if the view is current.

        If the store cannot be listed the last view stays, and error says why.
        """
        if self._closing:
            return None
        if self._listing is None and self.asleep:
            self._listing = asyncio.ensure_future(self._awake())
        if self._listing is None:
            listing = self.view.listing
            try:
                if listing.settled and self.driver.signature() == listing.signature:
                    return None
            except OSError:
                pass  # the listing finds the same, and says so
            self._listing = asyncio.ensure_future(self._refresh())
        return asyncio.shield(self._listing)

    async def _awake(self) -> None:
        """Open what was asleep.  Raises as open does, and it sleeps on."""
        try:
            await self.open()
        finally:
            self._listing = None

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
            found = folder.message(number, self.view)
            if found is None:
                return None
            self._recent[number] = found
            if len(self._recent) > RECENT_MESSAGES:
                self._recent.popitem(last=False)
        return found

    # What only remote stores need.

    async def prepare(self, message: Message, need: Need) -> None:
        """Fetch what need takes of a message, together with what others wait for."""
        if not isinstance(message, RemoteMessage):
            return
        if need in HEADERS:
            await self._heads.want(message.number)
        elif message.short:
            await self._wholes.want(message.number)

    def _sliced(self, number: int) -> bool:
        message = self.message(number)
        return message is None or message.ready(Need.HEAD)

    def _whole(self, number: int) -> bool:
        message = self.message(number)
        return message is None or message.ready(Need.WHOLE)

    async def _fetch_heads(self, numbers: Sequence[int]) -> None:
        assert self._folder is not None
        folder = self._folder
        await self.run(lambda: folder.slice(numbers))

    async def _fetch_wholes(self, numbers: Sequence[int]) -> None:
        assert self._folder is not None
        folder = self._folder
        await self.run(lambda: folder.fetch(numbers))

    def _leisure(self, wake: int) -> None:
        """Spend the worker's time between jobs: fetch headers, or wait for news."""
        folder = self._folder
        try:
            if folder is None or self._view is None:
                select.select([wake], [], [])
            elif self._unsliced:
                numbers = self._unsliced[-SLICES:][::-1]
                del self._unsliced[-SLICES:]
                folder.slice(numbers)
            elif self.driver.listen(LISTEN, wake):
                assert self.driver.alarm is not None
                self.driver.alarm()
                select.select([wake], [], [], PAUSE)
        except (OSError, MailfsError) as e:
            # The driver paces its attempts; the listing that follows says what is up.
            log.info("%s: %s", self.name, reason(e) if isinstance(e, OSError) else e)

    def flags(self, number: int) -> int:
        """Return a message's Flag bits; none if it has gone."""
        row = self.view.row(number)
        if row is None:
            return 0
        bits = self.view.listing.flags[row]
        return bits if number >= self.first else bits & ~_RECENT

    async def delete(self, numbers: Iterable[int]) -> None:
        """Remove messages; on disk when it returns."""
        await self._remove(numbers, self.driver.delete)

    async def expunge(self, numbers: Iterable[int]) -> None:
        """Remove messages for good, where delete would keep them in a trash."""
        await self._remove(numbers, self.driver.expunge)

    async def move(self, numbers: Iterable[int], target: str) -> None:
        """Move messages to another folder of the account."""
        driver = self.driver
        await self._remove(numbers, lambda l, rows: driver.move(l, rows, target))

    async def _remove(
        self,
        numbers: Iterable[int],
        how: Callable[[Listing, Sequence[int]], Listing],
    ) -> None:
        wanted = list(numbers)
        assert self._folder is not None
        folder = self._folder
        await self._change(lambda: folder.remove(wanted, how))

    async def copy(self, numbers: Iterable[int], target: str) -> None:
        """Copy messages to another folder of the account."""
        wanted, driver = list(numbers), self.driver
        assert self._folder is not None
        folder = self._folder

        def job() -> None:
            view = folder.view
            driver.copy(view.listing, sorted(view.rows(wanted)), target)

        await self.run(job)

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
        ]
        if self.asleep:
            return [*rows, ("state", "asleep"), *self.driver.state()]
        rows += [
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
        rows += self.driver.state()
        if self.error:
            rows.append(("error", self.error))
        return rows

    async def close(self) -> None:
        """End the worker and release the store."""
        self._closing = True
        if self._listing is not None:
            await asyncio.wait([self._listing])
        for job in self._jobs:
            job.cancel()
        while self._jobs:
            await asyncio.wait(self._jobs)
        await self.run(self._release)  # after whatever the worker still does
        self._worker.end()
        await asyncio.to_thread(self._worker.join)

    def _release(self) -> None:
        if self._build is not None:
            self._build.stop()
        if self._folder is not None:
            self._folder.close()
