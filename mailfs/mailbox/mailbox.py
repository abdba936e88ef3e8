"""A mailbox of the server: the one place where the event loop and a worker meet.

The loop reads the latest view, which never changes under it.  Whatever blocks goes
to the mailbox's own worker, one job after another; a job that makes a new view posts
the finished change to the loop, which takes it over before anybody who waited for the
job goes on.  A request may stop waiting, the job goes on to its end.
"""

import asyncio
import logging
import os
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar

from mailfs.disk.mounts import NETWORK, filesystem
from mailfs.errors import MailfsError, reason
from mailfs.fulltext.store import FullText
from mailfs.mailbox.build import Build, derive_few
from mailfs.mailbox.driver import Driver, Place
from mailfs.mailbox.drivers.owned import LocalDriver
from mailfs.mailbox.feed import unfed
from mailfs.mailbox.folder import MailboxState, index_of
from mailfs.mailbox.kinds import Flag, Listing
from mailfs.mailbox.message import Message, Need
from mailfs.mailbox.pool import away
from mailfs.mailbox.remotestate import state_of
from mailfs.mailbox.trash import trash_of
from mailfs.mailbox.view import NOTHING, Change, View, bare, difference
from mailfs.mailbox.worker import Jobs, Strand
from mailfs.query.tree import Leaf

log = logging.getLogger(__name__)

_RECENT = Flag.RECENT.value
RECENT_MESSAGES = 64  # kept with what has been read of them
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asleep:
    """A mailbox that is not open.

    view is the last one seen, if any, and first the first number that was not known
    when it was first opened.
    """

    view: View = NOTHING
    first: int | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """A mailbox that is open; the worker uses state, the loop reads view."""

    state: MailboxState
    view: View


@dataclass(frozen=True, slots=True)
class Moved:
    """A finished change: the view it leads to, and how that differs from the last.

    change and digests (of removed messages, where the index knew them) are empty where
    nobody listens.
    """

    view: View
    change: Change = Change()  # noqa: RUF009  # a value
    digests: Mapping[int, str] = field(default_factory=dict)


Listener = Callable[[Moved], None]
"""Called on the event loop, after the mailbox has taken over the new view."""


def _noticed(task: "asyncio.Task[None]") -> None:
    """Take the error of a task that noted it, whether or not somebody still waits."""
    if not task.cancelled():
        task.exception()


class Keeper(Protocol):
    """Who keeps what leads to messages, for quick answers."""

    def forget(self) -> None:
        """Let go of it: the mailbox sleeps."""


