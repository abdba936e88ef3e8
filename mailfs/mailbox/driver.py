"""The contract between a mailbox and the kinds of store behind it.

A driver turns one store into a Listing: columns of what is in the store, oldest
first, and a Store that reads the octets those columns point at.  Both are values:
a change in the store makes a new Listing and leaves the old one alone, so whoever
holds an open message goes on reading what was there.

All methods block and are called from one thread at a time: the mailbox's worker, or
the process that builds the index.  Only Store.read may be called from any thread.
They raise OSError as the system gives it, and MailfsError with a line for people.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from mailfs.errors import ENOMOVE, ENORENAME, EROFS, Refused
from mailfs.mailbox.kinds import Flag, HeaderSlice, Key, Listing, Want
from mailfs.mailbox.octets import Octets
from mailfs.query.tree import Leaf

if TYPE_CHECKING:
    from mailfs.mailbox.net import Network


@dataclass(frozen=True, slots=True)
class Place:
    """What a driver may need to know of its surroundings."""

    root: Path  # Plan 9 paths lie below
    user: str
    readonly: bool = False
    net: "Network | None" = None  # None where no network is to be used
    # (uid, gid) of the user whose mailboxes they are, if that is not the server's own.
    owner: tuple[int, int] | None = None
    trash: bool = False  # deleting from local mailboxes puts messages into the trash


class WatchedDir(NamedTuple):
    """A directory whose entries tell of changes of a store."""

    path: str
    names: frozenset[str] | None = None  # that matter; None for all


class Driver(ABC):
    """One mailbox's store."""

    kind: ClassVar[str]
    envelope: ClassVar[bool] = False  # stored messages begin with a From_ line
    blank: ClassVar[bool] = False  # an empty line that is not theirs may end them
    exact: ClassVar[bool] = True  # equal idents mean equal octets
    crlf: ClassVar[bool] = False  # lines end as on the network; shown with LF
    # Beginnings, in lower case, of header lines that programs alter in the store.
    volatile: ClassVar[tuple[bytes, ...]] = ()

    def __init__(self, path: str, place: Place) -> None:
        self.path = path
        self.place = place

    def check_writable(self) -> None:
        """Raise Refused where nothing may be changed."""
        if self.place.readonly:
            raise Refused(EROFS)

    def found(self) -> "Driver":
        """Return the driver to open the mailbox with: this one.

        Raises OSError or MailfsError if there is none yet (see drivers.missing).
        """
        return self

    def watched(self, real: str) -> Sequence[WatchedDir]:
        """Name the directories that tell of changes; none where none does.

        real is the store's path without links.  Asks no disk; any thread.
        """
        return ()

    @abstractmethod
    def signature(self) -> str:
        """Return the store's present signature, cheaply (a stat or two).

        Raises FileNotFoundError and its like if the store is not there.
        """

    @abstractmethod
    def list(self, old: Listing | None = None) -> Listing:
        """List the store, under the locks that deliverers honour.

        With old, only what changed is examined where that is safe; rows that old has
        keep their values, and old itself is returned if nothing changed.  The store
        of old may be a stand-in and is not looked at.  An interrupted rewrite found
        on the way is repaired.
        """

    @abstractmethod
    def heavy(self, old: Listing | None) -> bool:
        """Whether list(old) would compute long enough to disturb other threads."""

    @abstractmethod
    def restore(self, listing: Listing) -> Listing | None:
        """Give a listing read back from the index its store, or None if outdated.

        The store attribute of the argument is not looked at.
        """

    @abstractmethod
    def delete(self, listing: Listing, rows: Sequence[int]) -> Listing:
        """Remove those rows' messages for good; the result lacks them, order kept.

        On disk before it returns; all or nothing where the store allows.  Mail that
        arrived since may follow in the result or be left to the next list.  Raises
        Stale, having done nothing, if the listing is out of date.
        """

    @abstractmethod
    def set_flags(
        self, listing: Listing, changes: Sequence[tuple[int, Flag]]
    ) -> Listing:
        """Give each (row, flags) its new flags, on disk before it returns.

        RECENT is the server's own and ignored.  Raises Stale like delete.
        """

    def append(
        self, message: bytes | Octets, date: int, sender: str, flags: Flag
    ) -> None:
        """Add a message, on disk (or acknowledged by the server) when it returns.

        message is RFC 5322 text with LF line ends and no From_ line; date is seconds
        since the epoch; sender is for the stores that keep a From_ line.  All or
        nothing: the store never shows half a message, however this ends.  Octets that
        are elsewhere are read in pieces; what reading them raises, this raises.
        """
        raise Refused("append not supported")

    def move(self, listing: Listing, rows: Sequence[int], target: str) -> Listing:
        """Move messages to another folder of the account; the result lacks them."""
        raise Refused(ENOMOVE)

    def copy(self, listing: Listing, rows: Sequence[int], target: str) -> None:
        """Copy messages to another folder of the account."""
        raise Refused(ENOMOVE)

    def sibling(self, path: str) -> str | None:
        """Name the folder at path as move and copy do, if it is in the account.

        A path without a slash at its start is a folder's own name.
        """
        return None

    def expunge(self, listing: Listing, rows: Sequence[int]) -> Listing:
        """Remove messages for good, even where delete keeps them in a trash."""
        return self.delete(listing, rows)

    def make(self) -> None:
        """Create an empty store; its parents too."""
        raise Refused("create not supported")

    def rename(self, new: str, *, keep: bool = False) -> None:
        """Move the store, and all that belongs to it, to the path new.

        With keep, an empty store is left in the old place.
        """
        raise Refused(ENORENAME)

    def remove(self, *, recurse: bool = False, truncate: bool = False) -> None:
        """Remove the store, or all messages in it; ctl's remove, upasfs(4).

        Files that are no part of a mailbox are spared, and then the directory too.
        """
        raise Refused("remove not supported")

    def state(self) -> Sequence[tuple[str, str]]:
        """Return the rows of ``status`` that the store has to add, names and values."""
        return ()

    def hurry(self) -> None:  # noqa: B027  # local stores look each time
        """Have the next listing ask the server, whenever it was asked last."""

    def rest(self) -> None:  # noqa: B027  # most hold nothing
        """Release descriptors until the driver is used again."""

    def close(self) -> None:  # noqa: B027  # most hold nothing
        """Release what the driver holds, for good."""


