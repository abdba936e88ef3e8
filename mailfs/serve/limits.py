"""What one network may do at once and in a minute; bounded, whoever comes.

A peer is its IPv4 address or IPv6 /64.  Trusted peers are not asked.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_PEERS = 10_000  # networks remembered; the one unheard of longest goes
MINUTE = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Rates:
    """How often a thing may happen a minute, by its name."""

    connections: int = 60
    messages: int = 200
    refusals: int = 20  # recipients nobody is
    failures: int = 10  # logins


@dataclass(slots=True)
class _Peer:
    open: int = 0
    since: float = 0.0  # the minute's begin
    counts: dict[str, int] = field(default_factory=dict)


class Table:
    """Counts by peer, for one event loop; clock is in seconds and never goes back."""

    def __init__(
        self,
        clock: Callable[[], float],
        rates: Rates | None = None,
        *,
        at_once: int = 20,
        overall: int = 1000,
        peers: int = MAX_PEERS,
    ) -> None:
        """Count nothing yet.

        at_once  connections of one peer
        overall  connections of all
        """
        self._clock = clock
        self._rates = rates or Rates()
        self._at_once = at_once
        self._overall = overall
        self._most = peers
        self._open = 0
        self._peers: OrderedDict[str, _Peer] = OrderedDict()

    def enter(self, peer: str, *, trusted: bool = False) -> bool:
        """Count a connection; False, and nothing counted, if it is one too many."""
        if self._open >= self._overall:
            return False
        if not trusted:
            row = self._row(peer)
            if row.open >= self._at_once or not self.note(peer, "connections"):
                return False
            row.open += 1
        self._open += 1
        return True

    def leave(self, peer: str, *, trusted: bool = False) -> None:
        """Uncount a connection that was let in."""
        self._open -= 1
        row = None if trusted else self._peers.get(peer)
        if row is not None and row.open:
            row.open -= 1

    def note(self, peer: str, what: str) -> bool:
        """Count what happened; False if it was one too many for this minute."""
        row = self._row(peer)
        now = self._clock()
        if now - row.since >= MINUTE:
            row.since, row.counts = now, {}
        row.counts[what] = count = row.counts.get(what, 0) + 1
        return count <= int(getattr(self._rates, what))

    def forgive(self, peer: str, what: str) -> None:
        """Uncount what turned out to be good."""
        counts = self._row(peer).counts
        counts[what] = max(counts.get(what, 0) - 1, 0)

    def _row(self, peer: str) -> _Peer:
        row = self._peers.get(peer)
        if row is None:
            row = self._peers[peer] = _Peer(since=self._clock())
            self._trim()
        else:
            self._peers.move_to_end(peer)
        return row

    def _trim(self) -> None:
        """Forget the peer unheard of longest that has no connection."""
        if len(self._peers) > self._most:
            gone = next((p for p, row in self._peers.items() if not row.open), None)
            if gone is not None:
                del self._peers[gone]


def network(address: str) -> str:
    """Return the peer an address counts for; what is no address counts for itself."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network(f"{found}/64", strict=False))
    return str(found)
