"""The messages of an IMAP folder: octets from the cache, else from the server."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from mailfs.cache.pack import Owner
from mailfs.errors import EIO
from mailfs.mailbox.kinds import Key, MessageReader, Stale, Want

LEAST = 16 << 10  # octets fetched at once at least
MOST = 1 << 20  # and at most, when somebody reads on and on
EDGE = 4 << 10  # octets around the supposed end, which should show the true one
READERS = 16  # long messages whose reading is followed

Fetch = Callable[[Sequence[Want]], None]


class RemoteStore(MessageReader):
    """Reads messages of one folder, as long as its UIDVALIDITY stays."""

    immediate = False

    def __init__(self, owner: Owner, fetch: Fetch) -> None:
        """Read from a cache; fetch brings there what it lacks, on the worker."""
        self._owner = owner
        self._fetch = fetch
        self._steps: OrderedDict[Key, tuple[int, int]] = OrderedDict()

    def has(self, key: Key, ident: int, start: int, end: int) -> bool:
        """Whether the cache has octets [start, end)."""
        return self._owner.has(key, start, self._end(key, end))

    def length(self, key: Key, size: int, ident: int) -> int:
        """Tell the message's length in octets, as far as it is known."""
        known = self._owner.length(key)
        return size if known is None else known

    def _end(self, key: Key, end: int) -> int:
        """Tell the end of a range; beyond any message while the length is unknown."""
        if end >= 0:
            return end
        length = self._owner.length(key)
        return _UNKNOWN if length is None else length

    def read(self, key: Key, size: int, ident: int, start: int, end: int) -> bytes:
        """Return octets [start, end), fetched if need be, on the worker."""
        if end >= 0 and start >= end:
            return b""
        octets = self._owner.get(key, start, self._end(key, end))
        if octets is not None:
            return octets
        if end < 0:
            self._fetch([Want(key, size, ident, 0, -1)])
        else:
            reach = start + self._step(key, start, end)
            self._fetch([Want(key, size, ident, start, max(end, reach))])
        octets = self._owner.get(key, start, self._end(key, end))
        if octets is None:
            raise Stale(EIO)
        return octets

    def measure(self, key: Key, size: int, ident: int) -> int:
        """Tell the message's true length in octets; servers' sizes may be wrong.

        Its beginning, which is what is read first, comes along.
        """
        if self._owner.length(key) is None:
            tail = max(0, size - EDGE)
            wants = [Want(key, size, ident, 0, min(LEAST, tail))]
            self._fetch([*wants, Want(key, size, ident, tail, size + EDGE)])
        if self._owner.length(key) is None:  # far off: it has to be seen
            self._fetch([Want(key, size, ident, 0, -1)])
        return self.length(key, size, ident)

    def _step(self, key: Key, start: int, end: int) -> int:
        """Choose the octets to fetch: more each time if one reads on."""
        edge, step = self._steps.pop(key, (-1, LEAST // 2))
        step = min(2 * step, MOST) if start == edge else LEAST
        step = max(step, end - start)
        self._steps[key] = (start + step, step)
        if len(self._steps) > READERS:
            self._steps.popitem(last=False)
        return step


_UNKNOWN = 1 << 62  # an end that no message has
