"""The commands of a mailbox's ctl."""

import logging
from collections.abc import Awaitable, Callable

from mailfs.attr import tokenize
from mailfs.errors import EARGS, MailfsError, Refused
from mailfs.mailboxes.scoped import ScopedMailbox


async def _refresh(box: ScopedMailbox, words: list[str]) -> None:
    """List the mailbox now.  upas/fs's argument, a polling interval, is accepted."""
    if words and not words[0].isdecimal():
        raise Refused(EARGS)
    box.hurry()
    await box.refreshed()
    if box.error:
        raise MailfsError(box.error)


async def _debug(box: ScopedMailbox, words: list[str]) -> None:
    box.debug(logging.DEBUG)


async def _nodebug(box: ScopedMailbox, words: list[str]) -> None:
    box.debug(logging.NOTSET)


VERBS: dict[str, Callable[[ScopedMailbox, list[str]], Awaitable[None]]] = {
    "refresh": _refresh,
    "debug": _debug,
    "nodebug": _nodebug,
}


async def command(box: ScopedMailbox, line: str) -> None:
    """Do one command.  Raises Refused, MailfsError or OSError if it cannot be done."""
    words = tokenize(line)
    verb = VERBS.get(words[0]) if words else None
    if verb is None:
        raise Refused(f"bad {box.kind} control message")
    await verb(box, words[1:])
