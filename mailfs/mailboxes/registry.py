"""The open mailboxes of a server, under their names."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mailfs import where
from mailfs.errors import (
    EBOXGONE,
    EBOXNAME,
    EBOXUSE,
    ESLASH,
    MailfsError,
    Refused,
)
from mailfs.mailbox.driver import Driver, Place
from mailfs.mailbox.drivers import main_of, members, open_store
from mailfs.mailbox.drivers.mdir import Mdir
from mailfs.mailbox.drivers.missing import Missing
from mailfs.mailbox.drivers.owned import LocalDriver
from mailfs.mailbox.drivers.spec import SEVERAL, is_network
from mailfs.mailbox.mailbox import Mailbox
from mailfs.mailbox.pool import away
from mailfs.mailbox.remotebox import mailbox_of
from mailfs.mailboxes.backoff import pause
from mailfs.mailboxes.events import EventSource
from mailfs.mailboxes.folderset import POLL, FolderSet
from mailfs.mailboxes.spec import last
from mailfs.mailboxes.tired import REST, Tired
from mailfs.mailboxes.watch import Watch

ANSWER = 10.0  # seconds to wait for a file system when the server starts
CLOSING = 3.0  # seconds that closing all may take
MAX_NAME = 255  # octets; what a directory entry's readers can be expected to hold
MAX_BUILDS = 2  # index processes at once; each keeps a processor busy
RESERVED = frozenset({"", ".", "..", "ctl", "event", "outbox"})


@dataclass(frozen=True, slots=True)
class _Failing:
    """How a mailbox that serve could not open was named, and what tries again."""

    path: str
    task: "asyncio.Task[None] | None"  # None: its FolderSet does


class MailboxRegistry:
    """Mailboxes in the order they were opened, and what is done to them as wholes."""

    def __init__(
        self,
        place: Place,
        cache: Path,
        ignore: Sequence[bytes] = (),
        *,
        poll: float = POLL,
        rest: float = REST,
        most: int | None = None,
    ) -> None:
        """Open none yet.

        ignore: what ``header`` leaves out, see ignored(); poll: seconds between looks
        at which folders there are; rest: seconds until a mailbox that nobody uses goes
        to sleep; most: how many may be open at a time, by default as many as the
        process may have descriptors for.
        """
        self.place = place
        self.cache = cache
        self.ignore = ignore
        self._open: dict[str, Mailbox] = {}
        self._ids: dict[Mailbox, int] = {}
        self._last = 0
        self._opening: set[str] = set()
        self._builds = asyncio.Semaphore(MAX_BUILDS)
        self._watch = Watch()
        self._sources: dict[Mailbox, EventSource] = {}
        self._failing: dict[Mailbox, _Failing] = {}
        self._sets: dict[tuple[str, str | None], FolderSet] = {}
        self._poll = poll
        self._tired = Tired(self._open.values, rest, most)
        self.followers: list[Callable[[Mailbox], None]] = []  # told what is opened

    def __iter__(self) -> Iterator[Mailbox]:
        return iter(list(self._open.values()))

    def get(self, name: str) -> Mailbox | None:
        """Return the mailbox called name."""
        return self._open.get(name)

    def id(self, box: Mailbox) -> int:
        """Return the number that tells a mailbox from the others in qids."""
        return self._ids.get(box, 0)

    def expand(self, name: str) -> str:
        """Expand a path in a control message; upasfs(4)."""
        return where.box(self.place.root, name, self.place.user)

    async def open(self, path: str, name: str | None = None) -> Mailbox:
        """Open the mailbox at path, under name or else the path's last element.

        Opening again what is open under that name is no error.  A path that ends with
        /* opens its main folder, and puts the others beside it, to be opened when
        somebody looks.  Raises Refused, MailfsError or OSError, and then nothing has
        been opened.
        """
        if self.place.net is not None:
            self.place.net.refused.forget()
        there = self._failing_at(path, name)
        if there is not None:
            await self.close(there)  # to be tried anew
        if path.endswith(SEVERAL):
            box = await self._open_set(path, name)
            if box is not None:
                return box
        name = self._name(path, name)
        there_ = self._open.get(name)
        if there_ is not None:
            if there_.path == path:
                return there_
            raise Refused(EBOXUSE)
        with self._reserving(name):
            driver = await away(open_store, path, self.place)
            box = await self._opened(name, path, driver)
        self._enter(box)
        return box

    def _failing_at(self, path: str, name: str | None) -> str | None:
        """Return the name of a mailbox that serve could not open, nor anybody since."""
        for box, retry in self._failing.items():
            if retry.path == path and box.name == (name or box.name) and box.asleep:
                return box.name
        return None

    @contextmanager
    def _reserving(self, name: str) -> Iterator[None]:
        """Keep a name from others while its mailbox is being opened."""
        if name in self._opening:
            raise Refused(EBOXUSE)
        self._opening.add(name)
        try:
            yield
        finally:
            self._opening.discard(name)

    def reserved(self, name: str) -> bool:
        """Whether a mailbox of that name is just being opened."""
        return name in self._opening

    async def _open_set(self, path: str, name: str | None) -> Mailbox | None:
        """Open the folders of a specification with /*; None if it is no such thing."""
        known = self._sets.get((path, name))
        if known is not None:
            return await known.begin()
        found = await away(members, path, self.place)
        if found is None:
            return None
        stem = "" if name is None else self._name("", name)
        folders = FolderSet(self, path, stem, self._poll)
        try:
            box = await folders.begin(found)
        except BaseException:
            await folders.end()
            raise
        self._sets[path, name] = folders
        return box

    async def serve(self, path: str, name: str) -> OSError | MailfsError | None:
        """Open the mailbox at path as name; if it cannot be opened, go on trying.

        Returns the error in that case: the mailbox is there, asleep, its ``status``
        tells the error, and it is opened when somebody looks, or after a while (see
        backoff).  Raises Refused for a name that cannot be.
        """
        if "/" in name or self._name(path, name) in self._open:
            raise Refused(ESLASH if "/" in name else EBOXUSE)
        several = path.endswith(SEVERAL)
        one = main_of(path) if several and is_network(path) else path
        try:
            await self._answers(path.removesuffix(SEVERAL))
            await self.open(path, name)
        except TimeoutError as e:
            why: OSError | MailfsError = e
            driver: Driver = self._missing(one, why)
        except (OSError, MailfsError) as e:
            why = e
            driver = await away(self._stand_in, one, why)
        else:
            return None
        box = mailbox_of(name, one, driver, self.cache, self._builds)
        box.fail(why)
        self._enter(box)
        if several:
            self._sets[path, name] = folders = FolderSet(self, path, name, self._poll)
            folders.begin_later(box)
            retry = None
        else:
            retry = asyncio.ensure_future(self._retry(box, why))
        self._failing[box] = _Failing(path, retry)
        return why

    def _stand_in(self, path: str, why: OSError | MailfsError) -> Driver:
        """Return a driver for a mailbox that cannot be opened as yet."""
        if path.endswith(SEVERAL):
            return self._missing(path, why)
        try:
            return open_store(path, self.place)
        except (OSError, MailfsError) as e:
            return self._missing(path, e)

    def _missing(self, path: str, why: OSError | MailfsError) -> Driver:
        if path.endswith(SEVERAL):
            return Missing(path, self.place, why)
        return Missing(path, self.place, why, partial(open_store, path, self.place))

    @staticmethod
    async def _answers(path: str) -> None:
        """Raise TimeoutError if the file system of a path does not answer."""
        if not is_network(path):
            looking = away(os.path.lexists, path)
            try:
                await asyncio.wait_for(looking, ANSWER)
            except TimeoutError:
                text = "file system does not answer"
                raise TimeoutError(errno.ETIMEDOUT, text, path) from None

    async def _retry(self, box: Mailbox, why: OSError | MailfsError) -> None:
        """Try to open a mailbox until it is open, as often as fits the reason."""
        failures = 0
        while True:
            await box.awoken(pause(why, failures))
            if not box.asleep:
                return
            failures += 1
            try:
                await box.refreshed()
            except (OSError, MailfsError) as e:
                why = e

    async def _opened(self, name: str, path: str, driver: Driver) -> Mailbox:
        box = mailbox_of(name, path, driver, self.cache, self._builds)
        try:
            await box.open(apart=bool(self._open))
        except BaseException:
            await box.close()
            raise
        return box

    async def add(self, name: str, path: str, driver: Driver, *, wake: bool) -> Mailbox:
        """Enter a mailbox for a driver; it sleeps, unless wake opens it first.

        Raises Refused if the name is taken or cannot be, and what opening raises.
        """
        if self._name("", name) in self._open:
            raise Refused(EBOXUSE)
        if wake:
            with self._reserving(name):
                box = await self._opened(name, path, driver)
        else:
            box = mailbox_of(name, path, driver, self.cache, self._builds)
        self._enter(box)
        return box

    def _enter(self, box: Mailbox) -> None:
        """Take a mailbox among the open ones."""
        self._open[box.name] = box
        self._ids[box] = self._id()
        self._sources[box] = EventSource(box, self._watch)
        self._tired.enter(box)
        for follower in list(self.followers):
            follower(box)

    def source(self, box: Mailbox) -> EventSource:
        """Find an open mailbox's event source."""
        return self._sources[box]

    def _name(self, path: str, name: str | None) -> str:
        if name is None:
            name = last(path)
        elif "/" in name:
            raise Refused(ESLASH)
        if name in RESERVED or len(name.encode()) > MAX_NAME or _control(name):
            raise Refused(EBOXNAME)
        return name

    def _id(self) -> int:
        used = set(self._ids.values())
        while True:
            self._last = self._last % 0xFFFF + 1
            if self._last not in used:
                return self._last

    def arrange(self, names: Sequence[str]) -> None:
        """List those mailboxes first, in that order."""
        first = {name: self._open.pop(name) for name in names}
        self._open = first | self._open

    async def create(self, path: str, name: str | None = None) -> Mailbox:
        """Open the mailbox at path, after making it if nothing is there.

        That is a folder on a server, or an mdir.
        """
        if is_network(path):
            async with self._closing(path) as driver:
                await away(driver.make)
        elif not await away(os.path.lexists, path):
            await away(Mdir(path, self.place).make)
        return await self.open(path, name)

    async def close(self, name: str) -> None:
        """Forget the mailbox called name, if there is one; its open files stay."""
        box = self._open.pop(name, None)
        if box is not None:
            for key, folders in list(self._sets.items()):
                if folders.dismiss(box):
                    await self._sets.pop(key).end()
            failing = self._failing.pop(box, None)
            if failing is not None and failing.task is not None:
                failing.task.cancel()
                await asyncio.wait([failing.task])
            self._ids.pop(box, None)
            await self._sources.pop(box).close()
            await box.close()

    async def close_all(self) -> None:
        """Close every mailbox."""
        await self._tired.close()
        for folders in [*self._sets.values()]:
            await folders.end()
        self._sets.clear()
        closing = [asyncio.ensure_future(self.close(name)) for name in self._open]
        if closing:  # a store that hangs is left to itself
            await asyncio.wait(closing, timeout=CLOSING)
            for task in closing:
                task.cancel()

    async def remove(self, path: str, *, recurse: bool, truncate: bool) -> None:
        """Remove the mailbox at path, or with truncate the mail in it."""
        async with self._closing(path) as driver:
            remove = partial(driver.remove, recurse=recurse, truncate=truncate)
            box = self._at(path)
            if box is not None and not truncate:
                await self.close(box.name)
                box = None
            if box is None:
                await away(remove)
                return
            await box.run(remove)
        box.hurry()
        await box.refreshed()

    async def rename(self, old: str, new: str, *, keep: bool) -> None:
        """Move the mailbox at old to new; one that is open goes on under its new name.

        With keep, an empty mailbox is left in the old place.
        """
        async with self._closing(old) as driver:
            if await away(os.path.lexists, new):
                raise Refused(f"{old}: can't rename")
            box = self._at(old)
            if box is not None:
                await self.close(box.name)
            try:
                await away(driver.rename, new, keep=keep)
            except OSError as e:
                raise Refused(f"{old}: can't rename") from e
        if box is not None:
            await self.open(new)

    @asynccontextmanager
    async def _closing(self, path: str) -> AsyncIterator[Driver]:
        """Give the driver for a path, for as long as the block takes."""
        box = self._at(path)
        try:
            if box is not None and isinstance(box.driver, LocalDriver):
                driver: Driver = type(box.driver)(path, self.place)
            else:
                driver = await away(open_store, path, self.place)
        except FileNotFoundError:
            raise Refused(EBOXGONE) from None
        try:
            yield driver
        finally:
            await away(driver.close)

    def _at(self, path: str) -> Mailbox | None:
        return next((box for box in self if box.path == path), None)


def _control(name: str) -> bool:
    """Whether a name would break the lines it is told in."""
    return any(c < " " or c == "\x7f" for c in name)


def ignored(root: Path) -> list[bytes]:
    """Read mail/lib/ignore: beginnings of header lines nobody wants to see.

    One a line, blanks before it skipped, ``#`` begins a comment.  No file, no lines.
    An empty line does not match everything, unlike in upas/fs.
    """
    try:
        text = (root / "mail" / "lib" / "ignore").read_bytes()
    except FileNotFoundError:
        return []
    lines = (line.split(b"#")[0].strip().lower() for line in text.splitlines())
    return [line for line in lines if line]
