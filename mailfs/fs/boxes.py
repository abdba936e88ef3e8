"""The open mailboxes of a server, under their names."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from mailfs import where
from mailfs.errors import (
    EBOXGONE,
    EBOXNAME,
    EBOXUSE,
    EROFS,
    ESLASH,
    P9Error,
)
from mailfs.mbox.driver import Driver, Place
from mailfs.mbox.drivers import open_store
from mailfs.mbox.drivers.mdir import Mdir
from mailfs.mbox.mailbox import Mailbox

MAX_NAME = 255  # octets; what a directory entry's readers can be expected to hold
MAX_BUILDS = 2  # index processes at once; each keeps a processor busy
RESERVED = frozenset({"", ".", "..", "ctl"})


class Boxes:
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

        Opening again what is open under that name is no error.  Raises P9Error,
        MailfsError or OSError, and then nothing has been opened.
        """
        name = self._name(path, name)
        there = self._open.get(name)
        if there is not None:
            if there.path == path:
                return there
            raise P9Error(EBOXUSE)
        if name in self._opening:
            raise P9Error(EBOXUSE)
        self._opening.add(name)
        try:
            driver = open_store(path, self.place)
            box = Mailbox(name, path, driver, self.cache, self._builds)
            try:
                await box.open(apart=bool(self._open))
            except BaseException:
                await box.close()
                raise
        finally:
            self._opening.discard(name)
        self._open[name] = box
        self._ids[box] = self._id()
        return box

    def _name(self, path: str, name: str | None) -> str:
        if name is None:
            name = path.rsplit("/", 1)[-1]
        elif "/" in name:
            raise P9Error(ESLASH)
        if name in RESERVED or len(name.encode()) > MAX_NAME:
            raise P9Error(EBOXNAME)
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
        """Open the mailbox at path, after making an mdir if nothing is there."""
        self._writable()
        if not os.path.lexists(path):  # noqa: ASYNC240  # as quick as any stat
            await asyncio.to_thread(Mdir(path, self.place).make)
        return await self.open(path, name)

    async def close(self, name: str) -> None:
        """Forget the mailbox called name, if there is one; its open files stay."""
        box = self._open.pop(name, None)
        if box is not None:
            self._ids.pop(box, None)
            await box.close()

    async def close_all(self) -> None:
        """Close every mailbox."""
        for name in list(self._open):
            await self.close(name)

    async def remove(self, path: str, *, recurse: bool, truncate: bool) -> None:
        """Remove the mailbox at path, or with truncate the mail in it."""
        self._writable()
        driver = self._driver(path)
        box = self._at(path)
        if box is not None and not truncate:
            await self.close(box.name)
            box = None
        if box is None:
            await asyncio.to_thread(driver.remove, recurse=recurse, truncate=truncate)
            return
        await box.run(partial(driver.remove, recurse=recurse, truncate=truncate))
        waiting = box.refresh()
        if waiting is not None:
            await waiting

    async def rename(self, old: str, new: str, *, keep: bool) -> None:
        """Move the mailbox at old to new; one that is open goes on under its new name.

        With keep, an empty mailbox is left in the old place.
        """
        self._writable()
        driver = self._driver(old)
        if os.path.lexists(new):  # noqa: ASYNC240  # as quick as any stat
            raise P9Error(f"{old}: can't rename")
        box = self._at(old)
        if box is not None:
            await self.close(box.name)
        try:
            await asyncio.to_thread(driver.rename, new, keep=keep)
        except OSError as e:
            raise P9Error(f"{old}: can't rename") from e
        if box is not None:
            await self.open(new)

    def _writable(self) -> None:
        if self.place.readonly:
            raise P9Error(EROFS)

    def _driver(self, path: str) -> Driver:
        try:
            return open_store(path, self.place)
        except FileNotFoundError:
            raise P9Error(EBOXGONE) from None

    def _at(self, path: str) -> Mailbox | None:
        return next((box for box in self if box.path == path), None)


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
