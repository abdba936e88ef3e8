"""Trying again when a store has changed between its listing and its reading."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from mailfs.mailbox.kinds import Stale

T = TypeVar("T")


class Refreshable(Protocol):
    """A mailbox, open or asleep."""

    async def refreshed(self) -> None:
        """List again if the store has changed, and wait for it."""


async def retrying(
    box: Refreshable,
    attempt: Callable[[], Awaitable[T]],
    again: Callable[[], Awaitable[T]] | None = None,
) -> T:
    """Make an attempt; after Stale, list the mailbox and try once more, or do again.

    Raises Stale if the store has changed again by then.
    """
    try:
        return await attempt()
    except Stale:
        await box.refreshed()
    return await (again or attempt)()


async def retrying_some(
    box: Refreshable,
    numbers: Sequence[int],
    attempt: Callable[[Sequence[int]], Awaitable[Sequence[int]]],
) -> None:
    """Attempt many messages; after it, list the mailbox and try once more the stale.

    attempt returns the numbers of messages that were not where they were listed.
    """
    stale = await attempt(numbers)
    if stale:
        await box.refreshed()
        await attempt(stale)
