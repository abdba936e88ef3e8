"""The commands of a mailbox's ctl."""

import logging
from collections.abc import Awaitable, Callable

from mailfs.attr import tokenize
from mailfs.errors import EARGS, MailfsError, P9Error
from mailfs.mbox.mailbox import Mailbox


async def _refresh(box: Mailbox, words: list[str]) -> None:
    """List the mailbox now.  upas/fs's argument, a polling interval, is accepted."""
    if words and not words[0].isdecimal():
        raise P9Error(EARGS)
    waiting = box.refresh()
    if waiting is not None:
        await waiting
    if box.error:
        raise MailfsError(box.error)


async def _debug(box: Mailbox, words: list[str]) -> None:
    logging.getLogger("mailfs.mbox").setLevel(logging.DEBUG)


async def _nodebug(box: Mailbox, words: list[str]) -> None:
    logging.getLogger("mailfs.mbox").setLevel(logging.NOTSET)


VERBS: dict[str, Callable[[Mailbox, list[str]], Awaitable[None]]] = {
    "refresh": _refresh,
    "debug": _debug,
    "nodebug": _nodebug,
}


async def command(box: Mailbox, line: str) -> None:
    """Do one command.  Raises P9Error, MailfsError or OSError if it cannot be done."""
    words = tokenize(line)
    verb = VERBS.get(words[0]) if words else None
    if verb is None:
        raise P9Error(f"bad {box.driver.kind} control message")
    await verb(box, words[1:])
