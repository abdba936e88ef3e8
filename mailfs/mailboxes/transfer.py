"""Copying and moving messages from one mailbox to another, whatever their stores."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from mailfs.errors import EGONE, ENOMSG, Refused
from mailfs.mailbox.driver import Driver, Place
from mailfs.mailbox.drivers import open_store
from mailfs.mailbox.drivers.mdir import Mdir
from mailfs.mailbox.kinds import Flag, Stale
from mailfs.mailbox.message import Need
from mailfs.mailbox.octets import Octets
from mailfs.mailbox.pool import away
from mailfs.mailboxes.entity import Entity
from mailfs.mailboxes.retry import retrying
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.mailboxes.scopedset import ScopedMailboxes
from mailfs.msg import fromline


@dataclass(frozen=True, slots=True)
class CarriedMessage:
    """What Driver.append wants to know of a message."""

    octets: Octets
    date: int
    sender: str
    flags: Flag


Append = Callable[[CarriedMessage], Awaitable[None]]


async def copy(
    boxes: ScopedMailboxes, box: ScopedMailbox, numbers: Sequence[int], folder: str
) -> None:
    """Add messages of box to a folder; on disk when it returns.

    A folder is an open mailbox, a folder of the same account, or a path as ctl's
    ``open`` takes it; one in the user's mail directory is made if it is not there.
    Raises Refused, before anything is done, if a message is not there.
    """
    await _check(box, numbers)
    near = _near(boxes, box, folder)
    if near is not None:
        await box.copy(numbers, near)
        return
    async with _folder(boxes, folder) as append:
        for number in numbers:
            await _carry(box, number, append)


async def move(
    boxes: ScopedMailboxes, box: ScopedMailbox, numbers: Sequence[int], folder: str
) -> None:
    """Move messages to a folder.

    To a folder of the same account its server moves them; to any other they are
    copied, then removed for good: whatever happens, none is lost.
    """
    if _visible(boxes, folder) is box:
        return
    near = _near(boxes, box, folder)
    if near is not None:
        await _check(box, numbers)
        await box.move(numbers, near)
        return
    await copy(boxes, box, numbers, folder)
    await box.expunge(numbers)


async def _check(box: ScopedMailbox, numbers: Sequence[int]) -> None:
    box.check_writable()  # before its server is asked for what to copy
    await box.awake()
    if box.missing(numbers):
        raise Refused(ENOMSG)


def _near(boxes: ScopedMailboxes, box: ScopedMailbox, folder: str) -> str | None:
    """Return the folder's name in the account of box, None if it is not there.

    Raises Refused for a folder that is not among the mailboxes seen, unless mailboxes
    may be opened by path.
    """
    there = _visible(boxes, folder)
    near = box.sibling(folder if there is None else there.path)
    if near is None or there is not None:
        return near
    if near not in {box.sibling(one.path) for one in boxes}:
        boxes.check_free()
    return near


def _visible(boxes: ScopedMailboxes, folder: str) -> ScopedMailbox | None:
    """Return the mailbox of that name or path, None if it is not among those seen."""
    path = boxes.expand(folder)
    return boxes.find(folder) or next((b for b in boxes if b.path == path), None)


async def _carry(box: ScopedMailbox, number: int, append: Append) -> None:
    """Read a message and add it.  Raises Refused if it has gone.

    Its octets are read while it is added, so its store may change meanwhile: then
    nothing was added, and it is tried again.
    """

    async def carry() -> None:
        message = box.message(number)
        if message is None:
            raise Refused(EGONE)
        await box.prepare(message, Need.WHOLE)
        await append(await box.run(partial(_read, Entity(box, message))))

    try:
        await retrying(box, carry)
    except Stale:
        raise Refused(EGONE) from None


def _read(item: Entity) -> CarriedMessage:
    octets = item.raw()
    sender = item.envelope.from_.split(" ")[0]
    if item.message.shape.envelope:
        known = fromline.parse(item.unix_header())
        sender = known.sender if known is not None else sender
    flags = item.flags() & ~(Flag.RECENT | Flag.DELETED)
    return CarriedMessage(octets, item.message.date, sender, flags)


@asynccontextmanager
async def _folder(boxes: ScopedMailboxes, folder: str) -> AsyncIterator[Append]:
    """Yield a function that appends to the folder."""
    there = _visible(boxes, folder)
    if there is not None:
        box = there
        yield lambda one: box.append(one.octets, one.date, one.sender, one.flags)
        await there.refreshed()
        return
    boxes.check_free()
    path = boxes.expand(folder)
    driver = await away(_driver, path, boxes.place, own=path != folder)
    try:
        yield lambda one: away(
            driver.append, one.octets, one.date, one.sender, one.flags
        )
    finally:
        await away(driver.close)


def _driver(path: str, place: Place, *, own: bool) -> Driver:
    """Return the driver for a path.

    If it is in the user's own mail directory and not there, it is made, of the kind
    that ctl's ``create`` makes.
    """
    if own and not os.path.lexists(path):
        driver = Mdir(path, place)
        driver.make()
        return driver
    return open_store(path, place)
