"""What passes between a mailbox and its driver: flags, keys, listings, octets wanted.

All are values: a change in a store makes a new Listing and leaves the old one alone,
so whoever holds an open message goes on reading what was there.
"""

from abc import ABC, abstractmethod
from array import array
from dataclasses import dataclass
from enum import IntFlag
from typing import ClassVar, NamedTuple

from mailfs.errors import MailfsError


class Flag(IntFlag):
    """Flags of a message, with the bits of upas/fs's index; upasfs(4)."""

    ANSWERED = 1
    DELETED = 2
    DRAFT = 4
    FLAGGED = 8
    RECENT = 16
    SEEN = 32
    STORED = 64


class Stale(MailfsError):
    """The store has changed since the listing was made; list again, then retry."""


Key = int | str  # an octet offset in a file, a file name, a uid


class MessageReader(ABC):
    """Reads messages of one listing; safe in any thread, closed when unreferenced."""

    immediate: ClassVar[bool] = True  # read waits for the page cache only

    @abstractmethod
    def read(self, key: Key, size: int, ident: int, start: int, end: int) -> bytes:
        """Return octets [start, end) of the stored message; end may exceed size.

        The octets are the store's own, a From_ line included where there is one.
        Raises Stale if they can no longer be the message that was listed.  Unless
        immediate, what is not at hand is asked of the server, on the worker only.
        """

    def has(self, key: Key, ident: int, start: int, end: int) -> bool:
        """Whether octets [start, end) can be read without the network; any thread."""
        return self.immediate

    def length(self, key: Key, size: int, ident: int) -> int:
        """Tell the message's length in octets; size is the listing's.

        A server's word for it is taken until the whole message has been seen.
        """
        return size

    def measure(self, key: Key, size: int, ident: int) -> int:
        """Tell the message's true length in octets; may ask, on the worker only."""
        return self.length(key, size, ident)


class Want(NamedTuple):
    """Octets [start, end) of a message; an end of -1 is the message's own."""

    key: Key
    size: int
    ident: int
    start: int
    end: int


class HeaderSlice(NamedTuple):
    """The beginning of a message as a server tells it."""

    key: Key
    header: bytes  # lines as stored; maybe only the fields that the tree shows
    structure: bytes = b""  # BODYSTRUCTURE as it came, where there is one; RFC 3501


@dataclass(frozen=True, slots=True)
class Listing:
    """What a store held at one moment, one row a message, oldest first.

    keys    where the message is, as Store.read wants it
    sizes   octets in the store
    idents  equal for the same message seen again, differing otherwise: 64 bits
    weaks   a lesser identity that survives small changes by other programs (a Status
            line rewritten), used only to pair what idents left unpaired; 0 for none
    dates   when it arrived, seconds since the epoch, as the store knows it
    flags   Flag bits as the store has them; RECENT where it does not say "old"
    seqs    position among the messages of one second, if the store names it (mdir)
    """

    # Changes whenever the store does, up to the first slash whenever octets do.
    signature: str
    settled: bool  # False if a change in the same clock tick could go unnoticed
    keys: "array[int] | list[str]"
    sizes: "array[int]"  # 'Q'
    idents: "array[int]"  # 'Q'
    weaks: "array[int]"  # 'Q'
    dates: "array[int]"  # 'q'
    flags: bytearray
    store: MessageReader
    seqs: bytearray | None = None

    def __len__(self) -> int:
        return len(self.sizes)
