"""Trying again when a store has changed between its listing and its reading."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from mailfs.mailbox.kinds import Stale

T = TypeVar("T")


class Refreshable(Protocol):
    """A mailbox, open or asleep."""

    async def refreshed(self) -> None:
        """List again if the store has changed, and wait for it."""


async def retrying(box: Refreshable, attempt: Callable[[], Awaitable[T]]) -> T:
    """Make an attempt; after Stale, list the mailbox and try once more.

    Raises Stale if the store has changed again by then.
    """
    try:
        return await attempt()
    except Stale:
        await box.refreshed()
    return await attempt()
