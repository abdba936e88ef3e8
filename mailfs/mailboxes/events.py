"""Events: what happens to the messages of a mailbox, for whoever listens.

A mailbox says which numbers have changed; a Source finds out their digests, on the
mailbox's worker, and tells its listeners, each of them only what its scope shows.
Nobody listens, nothing is done: no store is watched, no digest is asked for.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from mailfs.attr import quote
from mailfs.errors import MailfsError
from mailfs.mailbox.kinds import Stale
from mailfs.mailbox.mailbox import Mailbox, Moved
from mailfs.mailbox.message import Message
from mailfs.mailbox.view import Change
from mailfs.mailboxes.retry import retrying_some
from mailfs.mailboxes.watch import Watch

log = logging.getLogger(__name__)

NEW, DELETE, MODIFY = "new", "delete", "modify"
UNKNOWN = "-"  # in the place of a digest
CHUNK = 32  # digests asked of the worker at a time: others get their turn
MOST = 1000  # digests worked out for one change; of more messages, nobody reads all
REMEMBERED = 4096  # digests kept, for the day the message is deleted


@dataclass(frozen=True, slots=True)
class Event:
    """One message came, went, or was changed.  digest is empty where not known."""

    what: str  # new, delete or modify
    box: str
    number: int
    digest: str

    def line(self) -> bytes:
        """Return ``what path digest`` with a newline; the path as rc quotes it."""
        path = quote(f"{self.box}/{self.number}")
        return f"{self.what} {path} {self.digest or UNKNOWN}\n".encode()


class Listener(Protocol):
    """Who is told of events, on the event loop; must not block."""

    @property
    def digests(self) -> bool:
        """Whether events are held back until their digests are known.

        Where they are not, no message is read for the listener's sake.
        """

    def put(self, events: Sequence[Event]) -> None:
        """Take events, in the order in which they happened."""

    def end(self) -> None:
        """Know that the mailbox is closed: there will be no more."""


Seen = Callable[[Change], Change]
"""Reduce a change to what a listener's scope shows; called for each, in order."""


class EventSource:
    """The events of one mailbox."""

    def __init__(self, box: Mailbox, watch: Watch) -> None:
        self._box = box
        self._watch = watch
        self._listeners: dict[Listener, Seen] = {}
        self._held = 0  # listeners, and who is about to become one
        self._queue: deque[tuple[Moved, list[tuple[Listener, Change]]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._known: OrderedDict[int, str] = OrderedDict()

    def hold(self) -> None:
        """Have the store watched until release is called as often."""
        self._held += 1
        if self._held == 1:
            self._watch.add(self._box)

    def release(self) -> None:
        """Undo one hold."""
        self._held -= 1
        if not self._held:
            self._watch.discard(self._box)

    async def listen(self, listener: Listener, seen: Callable[[], Seen]) -> None:
        """Tell listener what happens from now on.

        seen is called once the mailbox is as it is now.
        """
        self.hold()
        try:
            # A sleeping mailbox has nothing yet that its waking could tell as new.
            if not self._box.asleep:
                await self._box.refreshed()
        except BaseException:
            self.release()
            raise
        self._add(listener, seen())

    def listen_at_once(self, listener: Listener, seen: Callable[[], Seen]) -> None:
        """Tell listener what happens to a mailbox that has just been listed."""
        self.hold()
        self._add(listener, seen())

    def _add(self, listener: Listener, seen: Seen) -> None:
        if not self._listeners:
            self._box.listeners.append(self._news)
        self._listeners[listener] = seen

    def ignore(self, listener: Listener) -> None:
        """Tell listener nothing more."""
        if self._listeners.pop(listener, None) is None:
            return
        if not self._listeners:
            self._box.listeners.remove(self._news)
        self.release()

    def _news(self, moved: Moved) -> None:
        told = [
            (listener, change)
            for listener, seen in self._listeners.items()
            if (change := seen(moved.change))
        ]
        for listener, change in told:
            if not listener.digests:
                listener.put(list(_events(self._box.name, change, {})))
        told = [one for one in told if one[0].digests]
        if not told:
            return
        self._queue.append((moved, told))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._tell())
            self._task.add_done_callback(self._told)

    async def _tell(self) -> None:
        """Tell what is queued, one change after the other."""
        while self._queue:
            moved, told = self._queue.popleft()
            digests = await self._digests(moved, [change for _, change in told])
            for listener, change in told:
                listener.put(list(_events(self._box.name, change, digests)))

    def _told(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if not task.cancelled() and (e := task.exception()) is not None:
            log.error("%s: events: %s", self._box.name, e, exc_info=e)

    async def _digests(self, moved: Moved, changes: Iterable[Change]) -> dict[int, str]:
        """Return the digests of all messages that changes name, as far as known."""
        gone = {n for change in changes for n in change.gone}
        found = {n: moved.digests.get(n) or self._known.pop(n, "") for n in gone}
        for change in changes:
            for n in change.rewritten:
                self._known.pop(n, None)
        there = {n for c in changes for n in (*c.new, *c.modified, *c.rewritten)}
        for n in there:
            if n in self._known:
                found[n] = self._known[n]
        wanted = sorted(there - found.keys(), reverse=True)[:MOST]
        for at in range(0, len(wanted), CHUNK):
            found |= await self._ask(wanted[at : at + CHUNK])
        self._known |= {n: digest for n, digest in found.items() if n in there}
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return found

    async def _ask(self, numbers: Sequence[int]) -> dict[int, str]:
        box = self._box
        found: dict[int, str] = {}

        async def ask(numbers: Sequence[int]) -> list[int]:
            there = [m for n in numbers if (m := box.message(n)) is not None]
            if there:
                found.update(await box.run(partial(_ask, there)))
            return [m.number for m in there if m.number not in found]

        await retrying_some(box, numbers, ask)
        return found

    async def close(self) -> None:
        """End, and say so to every listener."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        listeners = list(self._listeners)
        for listener in listeners:
            self.ignore(listener)
            listener.end()


def _ask(messages: Sequence[Message]) -> dict[int, str]:
    """Return the digests of messages, by number; those that can be had."""
    found = {}
    for message in messages:
        try:
            found[message.number] = message.digest
        except Stale:
            continue
        except (MailfsError, OSError) as e:
            log.info("digest of %d: %s", message.number, e)
            found[message.number] = ""
    return found


def _events(box: str, change: Change, digests: dict[int, str]) -> Iterator[Event]:
    changed = sorted({*change.modified, *change.rewritten})
    rows = ((NEW, change.new), (MODIFY, changed), (DELETE, change.gone))
    for what, numbers in rows:
        for number in numbers:
            yield Event(what, box, number, digests.get(number, ""))
