"""The connections and the news that the mailboxes of an account share.

A server allows a user so many connections.  Each is counted before it is made; where
there is no room for another, one that only waits hangs up.  One of them hears of all
folders, where the server can tell, and passes it on.
"""

import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Mapping
from typing import Protocol

MOST = 8  # of one account; Dovecot allows 10 and Gmail 15 for all programs together
LENT = 2  # of those, for processes of ours; each has a connection of its own
LOOK = 0.1  # seconds until the connections that are used are looked at again
LOWERED = 120.0  # seconds for which a server's refusal lowers the limit


class HeldConnection(Protocol):
    """A connection that can be done without for a while."""

    @property
    def ended(self) -> bool:
        """Whether its mailbox is closed, so that it needs none any more."""

    def park(self) -> bool:
        """Begin to hang up; False if it is used, and then it hangs up soon after.

        Called again until it has left.  Waits for nothing.
        """


Hear = Callable[[object], None]
"""Take what an account's server told of a folder that is not selected; any thread."""


class _Counted:
    """The connections of one account."""

    def __init__(self) -> None:
        self.held: OrderedDict[HeldConnection, None] = OrderedDict()  # oldest use first
        self.waiting: list[HeldConnection] = []  # first come first
        self.leaving: set[HeldConnection] = set()  # of held: they are hanging up
        self.lent: set[HeldConnection] = set()  # of held: other processes'
        self.herald: HeldConnection | None = None
        self.lowered = 0  # as a refusal of the server's left it
        self.until = 0.0  # when that ends, on the clock


class ConnectionLimit:
    """The connections of all mailboxes; any thread."""

    def __init__(
        self,
        most: int = MOST,
        *,
        lowered: float = LOWERED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Allow each account most connections.

        Where its server refuses one, it is allowed no more than it had then for
        lowered seconds.
        """
        self._most = most
        self._for = lowered
        self._clock = clock
        self._changed = threading.Condition()
        self._accounts: defaultdict[Hashable, _Counted] = defaultdict(_Counted)
        self._names: defaultdict[Hashable, dict[str, bytes]] = defaultdict(dict)
        self._hearers: dict[tuple[Hashable, str], Hear] = {}

    def enter(
        self, account: Hashable, line: HeldConnection, patience: float = 0.0
    ) -> bool:
        """Count a connection that is about to be made; False if there is no room.

        First come, first served.  Where there is no room, connections that only wait
        are parked, those first whose use is longest ago, and at most patience seconds
        are waited for one to leave.
        """
        return self._enter(account, line, patience, lent=False)

    def lend(
        self, account: Hashable, line: HeldConnection, patience: float = 0.0
    ) -> bool:
        """Count the connection of another process, as enter does; LENT at most."""
        return self._enter(account, line, patience, lent=True)

    def _enter(
        self, account: Hashable, line: HeldConnection, patience: float, *, lent: bool
    ) -> bool:
        end = self._clock() + patience
        with self._changed:
            found = self._accounts[account]
            if line in found.held:
                return True
            while lent and len(found.lent) >= LENT:
                if not self._wait(line, end):
                    return False
            found.waiting.append(line)
            try:
                while not self._room(found, line):
                    if not self._wait(line, end):
                        return False
                found.held[line] = None
                if lent:
                    found.lent.add(line)
                return True
            finally:
                found.waiting.remove(line)
                self._changed.notify_all()

    def _wait(self, line: HeldConnection, end: float) -> bool:
        """Wait for a change; False if the time is over or nobody needs it any more."""
        left = end - self._clock()
        if left <= 0 or line.ended:
            return False
        self._changed.wait(min(left, LOOK))
        return True

    def _room(self, found: _Counted, line: HeldConnection) -> bool:
        """Whether it is line's turn and there is room; make some if there is not."""
        if found.waiting[0] is not line:
            return False
        free = self._limit(found) - len(found.held)
        if free > 0:
            return True
        for one in found.leaving:
            one.park()
        wanted = len(found.waiting) - free - len(found.leaving)
        others = [one for one in found.held if one is not found.herald]
        for one in others or [*found.held]:
            if wanted <= 0:
                break
            if one not in found.leaving and one.park():
                found.leaving.add(one)
                wanted -= 1
        return False

    def _limit(self, found: _Counted) -> int:
        return found.lowered if self._clock() < found.until else self._most

    def refused(self, account: Hashable, line: HeldConnection) -> None:
        """Count line no longer, which the server found one too many.

        For a while no more are made than there are now; one always may.
        """
        with self._changed:
            self.leave(account, line)
            found = self._accounts[account]
            found.lowered = max(1, min(len(found.held), self._limit(found)))
            found.until = self._clock() + self._for

    def use(self, account: Hashable, line: HeldConnection) -> None:
        """Note that a connection is of use now."""
        with self._changed:
            if line in (held := self._accounts[account].held):
                held.move_to_end(line)

    def leave(self, account: Hashable, line: HeldConnection) -> None:
        """Count a connection no longer; it has hung up."""
        with self._changed:
            found = self._accounts[account]
            found.held.pop(line, None)
            found.leaving.discard(line)
            found.lent.discard(line)
            if found.herald is line:
                found.herald = None
            self._changed.notify_all()

    def count(self, account: Hashable) -> int:
        """Count the connections that an account has, or is about to have."""
        with self._changed:
            return len(self._accounts[account].held)

    def herald(self, account: Hashable, line: HeldConnection) -> bool:
        """Whether this connection is the one to hear of all folders."""
        with self._changed:
            found = self._accounts[account]
            if found.herald is None and line in found.held:
                found.herald = line
            return found.herald is line

    def names(self, account: Hashable) -> dict[str, bytes]:
        """Return the octets of folders whose name does not tell them, to be shared."""
        with self._changed:
            return self._names[account]

    def hear(self, account: Hashable, folder: str, hear: Hear | None) -> None:
        """Have a folder's news passed to hear; to nobody any more with None."""
        with self._changed:
            if hear is None:
                self._hearers.pop((account, folder), None)
            else:
                self._hearers[account, folder] = hear

    def tell(self, account: Hashable, news: Mapping[str, object]) -> None:
        """Pass on news of folders, by name."""
        for folder, what in news.items():
            with self._changed:
                hear = self._hearers.get((account, folder))
            if hear is not None:
                hear(what)
