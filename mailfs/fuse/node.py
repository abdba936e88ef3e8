"""Nodes: the files that the kernel remembers, by the numbers we gave it for them."""

import errno
from collections.abc import Callable, Iterable, Iterator
from math import inf

from mailfs.fuse.abi import ENTRY_OUT, ROOT
from mailfs.fuse.entry import Entry

FRESH = 1.0  # seconds that a name and what is known of it are believed
LASTING = 86400.0  # seconds, where the server tells of changes
NEVER = inf

Name = tuple[int, bytes]
"""A directory's node number, and a name in it."""


class NodeListing:
    """What was read from a directory of late, entries by name."""

    __slots__ = ("_places", "ahead", "asked", "entries", "found", "last", "seen")

    def __init__(self, entries: list[Entry], asked: float, seen: float) -> None:
        """Keep entries that were asked for at one time and had whole at another."""
        self.entries = entries
        self.asked = asked
        self.seen = seen
        self.last = -1  # the place of the file opened last
        self.found = 0  # names that were asked for
        self.ahead = 0  # where reading ahead has come to
        self._places: dict[bytes, int] | None = None  # made when first wanted

    def place(self, name: bytes) -> int | None:
        """Find the index of a name in entries."""
        if self._places is None:
            self._places = {e.name: i for i, e in enumerate(self.entries)}
        return self._places.get(name)

    def find(self, name: bytes) -> Entry | None:
        """Find the entry of that name."""
        place = self.place(name)
        if place is None:
            return None
        self.found += 1
        return self.entries[place]


NONE: "dict[bytes, FuseNode]" = {}  # the children of what has none, never changed


class FuseNode:
    """A file below the mount point.  It is known by its directory and its name."""

    __slots__ = (
        "box",
        "cached",
        "children",
        "entry",
        "fid",
        "id",
        "lasting",
        "listing",
        "listings",
        "lookups",
        "missed",
        "opens",
        "parent",
        "size",
        "stirred",
        "until",
    )

    def __init__(self, number: int, parent: "FuseNode | None", entry: Entry) -> None:
        self.id = number
        self.parent = parent  # None for the root
        self.entry = entry
        self.box: FuseNode | None = None  # whose news tell when this changes
        self.children = NONE
        self.lookups = 0  # how often the kernel was given it and has not forgotten
        self.until = 0.0  # when entry is not believed any more; the loop's time
        self.lasting = False  # it is believed for long
        self.stirred = 0.0  # when news last named something in it
        self.cached: tuple[int, int] | None = None  # what the kernel keeps octets of
        self.opens = 0  # handles that are open
        self.fid: int | None = None  # walked to it and not used yet
        self.listing: NodeListing | None = None
        self.listings = 0  # that have been made and may be believed still
        self.size = 0  # entries in the last listing
        self.missed = 0  # names asked for since, that no listing knew

    def names(self) -> tuple[str, ...]:
        """List the names that lead to the node from the root.

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
    """Decode a name.  Raises FileNotFoundError where it is not UTF-8, as in 9P."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise FileNotFoundError(errno.ENOENT, "name is not UTF-8") from None


