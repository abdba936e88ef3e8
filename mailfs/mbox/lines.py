"""How many connections there are to an account, and whose turn it is to hang up."""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Hashable
from typing import Protocol

MOST = 8  # of one account; Gmail allows 15 for all programs of a user together


class Held(Protocol):
    """A connection that can be done without for a while."""

    def park(self) -> bool:
        """Hang up until there is use for it again; False if it is being used."""


class Lines:
    """The connections of all mailboxes; any thread."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._lines: defaultdict[Hashable, OrderedDict[Held, None]] = defaultdict(
            OrderedDict
        )

    def enter(self, account: Hashable, line: Held) -> None:
        """Count a new connection; if there are too many, others are parked.

        Those go first whose use is longest ago.
        """
        with self._lock:
            lines = self._lines[account]
            lines[line] = None
            lines.move_to_end(line)
            surplus = len(lines) - self._most
            others = [one for one in lines if one is not line]
        for one in others:
            if surplus <= 0:
                return
            surplus -= one.park()

    def use(self, account: Hashable, line: Held) -> None:
        """Note that a connection is of use now."""
        with self._lock:
            if line in self._lines[account]:
                self._lines[account].move_to_end(line)

    def leave(self, account: Hashable, line: Held) -> None:
        """Count a connection no longer."""
        with self._lock:
            self._lines[account].pop(line, None)
