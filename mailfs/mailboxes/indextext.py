"""The text of an index: a line for each of many messages, made as far as it is read."""

import asyncio
import logging
import os
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice

from mailfs.errors import MailfsError
from mailfs.mailbox.kinds import Flag, Stale
from mailfs.mailbox.message import Message, Need
from mailfs.mailboxes.entity import Entity
from mailfs.mailboxes.record import row
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.msg.envelope import Envelope

log = logging.getLogger(__name__)

MESSAGES = 64  # made at a time: a mailbox remembers as many

_Known = tuple[Message, Flag, tuple[str, ...]]  # and its flags and keywords


class IndexText:
    """Lines for messages by number, in that order; one that has gone has none.

    What has been made stays in a file without a name.  A line that another program's
    writing keeps us from making lacks what the header says.
    """

    __slots__ = ("_box", "_fd", "_have", "_lock", "_rest", "_todo")

    def __init__(self, box: ScopedMailbox, numbers: Iterable[int]) -> None:
        self._box = box
        self._rest = iter(numbers)
        self._todo: list[int] = []  # taken from the rest, and not yet made
        self._have = 0  # octets
        self._lock = asyncio.Lock()
        self._fd = -1  # made on the worker, with the first lines

    def __del__(self) -> None:
        """Let go of the file when no job on the worker writes to it any more."""
        if self._fd >= 0:
            os.close(self._fd)

    async def read(self, offset: int, count: int) -> bytes:
        """Return at most count octets from offset; fewer only at the end."""
        async with self._lock:
            while self._have < offset + count and await self._more():
                pass
        size = min(count, self._have - offset)
        if size <= 0:
            return b""
        return await self._box.run(lambda: os.pread(self._fd, size, offset))

    async def _more(self) -> bool:
        """Make some lines; False if none are left."""
        # Whoever stops waiting here leaves them to be made by the next reader.
        self._todo = self._todo or list(islice(self._rest, MESSAGES))
        if not self._todo:
            return False
        octets = await lines(self._box, self._todo)
        await self._box.run(partial(self._write, octets, self._have))
        self._have += len(octets)
        self._todo = []
        return True

    def _write(self, octets: bytes, at: int) -> None:
        if self._fd < 0:
            with tempfile.TemporaryFile(prefix="mailfs.") as file:
                self._fd = os.dup(file.fileno())
        while octets:
            done = os.pwrite(self._fd, octets, at)
            octets, at = octets[done:], at + done


async def lines(box: ScopedMailbox, numbers: Sequence[int]) -> bytes:
    """Return the lines of messages, in that order."""
    made: dict[int, bytes] = {}
    todo = numbers
    for last in (False, True):  # the second time after a change of the store
        known = _known(box, todo)
        far = [m for m, _, _ in known if not m.store.immediate]
        jobs = (box.prepare(message, Need.HEAD) for message in far)
        for one in await asyncio.gather(*jobs, return_exceptions=True):
            if isinstance(one, OSError | MailfsError):
                log.debug("%s: index: %s", box.name, one)
            elif one is not None:
                raise one
        done, todo = await box.run(partial(_made, box, known, last=last))
        made |= done
        if not todo:
            break
        await box.refreshed()
    return b"".join(made[number] for number in numbers if number in made)


def _known(box: ScopedMailbox, numbers: Iterable[int]) -> list[_Known]:
    """Look up messages, as the mailbox's view has them; those that have gone not."""
    words = box.view.keywords
    return [
        (message, Flag(box.flags(number)), words.get(number, ()))
        for number in numbers
        if (message := box.message(number)) is not None
    ]


def _made(
    box: ScopedMailbox, known: Iterable[_Known], *, last: bool
) -> tuple[dict[int, bytes], list[int]]:
    """Make lines, on the worker; tell also which are not where they were listed."""
    made: dict[int, bytes] = {}
    stale: list[int] = []
    for message, flags, tags in known:
        item = Entity(box, message)
        envelope: Envelope | None = None
        try:
            envelope = item.envelope
        except Stale:
            if not last:
                stale.append(message.number)
                continue
        except (OSError, MailfsError) as e:
            log.info("%s/%d: index: %s", box.name, message.number, e)
        made[message.number] = row(item, flags, tags, envelope).encode(
            "utf-8", "replace"
        )
    return made, stale
