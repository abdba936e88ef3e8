"""The replay of changes that waited until their server was back."""

import logging
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from mailfs.errors import MailfsError
from mailfs.imap.changes import Flagged
from mailfs.imap.session import ImapSession
from mailfs.mailbox.drivers.imap import edit
from mailfs.mailbox.drivers.imap.later import WaitingChanges
from mailfs.remote.backoff import Backoff

log = logging.getLogger(__name__)

FIRST = 1.0  # seconds until a waiting change is tried again after a passing refusal
LONGEST = 3600.0  # seconds between two attempts


class Replay:
    """The waiting changes of one folder, and how their replay goes."""

    def __init__(self, path: str, folder: str, queue: Path) -> None:
        """Replay what the file queue has of a mailbox at path, a folder's."""
        self.later = WaitingChanges(queue)
        self._path = path
        self._folder = folder
        self._backoff = Backoff(FIRST, LONGEST, jitter=0.0)
        self._refusal = ""  # why the server did not take a waiting change, for now
        self._dropped = 0  # changes that the server refused when it was back

    @property
    def left(self) -> float | None:
        """Seconds until a refused change is tried again; None if none is."""
        return self._backoff.left if self._refusal else None

    def rows(self) -> list[tuple[str, str]]:
        """Describe the changes as rows of ``status``."""
        waiting, aside = len(self.later), self.later.aside
        counts = {"waiting": waiting, "dropped": self._dropped, "set-aside": aside}
        rows = [(name, f"{count} changes") for name, count in counts.items() if count]
        if self._refusal:
            rows.append(("waiting-error", self._refusal))
        return rows

    def run(self, session: ImapSession, validity: int) -> Sequence[Flagged]:
        """Make the changes that waited, in their order; the flags messages have now.

        One that the server refuses for good is dropped; a refusal that may pass leaves
        it and those behind it for later, each time longer.
        """
        told: list[Flagged] = []
        if self.left:
            return told
        self._refusal = ""
        for (verb, _), run in groupby(
            self.later.waiting(), lambda one: (one.verb, one.folder)
        ):
            changes = [*run]
            try:
                told += edit.perform(session, self._folder, changes, validity)
            except MailfsError as e:
                if not edit.lasting(e):
                    self._refusal = str(e)
                    self._backoff.failed()
                    return told
                self._dropped += len(changes)
                text = "%s: %s of %d messages dropped: %s"
                log.warning(text, self._path, verb, len(changes), e)
            self.later.done(len(changes))
        self._backoff.succeeded()
        return told
