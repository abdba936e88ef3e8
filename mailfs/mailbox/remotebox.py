"""A mailbox of the server whose store is behind a network.

Between jobs its worker fetches headers ahead and waits for news.  When it hears some
it lists by itself and posts one finished change to the loop.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path

from mailfs.errors import MailfsError
from mailfs.mailbox.build import FEW_HEADERS, Build
from mailfs.mailbox.driver import Driver, RemoteDriver
from mailfs.mailbox.feed import feed
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.gather import Batcher
from mailfs.mailbox.kinds import Listing
from mailfs.mailbox.mailbox import Mailbox, Moved, Open, told
from mailfs.mailbox.message import Message, Need
from mailfs.mailbox.remote import HEADERS
from mailfs.mailbox.view import View
from mailfs.mailbox.worker import Jobs, Worker
from mailfs.poll import readable
from mailfs.query.tree import Leaf

log = logging.getLogger(__name__)

AHEAD = 64  # short messages fetched beside the one that is read
HEADS_AHEAD = 400  # headers likewise
SLICES = 400  # headers fetched at a time in the background; readers wait so long
GRACE = 1.0  # seconds that what is under way may take when a mailbox is closed
LISTEN = 60.0  # seconds to wait for news at a time; then the driver looks around
AGAIN = 1.0  # seconds until a listing that failed is tried again; doubled each time
LONGEST = 300.0  # seconds likewise at most


class RemoteMailbox(Mailbox):
    """One mailbox on a server."""

    def __init__(
        self,
        name: str,
        path: str,
        driver: RemoteDriver,
        cache: Path,
        builds: asyncio.Semaphore | None = None,
    ) -> None:
        """Take over driver, which serves path; nothing is asked of it yet."""
        super().__init__(name, path, driver, cache, builds)
        self._remote = driver
        self._loop = asyncio.get_running_loop()
        self._unsliced: list[int] = []  # the worker's: headers still to be fetched
        self._failures = 0  # the worker's: listings that failed one after another
        self._looking = False  # whether the worker lists by itself; until it is taken
        self._again_at = 0.0  # the worker's: when it looks again, on the clock
        self.rests = False  # it would hear no news
        driver.on_news = self._on_news
        self._heads = Batcher(
            lambda: self.view, self._sliced, self._fetch_heads, HEADS_AHEAD
        )
        self._wholes = Batcher(
            lambda: self.view, self._whole, self._fetch_wholes, AHEAD
        )

    def _make_worker(self) -> Jobs:
        return Worker(f"mbox {self.name}", self._leisure)

    # Reading.

    async def prepare(self, message: Message, need: Need) -> None:
        """Fetch what need takes of a message, together with what others wait for."""
        if need in HEADERS:
            await self._heads.want(message.number)
        elif message.short:
            await self._wholes.want(message.number)

    async def search(
        self, leaves: Sequence[Leaf], numbers: Sequence[int]
    ) -> dict[Leaf, set[int]] | None:
        """Ask the server which messages answer each of some conditions."""
        state = await self._awake()
        return await self.run(lambda: state.search(leaves, numbers))

    def _sliced(self, number: int) -> bool:
        message = self.message(number)
        return message is None or message.ready(Need.HEAD)

    def _whole(self, number: int) -> bool:
        message = self.message(number)
        return message is None or message.ready(Need.WHOLE)

    async def _fetch_heads(self, numbers: Sequence[int]) -> None:
        state = await self._awake()
        await self.run(lambda: state.slice(numbers))

    async def _fetch_wholes(self, numbers: Sequence[int]) -> None:
        state = await self._awake()
        await self.run(lambda: state.fetch(numbers))
        self._spawn(self.run(lambda: feed(state, numbers)))

    def status(self) -> list[tuple[str, str]]:
        """Return the rows of the file ``status``: names and values."""
        rows = super().status()
        net = self.place.net
        if net is not None and net.pack.why:
            rows.append(("cache", f"not written: {net.pack.why}"))
        return rows

    def idle(self) -> bool:
        """Whether it is open, and nobody has used it since this was last asked."""
        return super().idle() and not self._looking

    # Opening.

    def _new_build(self) -> Build | None:
        ended = self._remote.lend()
        if ended is None:
            return None
        try:
            return Build(self.driver.path, self.place, self._cache, ended)
        except BaseException:
            ended()
            raise

    def _resumed(self, state: MailboxState) -> View:
        """List a store whose messages the index knows; it may be out of reach."""
        try:
            return state.list()
        except OSError as e:
            self._later(told(e))
        return state.view

    def _derive(self, state: MailboxState) -> None:
        if self._build is not None and self._build.running:
            return
        self._unsliced = list(state.unsliced(FEW_HEADERS))[::-1]
        if len(self._unsliced) < FEW_HEADERS or state.index.path is None:
            return
        build = self._new_build()
        if build is None:  # then here, little by little
            self._unsliced = list(state.unsliced(-1))[::-1]
            return
        self._unsliced = []
        self._build = build

    async def close(self) -> None:
        """End the worker and release the store, however its server hangs."""
        closing = asyncio.ensure_future(super().close())
        for _ in range(2):
            if (await asyncio.wait([closing], timeout=GRACE))[0]:
                return closing.result()
            await asyncio.to_thread(self._remote.interrupt)
        closing.cancel()
        log.warning("%s: its server is waited for no longer", self.name)
        return None

    # News.

    def _on_news(self) -> None:
        """Look at the store, if anybody is interested; any thread."""
        if isinstance(self._now, Open):
            if (worker := self._worker) is not None:
                worker.poke()
        else:
            self._loop.call_soon_threadsafe(self._called)

    def _called(self) -> None:
        """Wake for news, on the loop, if there are listeners."""
        if self.listeners and (waiting := self.refresh()) is not None:
            self._spawn(self._heard(waiting))

    async def _heard(self, waiting: Awaitable[None]) -> None:
        try:
            await waiting
        except (OSError, MailfsError) as e:
            log.info("%s: %s", self.name, e)

    def _leisure(self, wake: int) -> None:
        """Spend the worker's time between jobs: fetch headers, or wait for news."""
        now = self._now
        if not isinstance(now, Open):
            readable([wake])
            return
        wait = self._again_at - time.monotonic()
        if wait > 0:
            readable([wake], wait)
            return
        try:
            if self._unsliced:
                numbers = self._unsliced[-SLICES:][::-1]
                del self._unsliced[-SLICES:]
                now.state.slice(numbers)
            elif self._remote.listen(LISTEN, wake):
                self._look(now.state, wake)
        except (OSError, MailfsError) as e:
            # The driver paces its attempts; the listing that follows says what is up.
            log.info("%s: %s", self.name, told(e))

    def _look(self, state: MailboxState, wake: int) -> None:
        """List, on the worker, and post the change; look later if that fails."""
        known = state.view.next
        self._looking = True  # before the driver forgets that there was news
        try:
            moved = self._noting(state, lambda: self._relist(state))
        except (OSError, MailfsError) as e:
            self._later(told(e))
            pause = min(AGAIN * 2.0 ** min(self._failures, 16), LONGEST)
            self._failures += 1
            self._again_at = time.monotonic() + pause
            return
        self._post(state, moved, grown=moved.view.next != known)

    def _relist(self, state: MailboxState) -> View:
        """List; whoever asked, a success ends the waiting after failures."""
        view = super()._relist(state)
        self._failures, self._again_at = 0, 0.0
        return view

    def _later(self, error: str) -> None:
        """Have the loop know why the store could not be listed."""
        self._loop.call_soon_threadsafe(self._failed, error)

    def _failed(self, error: str) -> None:
        self._looking = False
        self.error = error

    def _current(self, listing: Listing) -> bool:
        """Whether the store is as it was listed, and no listing is on its way."""
        return not self._looking and super()._current(listing)

    def _post(self, state: MailboxState, moved: Moved, *, grown: bool) -> None:
        """Hand a finished change to the loop."""

        def take() -> None:
            self._looking = False
            self.error = ""
            self._take(state, moved)
            if grown and not self._closing:
                self._build_rest()

        self._loop.call_soon_threadsafe(take)


def mailbox_of(
    name: str,
    path: str,
    driver: Driver,
    cache: Path,
    builds: asyncio.Semaphore | None = None,
) -> Mailbox:
    """Return a sleeping mailbox of the kind that its driver takes."""
    if isinstance(driver, RemoteDriver):
        return RemoteMailbox(name, path, driver, cache, builds)
    return Mailbox(name, path, driver, cache, builds)