class RemoteDriver(Driver):
    """One mailbox's store behind a network.

    on_news is called, from any thread, when the driver learns of news while it does
    not listen; the mailbox that opens it sets it.
    """

    on_news: Callable[[], object] | None = None

    @abstractmethod
    def digest(self, key: Key) -> bytes:
        """Return 20 octets that tell a message without reading it: a SHA-1.

        Its input names server, user, folder, uidvalidity and uid.
        """

    @abstractmethod
    def fetch(self, wants: Sequence[Want]) -> None:
        """Bring octets into the cache, in as few round trips as can be.

        A message that has gone is passed over.  Raises OSError if the line broke.
        """

    @abstractmethod
    def heads(self, keys: Sequence[Key]) -> Iterator[HeaderSlice]:
        """Give the headers of messages, in the order that serves best.

        Messages that have gone are passed over.  Raises OSError if the line broke.
        """

    def search(
        self, leaves: Sequence[Leaf], keys: Collection[Key]
    ) -> list[set[Key]] | None:
        """Ask the server which messages answer each of some conditions.

        None if it cannot be asked such things.  Raises OSError if the line broke.
        """
        return None

    def lend(self) -> Callable[[], None] | None:
        """Count a connection for another process, until the result is called.

        None if there is no room for one, and the work had better be done here.
        """
        return lambda: None

    def interrupt(self) -> None:  # some never wait for long
        """End whatever the worker waits for, and connect no more; any thread."""

    @abstractmethod
    def listen(self, timeout: float, wake: int) -> bool:
        """Wait for news; True if the store may have changed.

        Ends after timeout seconds, or when the descriptor wake can be read.  Raises
        OSError if the line broke.
        """


class Member(NamedTuple):
    """One of several mailboxes that a specification names."""

    name: str  # its name in the tree; empty for the main one
    path: str
    make: Callable[[], Driver]  # gives a driver that nobody else has; may block


Claim = Callable[[str, Place], Driver | None]
"""Return a driver if the path is of its kind, None if another should be asked."""
