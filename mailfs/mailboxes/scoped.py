"""A window: one mailbox as one attach sees it.

The only way from the trees to a mailbox.  It shows the messages of its scope and does
what the scope allows; there is no attribute to reach around it by.
"""

import logging
import zlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from mailfs.errors import EPERM, EROFS, Refused
from mailfs.mailbox.driver import Place
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.kinds import Flag
from mailfs.mailbox.mailbox import Keeper, Mailbox
from mailfs.mailbox.message import Message, Need
from mailfs.mailbox.octets import Octets
from mailfs.mailbox.view import Change, View
from mailfs.mailboxes.events import EventSource, Listener, Seen
from mailfs.mailboxes.found import Found
from mailfs.mailboxes.scope import Scope
from mailfs.mailboxes.words import SeenWords
from mailfs.query.tree import Leaf, Query

FINDINGS = 16  # queries whose answers are kept for the latest view
T = TypeVar("T")
_SHOWN = bytes(bits & ~Flag.RECENT.value for bits in range(256))


class Box(Protocol):
    """What the files of a message need of its mailbox."""

    @property
    def name(self) -> str:
        """What its directory is called."""

    @property
    def place(self) -> Place:
        """Root, user and whether anything may be changed."""

    @property
    def view(self) -> View:
        """What it holds."""

    def message(self, number: int) -> Message | None:
        """Return the message with a number, None if there is none."""

    def flags(self, number: int) -> int:
        """Return a message's Flag bits; none if it has gone."""

    def refresh(self) -> Awaitable[None] | None:
        """List again if the store has changed; None if the view is current."""

    async def refreshed(self) -> None:
        """List again if the store has changed, and wait for it."""

    async def prepare(self, message: Message, need: Need) -> None:
        """Fetch what need takes of a message."""

    async def run(self, job: Callable[[], T]) -> T:
        """Do job on the worker; it may block."""

    def check_writable(self) -> None:
        """Raise Refused where nothing may be changed."""

    async def delete(self, numbers: Iterable[int]) -> None:
        """Remove messages; on disk when it returns."""

    async def set_flags(self, changes: Sequence[tuple[int, Flag, Flag]]) -> None:
        """Apply (number, flags to set, to clear); on disk when it returns."""


