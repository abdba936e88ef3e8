"""The open mailboxes of a server, under their names."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from mailfs import where
from mailfs.errors import (
    EBOXGONE,
    EBOXNAME,
    EBOXUSE,
    EROFS,
    ESLASH,
    MailfsError,
    Refused,
)
from mailfs.mailbox.driver import Driver, Member, Place
from mailfs.mailbox.drivers import members, open_store
from mailfs.mailbox.drivers.mdir import Mdir
from mailfs.mailbox.drivers.missing import Missing
from mailfs.mailbox.drivers.spec import is_network
from mailfs.mailbox.mailbox import Mailbox
from mailfs.mailbox.remotebox import mailbox_of
from mailfs.mailboxes.events import EventSource
from mailfs.mailboxes.spec import last
from mailfs.mailboxes.watch import Watch

MAX_NAME = 255  # octets; what a directory entry's readers can be expected to hold
RETRY = 5.0  # seconds until a mailbox that cannot be opened is tried again
LONGEST = 300.0  # seconds likewise, after as many failures as it takes
MAX_BUILDS = 2  # index processes at once; each keeps a processor busy
RESERVED = frozenset({"", ".", "..", "ctl", "event", "outbox"})


class MailboxRegistry:
    """Mailboxes in the order they were opened, and what is done to them as wholes."""

    def __init__(self, place: Place, cache: Path, ignore: Sequence[bytes] = ()) -> None:
        """Open none yet.  ignore: what ``header`` leaves out, see ignored()."""
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
        self._failing: dict[Mailbox, asyncio.Task[None]] = {}
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
        """Return what a control message means by a path; upasfs(4)."""
        return where.box(self.place.root, name, self.place.user)

    async def open(self, path: str, name: str | None = None) -> Mailbox:
        """Open the mailbox at path, under name or else the path's last element.

        Opening again what is open under that name is no error.  A path that names
        several opens its main one, and puts the others beside it, to be opened when
        somebody looks.  Raises Refused, MailfsError or OSError, and then nothing has
        been opened.
        """
        there = None if name is None else self._open.get(name)
        if there is not None and there.path == path and self._fails(there):
            await self.close(there.name)  # to be tried anew
        found = None
        if path.endswith("/*"):
            found = await asyncio.to_thread(members, path, self.place)
        if found is not None:
            return await self.open_members(found, name)
        name = self._name(path, name)
        there = self._open.get(name)
        if there is not None:
            if there.path == path:
                return there
            raise Refused(EBOXUSE)
        if name in self._opening:
            raise Refused(EBOXUSE)
        self._opening.add(name)
        try:
            driver = await asyncio.to_thread(open_store, path, self.place)
            box = await self._opened(name, path, driver)
        finally:
            self._opening.discard(name)
        self._enter(box)
        return box

    def _fails(self, box: Mailbox) -> bool:
        """Whether a mailbox is one that serve could not open, nor anybody since."""
        return box in self._failing and box.asleep

    async def serve(self, path: str, name: str) -> OSError | MailfsError | None:
        """Open the mailbox at path as name; if it cannot be opened, go on trying.

        Returns the error in that case: the mailbox is there, asleep, its ``status``
        tells the error, and it is opened when somebody looks or, where the error may
        pass by itself, after a while.  Raises Refused for a name that cannot be.
        """
        if "/" in name or self._name(path, name) in self._open:
            raise Refused(ESLASH if "/" in name else EBOXUSE)
        try:
            await self.open(path, name)
        except (OSError, MailfsError) as e:
            why = e
        else:
            return None
        box = mailbox_of(
            name, path, await self._stand_in(path, why), self.cache, self._builds
        )
        box.fail(why)
        self._enter(box)
        self._failing[box] = asyncio.ensure_future(self._retry(box, why))
        return why

    async def _stand_in(self, path: str, why: OSError | MailfsError) -> Driver:
        """Return a driver for a mailbox that cannot be opened as yet."""
        if is_network(path) and path.endswith("/*"):
            return Missing(path, self.place, why)
        find = partial(open_store, path, self.place)
        try:
            return await asyncio.to_thread(find)
        except (OSError, MailfsError) as e:
            return Missing(path, self.place, e, find)

    async def _retry(self, box: Mailbox, why: OSError | MailfsError) -> None:
        """Try again and again to open a mailbox, while the error may pass by itself."""
        pause = RETRY
        while box.asleep and isinstance(why, OSError):
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST)
            try:
                if isinstance(box.driver, Missing) and box.path.endswith("/*"):
                    found = await asyncio.to_thread(members, box.path, self.place)
                    if found is not None:
                        self._failing.pop(box)  # or closing it would end this task
                        await self.close(box.name)
                        await self.open_members(found, box.name)
                        return
                else:
                    await box.refreshed()
            except (OSError, MailfsError) as e:
                why = e
                box.fail(e)

    async def _opened(self, name: str, path: str, driver: Driver) -> Mailbox:
        box = mailbox_of(name, path, driver, self.cache, self._builds)
        try:
            await box.open(apart=bool(self._open))
        except BaseException:
            await box.close()
            raise
        return box

    async def open_members(self, found: Sequence[Member], name: str | None) -> Mailbox:
        """Open the main one of several mailboxes; the others sleep.

        They are called by their own names, or with a name given by that and theirs.
        """
        stem = "" if name is None else self._name("", name)
        names = [self._name("", _title(stem, one.name)) for one in found]
        for title, one in zip(names, found, strict=True):
            there = self._open.get(title)
            if there is not None and there.path != one.path:
                raise Refused(EBOXUSE)
        boxes = []
        for title, one in zip(names, found, strict=True):
            box = self._open.get(title)
            if box is None and not one.name:
                box = await self._opened(title, one.path, one.driver)
                self._enter(box)
            elif box is None:
                box = mailbox_of(title, one.path, one.driver, self.cache, self._builds)
                self._enter(box)
            boxes.append(box)
        if not boxes:
            raise Refused(EBOXGONE)
        main = next((i for i, one in enumerate(found) if not one.name), 0)
        return boxes[main]

    def _enter(self, box: Mailbox) -> None:
        """Take a mailbox among the open ones."""
        self._open[box.name] = box
        self._ids[box] = self._id()
        self._sources[box] = EventSource(box, self._watch)
        for follower in list(self.followers):
            follower(box)

    def source(self, box: Mailbox) -> EventSource:
        """Return what tells the events of an open mailbox."""
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
        self._writable()
        if is_network(path):
            async with self._closing(path) as driver:
                await asyncio.to_thread(driver.make)
        elif not os.path.lexists(path):  # noqa: ASYNC240  # as quick as any stat
            await asyncio.to_thread(Mdir(path, self.place).make)
        return await self.open(path, name)

    async def close(self, name: str) -> None:
        """Forget the mailbox called name, if there is one; its open files stay."""
        box = self._open.pop(name, None)
        if box is not None:
            retry = self._failing.pop(box, None)
            if retry is not None:
                retry.cancel()
                await asyncio.wait([retry])
            self._ids.pop(box, None)
            await self._sources.pop(box).close()
            await box.close()

    async def close_all(self) -> None:
        """Close every mailbox."""
        for name in list(self._open):
            await self.close(name)

    async def remove(self, path: str, *, recurse: bool, truncate: bool) -> None:
        """Remove the mailbox at path, or with truncate the mail in it."""
        self._writable()
        async with self._closing(path) as driver:
            remove = partial(driver.remove, recurse=recurse, truncate=truncate)
            box = self._at(path)
            if box is not None and not truncate:
                await self.close(box.name)
                box = None
            if box is None:
                await asyncio.to_thread(remove)
                return
            await box.run(remove)
        box.hurry()
        await box.refreshed()

    async def rename(self, old: str, new: str, *, keep: bool) -> None:
        """Move the mailbox at old to new; one that is open goes on under its new name.

        With keep, an empty mailbox is left in the old place.
        """
        self._writable()
        async with self._closing(old) as driver:
            if os.path.lexists(new):  # noqa: ASYNC240  # as quick as any stat
                raise Refused(f"{old}: can't rename")
            box = self._at(old)
            if box is not None:
                await self.close(box.name)
            try:
                await asyncio.to_thread(driver.rename, new, keep=keep)
            except OSError as e:
                raise Refused(f"{old}: can't rename") from e
        if box is not None:
            await self.open(new)

    def _writable(self) -> None:
        if self.place.readonly:
            raise Refused(EROFS)

    @asynccontextmanager
    async def _closing(self, path: str) -> AsyncIterator[Driver]:
        """Give the driver for a path, for as long as the block takes."""
        try:
            driver = open_store(path, self.place)
        except FileNotFoundError:
            raise Refused(EBOXGONE) from None
        try:
            yield driver
        finally:
            await asyncio.to_thread(driver.close)

    def _at(self, path: str) -> Mailbox | None:
        return next((box for box in self if box.path == path), None)


def _title(stem: str, name: str) -> str:
    """Return what to call one of several mailboxes."""
    if not stem:
        return name or "mbox"
    return f"{stem}:{name}" if name else stem


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
