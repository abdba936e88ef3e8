"""What the mailboxes of an account share: connections, and news of one another.

An account may have few connections: the one whose use is longest ago hangs up.  One
of them hears of all folders, where the server can tell, and passes it on.
"""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Mapping
from typing import Protocol

MOST = 8  # of one account; Gmail allows 15 for all programs of a user together


class HeldConnection(Protocol):
    """A connection that can be done without for a while."""

    def park(self) -> bool:
        """Hang up until there is use for it again; False if it is being used."""


Hear = Callable[[object], None]
"""Take what an account's server told of a folder that is not selected; any thread."""


class ConnectionLimit:
    """The connections of all mailboxes; any thread."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._lines: defaultdict[Hashable, OrderedDict[HeldConnection, None]] = (
            defaultdict(OrderedDict)
        )
        self._heralds: dict[Hashable, HeldConnection] = {}
        self._names: defaultdict[Hashable, dict[str, bytes]] = defaultdict(dict)
        self._hearers: dict[tuple[Hashable, str], Hear] = {}

    def enter(self, account: Hashable, line: HeldConnection) -> None:
        """Count a new connection; if there are too many, others are parked.

        Those go first whose use is longest ago.
        """
        with self._lock:
            lines = self._lines[account]
            lines[line] = None
            lines.move_to_end(line)
            surplus = len(lines) - self._most
            herald = self._heralds.get(account)
            others = [one for one in lines if one is not line and one is not herald]
        for one in others:
            if surplus <= 0:
                return
            surplus -= one.park()

    def use(self, account: Hashable, line: HeldConnection) -> None:
        """Note that a connection is of use now."""
        with self._lock:
            if line in self._lines[account]:
                self._lines[account].move_to_end(line)

    def leave(self, account: Hashable, line: HeldConnection) -> None:
        """Count a connection no longer."""
        with self._lock:
            self._lines[account].pop(line, None)
            if self._heralds.get(account) is line:
                del self._heralds[account]

    def names(self, account: Hashable) -> dict[str, bytes]:
        """Return the octets of folders whose name does not tell them, to be shared."""
        with self._lock:
            return self._names[account]

    def herald(self, account: Hashable, line: HeldConnection) -> bool:
        """Whether this connection is the one to hear of all folders."""
        with self._lock:
            return self._heralds.setdefault(account, line) is line

    def hear(self, account: Hashable, folder: str, hear: Hear | None) -> None:
        """Have a folder's news passed to hear; to nobody any more with None."""
        with self._lock:
            if hear is None:
                self._hearers.pop((account, folder), None)
            else:
                self._hearers[account, folder] = hear

    def tell(self, account: Hashable, news: Mapping[str, object]) -> None:
        """Pass on news of folders, by name."""
        for folder, what in news.items():
            with self._lock:
                hear = self._hearers.get((account, folder))
            if hear is not None:
                hear(what)
