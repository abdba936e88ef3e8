"""The messages of a maildrop: octets from the cache, else from the server, whole."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

from mailfs.cache.pack import Owner
from mailfs.errors import EIO, MailfsError
from mailfs.mailbox.kinds import Key, MessageReader, Stale, Want
from mailfs.mailbox.octets import Octets, collect

LARGE = 2  # messages too long for the cache that are kept in temporary files
_UNKNOWN = 1 << 62  # an end that no message has

Fetch = Callable[[Sequence[Want]], None]


class PopStore(MessageReader):
    """Reads messages of one maildrop; POP3 gives them whole or not at all."""

    immediate = False

    def __init__(self, owner: Owner, fetch: Fetch) -> None:
        """Read from a cache; fetch brings there what it lacks, on the worker."""
        self.owner = owner
        self.refused: OrderedDict[Key, str] = OrderedDict()  # the server's words
        self._fetch = fetch
        self._large: OrderedDict[Key, Octets] = OrderedDict()

    def has(self, key: Key, ident: int, start: int, end: int) -> bool:
        """Whether octets [start, end) are here; an end of -1 is the message's own."""
        return key in self._large or self.owner.has(key, start, _end(end))

    def whole(self, key: Key) -> bool:
        """Whether all of a message is here."""
        return self.has(key, 0, 0, -1)

    def length(self, key: Key, size: int, ident: int) -> int:
        """Tell the message's length in octets, as far as it is known."""
        large = self._large.get(key)
        if large is not None:
            return len(large)
        known = self.owner.length(key)
        return size if known is None else known

    def measure(self, key: Key, size: int, ident: int) -> int:
        """Tell the message's true length in octets; the server's is a claim."""
        if key not in self._large and self.owner.length(key) is None:
            self._get(key, size, ident)
        return self.length(key, size, ident)

    def read(self, key: Key, size: int, ident: int, start: int, end: int) -> bytes:
        """Return octets [start, end), fetched if need be, on the worker."""
        if 0 <= end <= start:
            return b""
        octets = self._at_hand(key, start, end)
        if octets is None:
            self._get(key, size, ident)
            octets = self._at_hand(key, start, end)
        if octets is None:
            raise Stale(EIO)
        return octets

    def _at_hand(self, key: Key, start: int, end: int) -> bytes | None:
        large = self._large.get(key)
        if large is not None:
            return large.read(start, min(_end(end), len(large)))
        return self.owner.get(key, start, _end(end))

    def _get(self, key: Key, size: int, ident: int) -> None:
        self._fetch([Want(key, size, ident, 0, -1)])
        if key in self.refused:
            raise MailfsError(self.refused[key])

    def keep(self, key: Key, size: int, pieces: Iterator[bytes]) -> None:
        """Take a message; size is what it probably has."""
        size = max(size, self.owner.length(key) or 0)
        if size > self.owner.pack.longest:
            self._large[key] = large = collect(pieces)
            self.owner.put(key, 0, b"", len(large))
            if len(self._large) > LARGE:
                self._large.popitem(last=False)
            return
        at = 0
        for piece in pieces:
            self.owner.put(key, at, piece)
            at += len(piece)
        self.owner.put(key, at, b"", at)

    def forget(self, keys: Sequence[Key]) -> None:
        """Drop messages that have gone for good."""
        for key in keys:
            self._large.pop(key, None)
            self.refused.pop(key, None)
        self.owner.forget(keys)


def _end(end: int) -> int:
    return _UNKNOWN if end < 0 else end
