"""Feeding the full text: the words of messages that are at hand go into its file.

Messages that another program rewrote too often, or that have gone, cost space in a
file whose words cannot be taken back: then it is made afresh.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence

from mailfs.errors import MailfsError
from mailfs.fulltext.document import Document, document
from mailfs.fulltext.store import FullText
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.kinds import Stale
from mailfs.mailbox.message import Message
from mailfs.mailbox.octets import Memory
from mailfs.mailbox.retry import rereading

log = logging.getLogger(__name__)

BATCH = 0.25  # seconds of work between two transactions
OPTIMIZED = 5000  # messages after whose feeding the file is put in order

Told = Callable[[int, int], None]
"""Takes how many messages are done, and of how many."""


def read(message: Message) -> Document:
    """Read a message for its words.  Raises Stale, OSError or MailfsError."""
    octets = message.octets
    source = octets.data if isinstance(octets, Memory) else octets
    return document(source, message.parts)


def unfed(folder: MailboxState) -> list[int]:
    """Return the messages whose words are not in the file, newest first."""
    store, view = folder.fulltext, folder.view
    if store is None:
        return []
    try:
        missing = store.unknown(view.numbers, view.listing.idents)
    except sqlite3.Error as e:
        log.warning("full text %s: %s; made afresh", store.path, e)
        store.begin()
        missing = list(view)
    folder.wordless = (len(missing), view.next)
    return sorted(missing, reverse=True)


def feed(
    folder: MailboxState, numbers: Sequence[int], told: Told = lambda done, total: None
) -> None:
    """Put the words of messages into the file; those that are not here are left out."""
    store = folder.fulltext
    if store is None:
        return
    docs: list[tuple[int, int, Document]] = []
    since = time.monotonic()
    total = len(numbers)
    try:
        for done, number in enumerate(numbers, 1):
            found = _read(folder, number)
            if found is not None:
                docs.append(found)
            if done == total or time.monotonic() - since > BATCH:
                with store.transaction():
                    store.put(docs)
                docs.clear()
                since = time.monotonic()
                told(done, total)
        if total >= OPTIMIZED:
            store.optimize()
        unfed(folder)  # what is left is noted
    except sqlite3.Error as e:
        log.warning("full text %s: %s", store.path, e)


def renew(store: FullText, count: int) -> None:
    """Make the file afresh if it is mostly of messages that have gone."""
    try:
        if store.bloated(count):
            store.begin()
    except sqlite3.Error as e:
        log.warning("full text %s: %s; made afresh", store.path, e)
        store.begin()


def _read(folder: MailboxState, number: int) -> tuple[int, int, Document] | None:
    """Read one message that is at hand; None if it is not, or cannot be read."""

    def words(message: Message) -> tuple[int, int, Document] | None:
        if not message.here:
            return None
        try:
            return number, message.ident, read(message)
        except Stale:
            raise
        except (OSError, MailfsError) as e:
            log.info("full text of %s/%d: %s", folder.driver.path, number, e)
            return None  # one message that cannot be read holds up no other

    try:
        return rereading(folder, number, words)
    except Stale:
        return None
