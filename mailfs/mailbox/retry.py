"""Trying again, on the worker, when a store has changed between listing and reading."""

from collections.abc import Callable
from typing import TypeVar

from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.kinds import Stale
from mailfs.mailbox.message import Message
from mailfs.mailbox.view import View

T = TypeVar("T")


def rereading(
    state: MailboxState,
    number: int,
    read: Callable[[Message], T],
    view: View | None = None,
) -> T | None:
    """Read a message; after Stale, list the store and read once more.

    view is where it is looked up first, the state's own by default.  None if it is not
    there.  Raises Stale if the store has changed again by then.
    """
    message = state.message(number, view)
    if message is None:
        return None
    try:
        return read(message)
    except Stale:
        message = state.message(number, state.list())
    return None if message is None else read(message)