class ScopedMailbox:
    """A mailbox within a scope."""

    __slots__ = (
        *("_box", "_found", "_full", "_mark", "_part", "_scope", "_source", "_whole"),
    )

    def __init__(self, box: Mailbox, scope: Scope, source: EventSource) -> None:
        self._box = box
        self._scope = scope
        self._whole = scope.whole
        self._source = source
        self._full: View | None = None  # the view that the part was taken from
        self._part: View | None = None
        self._mark = -1
        self._found: tuple[View | None, dict[Query, Found]] = (None, {})

    def shows(self, box: Mailbox) -> bool:
        """Whether it is that mailbox's."""
        return self._box is box

    @property
    def name(self) -> str:
        """What its directory is called."""
        return self._box.name

    @property
    def path(self) -> str:
        """Where it is stored."""
        return self._box.path

    @property
    def kind(self) -> str:
        """What kind of store it is."""
        return self._box.driver.kind

    @property
    def asleep(self) -> bool:
        """Whether it has not been opened yet; refresh opens it."""
        return self._box.asleep

    @property
    def error(self) -> str:
        """Why the last listing failed; empty if it did not."""
        return self._box.error

    @property
    def first(self) -> int:
        """The first number that was not known before the mailbox was opened."""
        return self._box.first

    @property
    def place(self) -> Place:
        """Root, user and whether anything may be changed."""
        place = self._box.place
        return replace(place, readonly=True) if self._scope.readonly else place

    @property
    def view(self) -> View:
        """What the scope shows of what the mailbox holds, as last listed."""
        view = self._box.view
        if self._whole:
            return view
        if view is not self._full:
            self._full, self._part = view, self._narrowed(view)
        assert self._part is not None
        return self._part

    def _narrowed(self, view: View) -> View:
        """Narrow a view to its visible messages and their changes."""
        part = self._scope.applied(view)
        mark = zlib.crc32(part.numbers.tobytes())
        mark = zlib.crc32(part.listing.idents.tobytes(), mark)
        mark = zlib.crc32(part.listing.flags.translate(_SHOWN), mark)
        when = view.mtime
        if mark == self._mark and self._part is not None:
            when = self._part.mtime
        self._mark = mark
        return replace(part, vers=mark, mtime=when)

    def hurry(self) -> None:
        """Have the next refresh ask the server, whenever it was asked last."""
        self._box.hurry()

    def refresh(self) -> Awaitable[None] | None:
        """List again if the store has changed; None if the view is current."""
        return self._box.refresh()

    async def refreshed(self) -> None:
        """List again if the store has changed, and wait for it."""
        await self._box.refreshed()

    def on_rest(self, keeper: Keeper) -> None:
        """Have keeper forget what it keeps when the mailbox goes to sleep."""
        self._box.keepers.add(keeper)

    async def awake(self) -> None:
        """Open it if it sleeps.  Raises OSError or MailfsError if that cannot be."""
        if self._box.asleep:
            await self._box.refreshed()

    async def run(self, job: Callable[[], T]) -> T:
        """Do job on the mailbox's worker; it may block."""
        return await self._box.run(job)

    async def with_words(self, job: Callable[[SeenWords | None], T]) -> T:
        """Do job on the worker with the full text, None where there is none."""
        view = self.view
        return await self._box.with_words(
            lambda words: job(None if words is None else SeenWords(words, view))
        )

    async def search(
        self, leaves: Sequence[Leaf], numbers: Sequence[int]
    ) -> dict[Leaf, set[int]] | None:
        """Ask a server which of those messages answer each of some conditions.

        None if there is no server, or it cannot be asked such things.
        """
        seen = [number for number in numbers if self._sees(number)]
        return await self._box.search(leaves, seen)

    def findings(self, view: View) -> dict[Query, Found]:
        """Return what was found in a view, by query; kept while it is the latest."""
        if self._found[0] is not view or len(self._found[1]) > FINDINGS:
            self._found = (view, {})
        return self._found[1]

    async def prepare(self, message: Message, need: Need) -> None:
        """Fetch what need takes of a message, together with what others wait for."""
        await self._box.prepare(message, need)

    def message(self, number: int) -> Message | None:
        """Return the message with a number, None if none is seen."""
        return self._box.message(number) if self._sees(number) else None

    def flags(self, number: int) -> int:
        """Return a message's Flag bits; none if it is not seen."""
        return self._box.flags(number) if self._sees(number) else 0

    def _sees(self, number: int) -> bool:
        return self._whole or self.view.row(number) is not None

    async def delete(self, numbers: Iterable[int]) -> None:
        """Remove messages; those that are not seen are passed over, as if not there."""
        await self._box.delete(await self._changing(numbers))

    async def expunge(self, numbers: Iterable[int]) -> None:
        """Remove messages for good, where delete would keep them in a trash."""
        await self._box.expunge(await self._changing(numbers))

    def sibling(self, path: str) -> str | None:
        """Find the name that the folder at path has in the mailbox's account."""
        return self._box.driver.sibling(path)

    async def move(self, numbers: Iterable[int], folder: str) -> None:
        """Move messages to another folder of the account."""
        await self._box.move(await self._changing(numbers), folder)

    async def copy(self, numbers: Iterable[int], folder: str) -> None:
        """Copy messages to another folder of the account."""
        await self._box.copy(await self._changing(numbers), folder)

    async def set_flags(self, changes: Sequence[tuple[int, Flag, Flag]]) -> None:
        """Apply (number, flags to set, to clear) to the messages that are seen."""
        seen = set(await self._changing(number for number, _, _ in changes))
        await self._box.set_flags([c for c in changes if c[0] in seen])

    async def append(
        self, message: bytes | Octets, date: int, sender: str, flags: Flag
    ) -> None:
        """Add a message, as Driver.append does; to be followed by a refresh."""
        self.check_writable()
        driver = self._box.driver
        await self._box.run(lambda: driver.append(message, date, sender, flags))

    async def consult(self, job: Callable[[MailboxState], T]) -> T:
        """Do job with the mailbox's state, on its worker; it changes nothing."""
        return await self._box.consult(job)

    async def relist(self, job: Callable[[MailboxState], T]) -> T:
        """Do job, which lists the store anew, on the worker."""
        return await self._box.alter(job)

    async def alter(self, job: Callable[[MailboxState], T]) -> T:
        """Do job, which changes the mailbox, on its worker.  Raises Refused."""
        self.check_writable()
        return await self._box.alter(job)

    def missing(self, numbers: Iterable[int]) -> list[int]:
        """Return the numbers of which no message is seen."""
        view = self.view
        return [number for number in numbers if view.row(number) is None]

    async def _changing(self, numbers: Iterable[int]) -> list[int]:
        """Return the numbers of messages that are seen, of the mailbox opened.

        Raises Refused where nothing may be changed.
        """
        self.check_writable()
        await self.awake()
        return [number for number in numbers if self._sees(number)]

    def check_writable(self) -> None:
        """Raise Refused where nothing may be changed."""
        if self._scope.readonly:
            raise Refused(EROFS)
        self._box.check_writable()

    def debug(self, level: int) -> None:
        """Set how much the server logs of mailboxes; for who sees all of them."""
        if not self._scope.free:
            raise Refused(EPERM)
        logging.getLogger("mailfs.mailbox").setLevel(level)

    def status(self) -> list[tuple[str, str]]:
        """List the mailbox's status, as names and values."""
        rows = self._box.status()
        if self._whole:
            return rows
        told = {"messages": str(self.view.count), "version": str(self.view.vers)}
        for name, value in rows:  # their numbers count messages that are not seen
            if name == "progress":
                told[name] = value.split()[0]
            if name == "search" and value[:1].isdecimal():
                told[name] = "partly indexed"
        return [(name, told.get(name, value)) for name, value in rows]

    async def listen(self, listener: Listener) -> None:
        """Tell listener of events from now on, of those messages that are seen."""
        await self._source.listen(listener, self._seen)

    def listen_at_once(self, listener: Listener) -> None:
        """Do the same where the mailbox has just been listed."""
        self._source.listen_at_once(listener, self._seen)

    def ignore(self, listener: Listener) -> None:
        """Tell listener nothing more."""
        self._source.ignore(listener)

    def _seen(self) -> Seen:
        """Make the filter of changes: to messages seen before or after each."""
        if self._whole:
            return lambda change: change
        before = self.view

        def reduced(change: Change) -> Change:
            nonlocal before
            then, now = before, self.view
            before = now
            return Change(
                new=_within(now, change.new),
                gone=_within(then, change.gone),
                modified=_within(now, change.modified),
                rewritten=_within(now, change.rewritten),
            )

        return reduced


def _within(view: View, numbers: Iterable[int]) -> tuple[int, ...]:
    return tuple(n for n in numbers if view.row(n) is not None)
