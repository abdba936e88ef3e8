"""Nodes: the files that the kernel remembers, by the numbers we gave it for them."""

import errno
from collections import deque
from collections.abc import Callable, Iterator

from mailfs.fuse.abi import ENTRY_OUT, ROOT
from mailfs.fuse.entry import Entry

FRESH = 1.0  # seconds that a name and what is known of it are believed


class NodeListing:
    """What was read from a directory of late, entries by name."""

    __slots__ = ("_places", "ahead", "entries", "found", "last", "seen")

    def __init__(self, entries: list[Entry], seen: float) -> None:
        self.entries = entries
        self.seen = seen
        self.last = -1  # the place of the file opened last
        self.found = 0  # names that were asked for
        self.ahead = 0  # where reading ahead has come to
        self._places: dict[bytes, int] | None = None  # made when first wanted

    def place(self, name: bytes) -> int | None:
        """Return where the entry of that name is in entries."""
        if self._places is None:
            self._places = {e.name: i for i, e in enumerate(self.entries)}
        return self._places.get(name)

    def find(self, name: bytes) -> Entry | None:
        """Return the entry of that name."""
        place = self.place(name)
        if place is None:
            return None
        self.found += 1
        return self.entries[place]


class FuseNode:
    """A file below the mount point.  It is known by its directory and its name."""

    __slots__ = (
        "cached",
        "children",
        "entry",
        "fid",
        "given",
        "id",
        "listing",
        "listings",
        "lookups",
        "missed",
        "opens",
        "parent",
        "seen",
        "size",
    )

    def __init__(self, number: int, parent: "FuseNode | None", entry: Entry) -> None:
        self.id = number
        self.parent = parent  # None for the root
        self.entry = entry
        self.children: dict[bytes, FuseNode] = {}
        self.lookups = 0  # how often the kernel was given it and has not forgotten
        self.seen = 0.0  # when the server told us what entry says; the loop's time
        self.given = 0.0  # when the kernel was last told it
        self.cached: tuple[int, int] | None = None  # what the kernel keeps octets of
        self.opens = 0  # handles that are open
        self.fid: int | None = None  # walked to it and not used yet
        self.listing: NodeListing | None = None
        self.listings = 0  # that have been made and may be believed still
        self.size = 0  # entries in the last listing
        self.missed = 0  # names asked for since, that no listing knew

    def names(self) -> tuple[str, ...]:
        """Return what leads to it from the root.

        Raises OSError for a name that 9P cannot carry.
        """
        names = []
        node = self
        while node.parent is not None:
            names.append(text(node.entry.name))
            node = node.parent
        return tuple(reversed(names))

    def list(self, listing: NodeListing) -> None:
        """Keep what was read from a directory, until unlist is called for it."""
        self.listing = listing
        self.listings += 1
        self.size, self.missed = len(listing.entries), 0

    def unlist(self) -> None:
        """Let go of a listing that nobody believes any more."""
        self.listings -= 1
        if not self.listings and self.listing is not None:
            self.missed += self.listing.found  # it was worth it, and may be again
            self.listing = None

    @property
    def writable(self) -> bool:
        """Whether somebody may write it, by its mode."""
        return bool(self.entry.mode & 0o222)

    def update(self, entry: Entry) -> None:
        """Note what the server tells of it now; the name stays."""
        self.entry = entry


