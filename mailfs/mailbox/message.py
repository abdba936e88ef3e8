"""A message of a mailbox, read as far as somebody asks.

Its methods block no longer than its store does; ready says beforehand whether what
is needed can be had without waiting, so the caller can choose the thread.
"""

from enum import IntEnum

from mailfs.mailbox import derive
from mailfs.mailbox.derive import Body, Head, Shape
from mailfs.mailbox.index import Index
from mailfs.mailbox.kinds import MessageReader
from mailfs.mailbox.octets import Memory, Octets, Stored
from mailfs.msg import envelope, part
from mailfs.msg.envelope import Envelope
from mailfs.msg.header import Header
from mailfs.msg.part import Part

AT_ONCE = 64 << 10  # octets; what is longer to read through is left to the worker
STREAM = 256 << 10  # octets; what is longer is given as it comes from afar
MANY = 500  # parts; a directory of more is left to the worker
KEEP = 128 << 10  # octets of a message kept while it is among the recent ones


class Need(IntEnum):
    """What a file of the tree takes to render."""

    NOTHING = 0
    HEAD = 1  # values of the header
    INFO = 2  # and the digest, and how many lines the body has
    OUTLINE = 3  # how many parts there are, in each how many
    ENTRIES = 4  # what a listing of the directory shows
    HEADER = 5  # octets of the header
    PARTS = 6  # offsets of the MIME parts
    OCTETS = 7  # any octets, as they stand
    WHOLE = 8  # every octet, to be read through


# How many parts a message or part has, in each how many.
Outline = tuple["Outline", ...]


def outline_of(part: Part) -> Outline:
    """Return the outline of a tree of parts."""
    return tuple(outline_of(one) for one in part.parts)


# What takes no more than the header of a message at hand, and what only its parts.
_OF_HEADER = frozenset({Need.HEAD, Need.HEADER, Need.OCTETS})
_OF_PARTS = frozenset({Need.PARTS, Need.OUTLINE})


def version(ident: int, flags: int) -> int:
    """Return a version that changes with a message's octets and flags, and only then.

    It is never 0: Linux does not cache what has version 0.
    """
    return ((ident ^ ident >> 32) & 0xFFFFFFFF ^ flags << 8) | 1


class Message:
    """One stored message, under one number, as one view showed it."""

    __slots__ = (
        "_body",
        "_head",
        "_index",
        "_octets",
        "_outline",
        "_parts",
        "bodies",
        "date",
        "ident",
        "lengths",
        "number",
        "seq",
        "shape",
        "size",
        "store",
    )

    def __init__(
        self,
        number: int,
        octets: Stored,
        shape: Shape,
        index: Index,
        when: tuple[int, int],
    ) -> None:
        """Describe it; when is seconds since the epoch and the place in that second."""
        self.number = number
        self.shape = shape
        self.store: MessageReader = octets.store
        self.size = octets.size
        self.ident = octets.ident
        self.date, self.seq = when
        self._octets: Octets = octets
        self._index = index
        self._head: Head | None = None
        self._body: Body | None = None
        self._parts: Part | None = None
        self._outline: Outline | None = None
        self.bodies: dict[int, Octets] = {}  # short decoded bodies, by part
        self.lengths: dict[int, int] = {}  # of decoded bodies, by part

    def ready(self, need: Need) -> bool:
        """Whether need can be had at once."""
        if need is Need.NOTHING:
            return True
        if self.size <= AT_ONCE:
            return need is not Need.ENTRIES or len(self.parts.parts) <= MANY
        if need is Need.WHOLE:
            return 0 in self.bodies
        if need not in _OF_PARTS and not self._near_header(need):
            return False
        if need in _OF_HEADER:
            return True
        if need is Need.ENTRIES and 0 not in self.lengths:
            return False
        if self._parts is not None:
            return need is not Need.ENTRIES or len(self._parts.parts) <= MANY
        row = self._index.body(self.number)
        return row is not None and len(row[2]) <= AT_ONCE

    def _near_header(self, need: Need) -> bool:
        """Whether the header's place is known, and it is short if its text is needed.

        A header can be as long as a message, and decoding it takes as long.
        """
        if self._head is None:
            row = self._index.head(self.number)
            if row is None:
                return derive.headed(self._octets.read(0, derive.HEAD_READ), self.shape)
            start, body = row[:2]
        else:
            start, body = self._head.start, self._head.body
        return need is Need.OCTETS or body - start <= AT_ONCE

    @property
    def here(self) -> bool:
        """Whether every octet can be read without asking a server."""
        return True

    @property
    def short(self) -> bool:
        """Whether it is better fetched whole than in pieces."""
        return True

    @property
    def values(self) -> Envelope:
        """What the header says."""
        return self.head.envelope

    @property
    def digest(self) -> str:
        """What tells it from others of its mailbox: a SHA-1 in hex."""
        return self.body.digest

    @property
    def lines(self) -> int:
        """The number of newlines in the body."""
        return self.body.lines

    @property
    def fields(self) -> Header | None:
        """The fields of the header that are known without its octets, if any are."""
        return None

    @property
    def stored(self) -> Octets:
        """The stored message, to be read in part."""
        return self._octets

    @property
    def octets(self) -> Octets:
        """The stored message, kept in memory once read if it is short."""
        octets = self._octets
        if self.size <= KEEP and isinstance(octets, Stored):
            octets = self._octets = Memory(octets.read(0, self.size))
        return octets

    @property
    def head(self) -> Head:
        """Where the header lies and what it says."""
        if self._head is None:
            row = self._index.head(self.number)
            if row is None:
                self._head = derive.head(self.octets, self.shape)
            else:
                self._head = Head(row[0], row[1], envelope.split(row[2]))
        return self._head

    @property
    def start(self) -> int:
        """Where the header begins; less work than head."""
        if self._head is not None:
            return self._head.start
        return derive.start_of(self.octets.read(0, derive.HEAD_READ), self.shape)

    @property
    def body(self) -> Body:
        """What takes reading all of it."""
        if self._body is None:
            row = self._index.body(self.number)
            if row is None:
                self._body = derive.body(self.octets, self.shape, self.head)
            else:
                self._body = Body(row[0].hex(), row[1], part.load(row[2]))
            self._parts = self._body.parts
        return self._body

    @property
    def parts(self) -> Part:
        """The tree of its MIME parts; the root is the message itself."""
        if self._parts is None:
            self._parts = self.body.parts
        return self._parts

    @property
    def end(self) -> int:
        """Where the message ends within its stored octets."""
        if self._parts is not None:
            return self._parts.end
        return derive.end_of(self.octets, self.shape)

    @property
    def fileid(self) -> str:
        """Seconds and place in that second, as mdir names a file; mdir(6)."""
        return f"{self.date}.{self.seq:02}"

    @property
    def outline(self) -> Outline:
        """How many parts there are, and in each how many."""
        if self._outline is None:
            self._outline = outline_of(self.parts)
        return self._outline
