"""A message on a server: what is known of it, and what has to be fetched.

A short message is fetched whole when any of its body is asked for.  Of a long one only
the octets that are read are fetched; where its parts lie follows from the server's
word on their sizes.
"""

from mailfs.mailbox import derive
from mailfs.mailbox.derive import Shape
from mailfs.mailbox.driver import RemoteDriver
from mailfs.mailbox.drivers.imap.skeleton import Skeleton, skeleton
from mailfs.mailbox.index import Index
from mailfs.mailbox.message import AT_ONCE, KEEP, STREAM, Message, Need, Outline
from mailfs.mailbox.octets import Memory, Octets, Stored
from mailfs.mailbox.sparse import layout
from mailfs.msg import envelope, header
from mailfs.msg.envelope import Envelope
from mailfs.msg.header import Header
from mailfs.msg.part import Part

SHORT = 64 << 10  # octets; a longer message is fetched in pieces, as it is read

# What the headers that were fetched beforehand are enough for.
HEADERS = frozenset({Need.HEAD, Need.INFO, Need.OUTLINE, Need.ENTRIES})


class RemoteMessage(Message):
    """One message of a store behind a network."""

    __slots__ = ("_driver", "_key", "_skeleton", "_slice", "_values")

    def __init__(
        self,
        number: int,
        octets: Stored,
        shape: Shape,
        index: Index,
        when: tuple[int, int],
        driver: RemoteDriver,
    ) -> None:
        """Describe it; driver is the one that listed it."""
        super().__init__(number, octets, shape, index, when)
        self._driver = driver
        self._key = octets.key
        self._slice: tuple[bytes, bytes] | None = None
        self._skeleton: Skeleton | None = None
        self._values: Envelope | None = None

    def ready(self, need: Need) -> bool:
        """Whether need can be had without asking the server."""
        if need is Need.NOTHING:
            return True
        told = self._told() if need in HEADERS else None
        if told is not None and (need is Need.HEAD or self._skeleton is not None):
            return sum(map(len, told)) <= AT_ONCE
        parsed = need is Need.OCTETS or self._parts is not None
        return self.size <= (STREAM if parsed else AT_ONCE) and self.whole

    def _told(self) -> tuple[bytes, bytes] | None:
        """Give what the server told beforehand, None if nothing: header, structure."""
        if self._slice is None:
            self._slice = self._index.slice(self.number)
            if self._slice is not None:
                self._skeleton = skeleton(self._slice[1])
        return self._slice

    def _drawn(self) -> Skeleton | None:
        """Give the structure that the server told beforehand, None if it did not."""
        self._told()
        return self._skeleton

    @property
    def short(self) -> bool:
        """Whether it is better fetched whole than in pieces."""
        return self.size <= SHORT

    @property
    def here(self) -> bool:
        """Whether every octet can be read without asking the server."""
        return self.whole

    @property
    def whole(self) -> bool:
        """Whether every octet is at hand."""
        if isinstance(self._octets, Memory):
            return True
        return self.store.has(self._key, self.ident, 0, -1)

    @property
    def octets(self) -> Octets:
        """The message as the server has it, kept in memory once read if it is short."""
        octets = self._octets
        if isinstance(octets, Memory):
            return octets
        short = self.short or self.whole
        length = (self.store.length if short else self.store.measure)(
            self._key, self.size, self.ident
        )
        if short and length <= KEEP:
            data = self.store.read(self._key, length, self.ident, 0, -1)
            self._octets = octets = Memory(data)
        elif length != len(octets):
            octets = Stored(self.store, self._key, length, self.ident)
            self._octets = octets
        return octets

    @property
    def fields(self) -> Header | None:
        """The fields that the server told beforehand."""
        told = self._told()
        return None if told is None else header.scan(told[0])

    @property
    def values(self) -> Envelope:
        """What the header says."""
        if self._values is None:
            fields = self.fields
            if fields is None:
                self._values = self.head.envelope
            else:
                self._values = envelope.envelope(fields)
        return self._values

    @property
    def digest(self) -> str:
        """What tells it from others of its mailbox: a SHA-1 in hex."""
        return self._driver.digest(self._key).hex()

    @property
    def lines(self) -> int:
        """The number of newlines in the body, as far as the server counts lines."""
        drawn = self._drawn()
        if drawn is not None:
            return drawn.lines
        octets = self.octets
        pieces = octets.pieces(self.head.body, len(octets))
        return sum(piece.count(b"\n") for piece in pieces)

    @property
    def outline(self) -> Outline:
        """How many parts there are, and in each how many."""
        drawn = self._drawn() if self._parts is None else None
        return super().outline if drawn is None else drawn.outline

    @property
    def parts(self) -> Part:
        """The tree of its MIME parts; the root is the message itself."""
        if self._parts is None:
            octets = self.octets
            tree: Part | None = None
            drawn = None if isinstance(octets, Memory) else self._drawn()
            if drawn is not None:
                tree = layout(octets, drawn.sizes)
            self._parts = tree or derive.parts(octets)
        return self._parts

    @property
    def end(self) -> int:
        """Where the message ends."""
        return len(self.octets)