def text(name: bytes) -> str:
    """Return a name as 9P has it.  Raises OSError where it cannot: no such file."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise FileNotFoundError(errno.ENOENT, "name is not UTF-8") from None


class Nodes:
    """All nodes, and what the kernel was told of them of late."""

    def __init__(self, root: Entry, clock: Callable[[], float]) -> None:
        self.root = FuseNode(ROOT, None, root)
        self.root.seen = clock()
        self._clock = clock
        self._nodes = {ROOT: self.root}
        self._next = ROOT + 1
        self._recent: deque[FuseNode] = deque()  # by the time the kernel was told them
        self._changed = 0.0  # what was seen until then may have changed

    def __len__(self) -> int:
        return len(self._nodes)

    def find(self, number: int) -> FuseNode:
        """Return a node by its number."""
        node = self._nodes.get(number)
        if node is None:
            raise OSError(errno.ESTALE, "forgotten")
        return node

    def known(self, parent: FuseNode, name: bytes) -> FuseNode | None:
        """Return the node of a name that need not be asked for again, if it is one.

        It stays known only if give follows.
        """
        node = parent.children.get(name)
        if node is not None and self.fresh(node.seen):
            return node
        listing = parent.listing
        if listing is None or not self.fresh(listing.seen):
            return None
        entry = listing.find(name)
        return entry and self.enter(parent, entry, listing.seen)

    def enter(
        self, parent: FuseNode, entry: Entry, seen: float | None = None
    ) -> FuseNode:
        """Return the node of an entry just read: the one there was, if it is that.

        It stays known only if give follows.
        """
        node = parent.children.get(entry.name)
        if node is None or (node.entry.path, node.entry.kind) != (
            entry.path,
            entry.kind,
        ):
            node = FuseNode(self._next, parent, entry)
            self._next += 1
        else:
            node.update(entry)
        node.seen = self._clock() if seen is None else seen
        return node

    def saw(self, node: FuseNode) -> None:
        """Note that the server has just told what is known of a node."""
        node.seen = self._clock()

    def rename(self, parent: FuseNode, old: bytes, new: bytes) -> None:
        """Note that a file has another name in its directory now."""
        node = parent.children.pop(old, None)
        if node is not None:
            node.entry = node.entry._replace(name=new)
            parent.children[new] = node

    def fresh(self, seen: float) -> bool:
        """Whether what was seen then need not be asked for again."""
        return seen > max(self._changed, self._clock() - FRESH)

    def renew(self, root: Entry) -> None:
        """Believe nothing of what another server told, nor the octets kept of it."""
        self._changed = self._clock()
        self.root.entry = root
        for node in self._nodes.values():
            node.cached = None
            node.listing = None

    def left(self, node: FuseNode) -> int:
        """Return how long a node may be believed still, in nanoseconds."""
        return max(0, int((node.seen + FRESH - self._clock()) * 1e9))

    def give(self, node: FuseNode) -> None:
        """Note that the kernel is told the node once more."""
        now = self._clock()
        if not node.lookups:
            assert node.parent is not None
            self._nodes[node.id] = node
            node.parent.children[node.entry.name] = node
        node.lookups += 1
        node.given = now
        recent = self._recent
        recent.append(node)
        while recent[0].given <= now - FRESH:
            recent.popleft()

    def forget(self, number: int, lookups: int) -> None:
        """Take back lookups; after the last the node is unknown."""
        node = self._nodes.get(number)
        if node is None or number == ROOT:
            return
        node.lookups -= lookups
        if node.lookups > 0:
            return
        node.lookups = 0
        del self._nodes[number]
        parent = node.parent
        if parent is not None and parent.children.get(node.entry.name) is node:
            del parent.children[node.entry.name]

    def change(self) -> Iterator[tuple[int, bytes]]:
        """Believe nothing seen until now; give the names that the kernel believes.

        Each is a directory's node number and the name in it.
        """
        now = self._clock()
        self._changed = now
        recent, self._recent = self._recent, deque()
        for node in recent:
            if node.given > now - FRESH and node.parent is not None:
                node.given = 0.0  # once is enough
                yield node.parent.id, node.entry.name


def entry_out(node: FuseNode, left: int) -> bytes:
    """Return what LOOKUP wants to know, to be believed for so many nanoseconds."""
    seconds, rest = divmod(left, 10**9)
    return ENTRY_OUT.pack(node.id, 0, seconds, seconds, rest, rest) + node.entry.attr()