class Mailbox:
    """One mailbox, asleep until open or the first refresh."""

    def __init__(
        self,
        name: str,
        path: str,
        driver: Driver,
        cache: Path,
        builds: asyncio.Semaphore | None = None,
    ) -> None:
        """Take over driver, which serves path; nothing is asked of it yet.

        builds lets through as many index processes as may run at once.
        """
        self.name = name
        self.path = path
        self.driver = driver
        self.error = ""  # why the last listing failed
        self.remarks: dict[str, str] = {}  # rows that status has beside; "" for none
        self.listeners: list[Listener] = []
        self.keepers: weakref.WeakSet[Keeper] = weakref.WeakSet()
        self._woken = asyncio.Event()
        self._cache = cache
        self._now: Asleep | Open = Asleep()
        self._told: View | None = None  # the worker's: up to where listeners know
        self._recent: OrderedDict[int, Message] = OrderedDict()
        self._build: Build | None = None
        self._builds = builds or asyncio.Semaphore(1)
        self._listing: asyncio.Task[None] | None = None
        self._closing = False
        self._jobs: set[asyncio.Task[object]] = set()
        self._worker: Jobs | None = None
        self._far = False  # whether looking at the store may take for ever
        self._active = 0  # jobs that the worker has
        self._rested: Callable[[], MailboxState | None] = (
            _nobody  # gives the state that rest has closed, if it is used
        )
        self._used = False  # since somebody last asked for idle
        self.rests = True  # whether it may go to sleep when nobody uses it
        self.opened: Callable[[Mailbox], None] = _pass  # told whenever it wakes

    def _make_worker(self) -> Jobs:
        return Strand()

    @property
    def place(self) -> Place:
        """Root, user and whether anything may be changed."""
        return self.driver.place

    @property
    def view(self) -> View:
        """The messages as last listed; none before the mailbox is first opened."""
        return self._now.view

    @property
    def asleep(self) -> bool:
        """Whether it is not open; refresh opens it."""
        return isinstance(self._now, Asleep)

    @property
    def first(self) -> int:
        """The first number that was not known before the mailbox was opened."""
        if isinstance(self._now, Open):
            return self._now.state.first
        return self._now.first or 1

    async def run(self, job: Callable[[], T]) -> T:
        """Do job on the worker; it may block.  Cancelling stops the wait only."""
        self._used = True
        if self._worker is None:
            self._worker = self._make_worker()
        future = asyncio.wrap_future(self._worker.submit(job))
        self._active += 1
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    async def with_words(self, job: Callable[[FullText | None], T]) -> T:
        """Do job on the worker with the full text, None where there is none."""
        state = await self._awake()
        return await self.run(lambda: job(state.fulltext))

    def _done(self, future: "asyncio.Future[T]") -> None:
        self._active -= 1
        if not future.cancelled():
            future.exception()  # maybe nobody waits any more

    async def search(
        self, leaves: Sequence[Leaf], numbers: Sequence[int]
    ) -> dict[Leaf, set[int]] | None:
        """Ask a server which messages answer each of some conditions; None if none."""
        return None

    async def open(self, *, apart: bool = True) -> None:
        """List the store.  Raises OSError or MailfsError if it cannot be served.

        apart spares others who use the server a long computation, at the price of
        starting a process for it; without others it only takes longer.
        """
        loop = asyncio.get_running_loop()

        first = self._now.first if isinstance(self._now, Asleep) else None

        def job() -> None:
            self.driver = self.driver.found()
            self._far = is_far(self.driver)
            state = self._new_state()
            try:
                moved = self._noting(state, lambda: self._opened(state, apart))
            except BaseException:
                if state.index.generation:
                    state.index.close()
                else:
                    state.index.discard()
                raise
            state.first = first or state.first
            loop.call_soon_threadsafe(self._take, state, moved)

        await self.run(job)
        self.error = ""
        self._build_rest()

    def _new_state(self) -> MailboxState:
        return state_of(self.driver, index_of(self.driver, self._cache))

    def _opened(self, state: MailboxState, apart: bool) -> View:
        if state.load():
            if self.listeners and self._told is None:
                self._told = state.view  # they hear of what came while it slept
            return self._resumed(state)
        if apart and state.heavy and state.index.path is not None:
            self._list_apart(state)
        return state.list()

    def _resumed(self, state: MailboxState) -> View:
        """Return the view of a store that the index has as it is."""
        return state.view

    def _new_build(self) -> Build | None:
        """Start an index process; None if the mailbox can have none now."""
        return Build(self.driver.path, self.place, self._cache)

    def _list_apart(self, state: MailboxState) -> None:
        """Have a process of its own list the store and go on to build the index."""
        first = state.first
        build = self._new_build()
        if build is None:
            return
        self._build = build
        try:
            build.wait_listed()
        except MailfsError as e:
            # The listing that follows tells what is wrong, in its own words.
            log.info("%s: index: %s", self.name, e)
        state.load()
        state.first = first

    def _looked(self, state: MailboxState) -> View:
        """List a store, unless it is one that only the worker looks at, and as was."""
        if self._far and self._current(state.view.listing):
            return state.view
        return self._relist(state)

    def _relist(self, state: MailboxState) -> View:
        if (trash := trash_of(self.driver)) is not None:
            trash.empty()
        if state.heavy and state.index.path is not None:
            self._list_apart(state)
        return state.list()

    def _build_rest(self) -> None:
        """Begin to put into the index what it lacks."""
        if isinstance(self._now, Open):
            self._spawn(self._fill(self._now.state))

    async def _fill(self, state: MailboxState) -> None:
        async with self._builds:
            await self.run(lambda: self._derive(state))
            if self._build is not None:
                await asyncio.to_thread(self._build.wait)
                await self.run(lambda: unfed(state))

    def _derive(self, state: MailboxState) -> None:
        """Derive a little here, on the worker, or start a process for much."""
        if self._build is not None and self._build.running:
            return
        if not derive_few(state) and state.index.path is not None:
            self._build = self._new_build()

    def _spawn(self, work: Awaitable[object]) -> None:
        task = asyncio.ensure_future(work)
        self._jobs.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[object]") -> None:
        self._jobs.discard(task)
        if not task.cancelled() and (e := task.exception()) is not None:
            log.error("%s: %s", self.name, e, exc_info=e)

    async def _change(self, state: MailboxState, job: Callable[[], View]) -> None:
        """Do a job that makes a new view; it is taken over even if nobody waits."""
        loop = asyncio.get_running_loop()

        def work() -> None:
            moved = self._noting(state, job)
            loop.call_soon_threadsafe(self._take, state, moved)

        await self.run(work)

    def _noting(self, state: MailboxState, job: Callable[[], View]) -> Moved:
        """Do job on the worker, and find out what it changed if anybody listens."""
        state.removed_digests = {} if self.listeners else None
        view = job()
        told, self._told = self._told, view
        if told is None or told is view or not self.listeners:
            return Moved(view)
        return Moved(view, difference(told, view), state.removed_digests or {})

    def _take(self, state: MailboxState, moved: Moved) -> None:
        """Take over a finished change, on the loop."""
        if moved.view is not self.view:
            self._recent.clear()
        if state is self._rested():  # it was on its way when the mailbox went to sleep
            if isinstance(self._now, Asleep):
                self._now = replace(self._now, view=bare(moved.view))
            self._tell(moved)
            return
        woken = isinstance(self._now, Asleep)
        self._now = Open(state, moved.view)
        if woken:
            self._woken.set()
            self.opened(self)
        self._tell(moved)

    def _tell(self, moved: Moved) -> None:
        if moved.change:
            for listener in list(self.listeners):
                listener(moved)

    def hurry(self) -> None:
        """Have the next refresh ask the server, whenever it was asked last."""
        self.driver.hurry()

    def refresh(self) -> Awaitable[None] | None:
        """List again if the store has changed; None if the view is current.

        If the store cannot be listed the last view stays, and error says why.
        """
        if self._closing:
            return None
        self._used = True
        if self._listing is None:
            match self._now:
                case Asleep():
                    self._listing = asyncio.ensure_future(self._wake())
                    self._listing.add_done_callback(_noticed)
                case Open(state, view):
                    if not self._far and self._current(view.listing):
                        return None
                    self._listing = asyncio.ensure_future(self._refresh(state))
        return asyncio.shield(self._listing)

    def _current(self, listing: Listing) -> bool:
        """Whether the store still is as it was listed."""
        try:
            return listing.settled and self.driver.signature() == listing.signature
        except OSError:
            return False  # the listing finds the same, and says so

    async def refreshed(self) -> None:
        """List again if the store has changed, and wait for it.  Raises as refresh."""
        waiting = self.refresh()
        if waiting is not None:
            await waiting

    async def _awake(self) -> MailboxState:
        """Return the open mailbox's state; open it first if it sleeps."""
        if isinstance(self._now, Asleep):
            await self.refreshed()
        if isinstance(self._now, Asleep):
            raise MailfsError(f"{self.name}: the mailbox is closed")
        return self._now.state

    async def _wake(self) -> None:
        """Open the sleeping mailbox.  Raises as open does, and it sleeps on."""
        try:
            await self.open()
        except (OSError, MailfsError) as e:
            self.error = told(e)
            raise
        finally:
            self._listing = None

    async def awoken(self, seconds: float) -> None:
        """Wait until it is open, or some seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)

    def fail(self, error: OSError | MailfsError) -> None:
        """Note why it could not be opened."""
        self.error = told(error)

    async def _refresh(self, state: MailboxState) -> None:
        before = self.view
        try:
            await self._change(state, lambda: self._looked(state))
        except (OSError, MailfsError) as e:
            self.error = told(e)
        else:
            self.error = ""
            if self.view.next != before.next:
                self._build_rest()
        finally:
            self._listing = None

    def message(self, number: int) -> Message | None:
        """Return the message with a number, None if there is none."""
        self._used = True
        found = self._recent.get(number)
        if found is None and isinstance(self._now, Open):
            found = self._now.state.message(number, self._now.view)
            if found is None:
                return None
            self._recent[number] = found
            if len(self._recent) > RECENT_MESSAGES:
                self._recent.popitem(last=False)
        return found

    async def prepare(self, message: Message, need: Need) -> None:
        """Fetch what need takes of a message; local stores have it."""

    def flags(self, number: int) -> int:
        """Return a message's Flag bits; none if it has gone."""
        row = self.view.row(number)
        if row is None:
            return 0
        bits = self.view.listing.flags[row]
        return bits if number >= self.first else bits & ~_RECENT

    def check_writable(self) -> None:
        """Raise Refused where nothing may be changed."""
        self.driver.check_writable()

    async def delete(self, numbers: Iterable[int]) -> None:
        """Remove messages, to the trash if there is one; on disk when it returns."""
        state, driver = await self._awake(), self.driver

        def delete(listing: Listing, rows: Sequence[int]) -> Listing:
            if (trash := trash_of(driver)) is not None:
                driver.check_writable()
                trash.keep(listing, rows, state.shape)
            return driver.delete(listing, rows)

        await self._remove(numbers, delete)

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
        wanted, state = list(numbers), await self._awake()
        await self._change(state, lambda: state.remove(wanted, how))

    async def copy(self, numbers: Iterable[int], target: str) -> None:
        """Copy messages to another folder of the account."""
        wanted, driver, state = list(numbers), self.driver, await self._awake()

        def job() -> None:
            view = state.view
            driver.copy(view.listing, sorted(view.rows(wanted)), target)

        await self.run(job)

    async def set_flags(self, changes: Sequence[tuple[int, Flag, Flag]]) -> None:
        """Apply (number, flags to set, to clear); on disk when it returns."""
        state = await self._awake()
        await self._change(state, lambda: state.set_flags(changes))

    async def consult(self, job: Callable[[MailboxState], T]) -> T:
        """Do job with the state of the open mailbox, on the worker; it may block."""
        state = await self._awake()
        return await self.run(lambda: job(state))

    async def alter(self, job: Callable[[MailboxState], T]) -> T:
        """Do job, which may change the state's view, on the worker; as consult."""
        state = await self._awake()
        found: list[T] = []

        def work() -> View:
            found.append(job(state))
            return state.view

        await self._change(state, work)
        return found[0]

    def status(self) -> list[tuple[str, str]]:
        """Return the rows of the file ``status``: names and values."""
        rows = [
            ("name", self.name),
            ("path", self.path),
            ("kind", self.driver.kind),
        ]
        error = [("error", self.error)] if self.error else []
        error += [(name, text) for name, text in self.remarks.items() if text]
        if self.asleep:
            state = "error" if self.error else "asleep"
            return [*rows, ("state", state), *self.driver.state(), *error]
        build = self._build
        busy = build if build is not None and build.running else None
        rows += [
            ("state", "error" if self.error else "indexing" if busy else "ready"),
            ("messages", str(self.view.count)),
            ("version", str(self.view.vers)),
        ]
        if busy is not None:
            done = busy.progress
            rows.append(("progress", f"{done.phase} {done.done} {done.total}"))
        if isinstance(self._now, Open):
            rows.append(("search", _fed(self._now)))
        if isinstance(self._now, Open) and (outage := self._now.state.outage):
            rows.append(("index", f"not written: {outage}"))
        elif build is not None and build.error:
            rows.append(("index", build.error))
        return [*rows, *self.driver.state(), *error]

    async def close(self) -> None:
        """End the worker and release the store."""
        self._closing = True
        if self._listing is not None:
            await asyncio.wait([self._listing])
        for job in self._jobs:
            job.cancel()
        while self._jobs:
            await asyncio.wait(self._jobs)
        worker = self._worker
        if worker is None:
            await away(self._release)
            return
        await self.run(self._release)  # after whatever the worker still does
        worker.end()
        await away(worker.join)

    def idle(self) -> bool:
        """Whether it is open, and nobody has used it since this was last asked."""
        used, self._used = self._used, False
        return not used and isinstance(self._now, Open)

    async def rest(self) -> bool:
        """Go to sleep, holding no descriptor and no thread; False if it is busy.

        Numbers, flags and version stay; whoever looks wakes it.
        """
        now, build = self._now, self._build
        busy = self._listing is not None or self._jobs or self._active or self._closing
        if busy or not self.rests or isinstance(now, Asleep) or now.state.outage:
            return False
        if build is not None and build.running:
            return False
        self._rested = weakref.ref(now.state)
        self._now = Asleep(bare(now.view), now.state.first)
        self._woken.clear()
        self._recent.clear()
        for keeper in list(self.keepers):
            keeper.forget()

        def release() -> None:
            if self._told is not None:
                self._told = bare(self._told)
            now.state.release()
            now.state.forget()
            self.driver.rest()

        await self.run(release)
        worker = self._worker
        if worker is not None and self._listing is None and self.asleep:
            self._worker = None
            worker.end()
        return True

    def _release(self) -> None:
        if self._build is not None:
            self._build.stop()
        if isinstance(self._now, Open):
            self._now.state.release()
        self.driver.close()


def _fed(now: Open) -> str:
    """Tell how much the full text has: the rest is read when something is sought."""
    if now.state.wordless is None:
        return "unindexed"
    missing, since = now.state.wordless
    missing += now.view.next - since
    if not missing:
        return "ready"
    return f"{max(now.view.count - missing, 0)} of {now.view.count} indexed"


def _nobody() -> MailboxState | None:
    return None


def _pass(box: Mailbox) -> None:
    """Tell nobody."""


def is_far(driver: Driver) -> bool:
    """Whether a store is on a file system that may make the caller wait for ever."""
    if not isinstance(driver, LocalDriver):
        return False
    kind = filesystem(os.path.realpath(driver.path))
    return kind.partition(".")[0] in NETWORK


def told(e: OSError | MailfsError) -> str:
    """Return an error as ``status`` tells it."""
    return reason(e) if isinstance(e, OSError) else str(e)
