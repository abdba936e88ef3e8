"""What all connections of one server may hold together: octets, descriptors, fids.

Limits for each connection do not add up to one for the server: a thousand peers that
read nothing, each within its own, take gigabytes.  So what one may hold follows from
what is left of the whole; one alone gets as much as it can use.
"""

POOL = 24 << 20  # octets of replies that peers leave unread, before each gets LEAST
MOST = 2 << 20  # octets of replies that one peer may leave unread
LEAST = 32 << 10  # octets that it may leave however many others there are
SHARE = 8  # a peer gets this part of what is left
HELD = 64 << 20  # octets that waiting requests and their replies may come to
PUMPS = 256  # descriptors passed to clients that are open at once
MESSAGES = 16 << 20  # octets of messages that may have come in part
FIDS = (
    1 << 18
)  # fids of all connections; one with what it stands for is some 500 octets
FID_BLOCK = 256  # fids that a connection has in any case, and gets at a time
LEAST_MSIZE = 64 << 10  # octets; offered however many connections there are


class Budget:
    """The octets, descriptors and fids of one server.  Used on its loop only."""

    __slots__ = (
        "_pool",
        "_unread",
        "connections",
        "fids",
        "held",
        "pumps",
        "room",
        "unread",
    )

    def __init__(
        self, pool: int = POOL, held: int = HELD, pumps: int = PUMPS, fids: int = FIDS
    ) -> None:
        self._pool = pool
        self._unread: dict[object, int] = {}  # octets, by connection
        self.unread = 0  # octets, of all
        self.room = 0  # octets that one connection may leave unread now
        self.held = held  # octets left for requests that wait
        self.pumps = pumps  # descriptors left
        self.fids = fids  # fids left, beside the first block of each connection
        self.connections = 0
        self._share()

    def stuffed(self, connection: object, octets: int) -> None:
        """Note that a connection's peer leaves so many octets unread."""
        self.unread += octets - self._unread.get(connection, 0)
        self._unread[connection] = octets
        self._share()

    def drained(self, connection: object) -> None:
        """Note that a connection's peer reads again, or has gone."""
        self.unread -= self._unread.pop(connection, 0)
        self._share()

    def _share(self) -> None:
        left = self._pool - self.unread
        self.room = min(MOST, max(LEAST, left // SHARE))

    def more_fids(self, had: int) -> bool:
        """Grant a connection that has some fids one block more.

        Nobody gets more than is left to the others then.
        """
        if self.fids < max(had, FID_BLOCK):
            return False
        self.fids -= FID_BLOCK
        return True

    @property
    def tight(self) -> bool:
        """Whether connections get less than they could use."""
        return self.room < MOST // 2

    def msize(self, asked: int) -> int:
        """Return the largest message to agree on with one more client, in octets.

        Each may stop in the middle of one, and we keep what has come.
        """
        return min(asked, max(LEAST_MSIZE, MESSAGES // max(self.connections, 1)))