class Nodes:
    """All nodes, and what the kernel was told of them of late.

    What is told is believed for FRESH seconds.  Messages are believed as long as the
    server's news (fuse/news) do not name them.  A message is a directory with a version
    and a number for a name, in a directory of the root.
    """

    def __init__(self, root: Entry, clock: Callable[[], float]) -> None:
        self.root = FuseNode(ROOT, None, root)
        self._clock = clock
        self.root.until = clock() + FRESH
        self._nodes = {ROOT: self.root}
        self._next = ROOT + 1
        # What the kernel was told, by how long it believes it.
        self._brief: dict[int, FuseNode] = {}
        self._lasting: dict[int, FuseNode] = {}
        self._changed = 0.0  # what was asked until then may have changed
        self._news = NEVER  # since when the server tells what changes

    def __len__(self) -> int:
        return len(self._nodes)

    def find(self, number: int) -> FuseNode:
        """Find a node by its number."""
        node = self._nodes.get(number)
        if node is None:
            raise OSError(errno.ESTALE, "forgotten")
        return node

    def known(self, parent: FuseNode, name: bytes) -> FuseNode | None:
        """Find the node of a name that need not be asked for again, if it is one.

        It stays known only if give follows.
        """
        node = parent.children.get(name)
        if node is not None and self.fresh(node):
            return node
        listing = parent.listing
        if listing is None or not self._holds(parent, listing):
            return None
        entry = listing.find(name)
        return entry and self.enter(parent, entry, listing.asked, listing.seen)

    def _holds(self, parent: FuseNode, listing: NodeListing) -> bool:
        """Whether a directory's listing may be believed still."""
        if listing.asked < self._changed:
            return False
        if parent.parent is self.root and listing.asked >= self._quiet(parent):
            return True
        return listing.seen > self._clock() - FRESH

    def _quiet(self, box: FuseNode) -> float:
        """Since when the server would have told a change in a directory of the root."""
        return max(self._news, box.stirred)

    def enter(
        self,
        parent: FuseNode,
        entry: Entry,
        asked: float | None = None,
        seen: float | None = None,
    ) -> FuseNode:
        """Find or make the node of an entry that was asked for and seen at those times.

        Both are now if not given.  It stays known only if give follows.
        """
        node = parent.children.get(entry.name)
        if node is None or (node.entry.path, node.entry.kind) != (
            entry.path,
            entry.kind,
        ):
            node = FuseNode(self._next, parent, entry)
            node.box = self._box(parent, entry)
            self._next += 1
        else:
            node.update(entry)
        self.saw(node, asked, seen)
        return node

    def _box(self, parent: FuseNode, entry: Entry) -> FuseNode | None:
        """Find the directory whose news name what an entry belongs to."""
        if parent.parent is not self.root:
            return parent.box
        return parent if entry.kind and entry.vers and entry.name.isdigit() else None

    def saw(
        self, node: FuseNode, asked: float | None = None, seen: float | None = None
    ) -> None:
        """Note when the server was asked what is known of a node, and had answered."""
        if seen is None:
            seen = self._clock()
        if asked is None:
            asked = seen
        if asked < self._changed:
            node.until = 0.0
            return
        box = node.box
        node.lasting = bool(
            box is not None and node.entry.vers and asked >= self._quiet(box)
        )
        node.until = seen + (LASTING if node.lasting else FRESH)

    def rename(self, parent: FuseNode, old: bytes, new: bytes) -> None:
        """Note that a file has another name in its directory now."""
        node = parent.children.pop(old, None)
        if node is not None:
            node.entry = node.entry._replace(name=new)
            parent.children[new] = node

    def fresh(self, node: FuseNode) -> bool:
        """Whether what is known of a node need not be asked for again."""
        return node.until > self._clock()

    def renew(self, root: Entry) -> None:
        """Invalidate every entry and all octets kept: another server answers."""
        self._changed = self._clock()
        self._news = NEVER
        self.root.entry = root
        for node in self._nodes.values():
            node.cached = None
            node.listing = None

    def left(self, node: FuseNode) -> int:
        """Tell how long a node may be believed still, in nanoseconds."""
        return max(0, int((node.until - self._clock()) * 1e9))

    def give(self, node: FuseNode) -> None:
        """Note that the kernel is told the node once more."""
        if not node.lookups:
            parent = node.parent
            assert parent is not None
            self._nodes[node.id] = node
            if parent.children is NONE:
                parent.children = {}
            parent.children[node.entry.name] = node
        node.lookups += 1
        if node.lasting:
            self._lasting[node.id] = node
        else:
            self._brief[node.id] = node

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
        self._brief.pop(number, None)
        self._lasting.pop(number, None)
        parent = node.parent
        if parent is not None and parent.children.get(node.entry.name) is node:
            del parent.children[node.entry.name]

    def change(self, node: FuseNode | None = None) -> list[Name]:
        """Doubt what a change at a node may have changed; of all, if none is given.

        Return the names that the kernel believes.  What is in a message changes no
        other message.  Nor does a file with a version, of a server that has news:
        those without are control files.
        """
        now = self._clock()
        self._changed = now
        doubted, self._brief = self._brief, {}
        names = [*self._expire(doubted.values(), now)]
        message = None if node is None else message_of(node)
        if message is not None:
            names += self._expire(_all(message), now)
        elif node is None or self._news == NEVER or not node.entry.vers:
            doubted, self._lasting = self._lasting, {}
            names += self._expire(doubted.values(), now)
        return names

    def _expire(self, nodes: Iterable[FuseNode], now: float) -> Iterator[Name]:
        for node in nodes:
            if node.until > now and node.parent is not None:
                yield node.parent.id, node.entry.name
            node.until = 0.0
            self._lasting.pop(node.id, None)

    def hear(self) -> None:
        """Note that from now on the server tells what changes."""
        self._news = self._clock()

    def deafen(self) -> list[Name]:
        """Note that it tells no longer; return the names that the kernel believes."""
        self._news = NEVER
        return self.change()

    def stir(self, box: bytes, message: bytes) -> list[Name]:
        """Note news of a message; return the names in it that the kernel believes."""
        directory = self.root.children.get(box)
        if directory is None:
            return []
        now = directory.stirred = self._clock()
        node = directory.children.get(message)
        return [] if node is None else [*self._expire(_all(node), now)]


def message_of(node: FuseNode) -> FuseNode | None:
    """Find the message that a node belongs to; None if to none."""
    if node.box is None:
        return None
    while node.parent is not node.box:
        assert node.parent is not None
        node = node.parent
    return node


def _all(node: FuseNode) -> list[FuseNode]:
    """List a node and all below it that the kernel was told."""
    found = [node]
    for one in found:
        found += one.children.values()
    return found


def entry_out(node: FuseNode, left: int) -> bytes:
    """Pack the answer to LOOKUP, valid for so many nanoseconds."""
    seconds, rest = divmod(left, 10**9)
    return ENTRY_OUT.pack(node.id, 0, seconds, seconds, rest, rest) + node.entry.attr()
