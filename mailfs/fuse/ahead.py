"""Reading ahead, from file to file: what goes through a directory is served in advance.

grep -r opens one file after another in the order of the listing.  Each costs a round
trip to the server, so once two have been opened in that order the next ones are read
together, whole, and wait here for their opening.
"""

import asyncio

from mailfs.errors import MailfsError
from mailfs.fuse.entry import Entry
from mailfs.fuse.node import FRESH, FuseNode, NodeListing
from mailfs.fuse.openfile import AHEAD
from mailfs.fuse.tree import Tree

WINDOW = 16  # files read together
STEP = 4  # entries of a listing that a reader may pass over: directories, empty files
MOST = 1 << 20  # octets read together

Key = tuple[int, bytes]  # a directory's node number, and a name in it


class Ahead:
    """What has been read, or is being read, before it is wanted."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._files: dict[Key, tuple[Entry, bytes, float]] = {}
        self._batches: dict[Key, asyncio.Task[None]] = {}

    def opening(self, node: FuseNode) -> asyncio.Task[None] | None:
        """Note the opening of a file; return the batch that reads it, if one does.

        After that, take may have it.
        """
        parent = node.parent
        if parent is None or parent.listing is None:
            return None
        listing, name = parent.listing, node.entry.name
        place = listing.place(name)
        if place is None:
            return None
        passed, listing.last = place - listing.last, place
        if 0 < passed <= STEP and listing.ahead - place < WINDOW // 2:
            self._begin(parent, listing, place + 1)
        return self._batches.get((parent.id, name))

    def take(self, node: FuseNode) -> bytes | None:
        """Take the octets of a file that was read ahead, if it has not changed."""
        if node.parent is None:
            return None
        found = self._files.pop((node.parent.id, node.entry.name), None)
        if found is None or found[0] != node.entry or self._old(found[2]):
            return None
        return found[1]

    def _old(self, seen: float) -> bool:
        return seen <= self._tree.clock() - FRESH

    def _begin(self, parent: FuseNode, listing: NodeListing, start: int) -> None:
        """Read files from a place in a listing on."""
        for key, (_, _, seen) in list(self._files.items()):
            if self._old(seen):
                del self._files[key]
        start = max(start, listing.ahead)
        room, chosen = MOST, []
        for entry in listing.entries[start : start + WINDOW]:
            start += 1
            if not self._wanted(parent, entry):
                continue
            room -= entry.length
            if room < 0:
                start -= 1
                break
            chosen.append(entry)
        listing.ahead = start
        if chosen:
            task = self._tree.mux.loop.create_task(self._read(parent, chosen))
            for entry in chosen:
                self._batches[parent.id, entry.name] = task

    def _wanted(self, parent: FuseNode, entry: Entry) -> bool:
        """Whether a file can be read ahead, and is not in the kernel already."""
        child = parent.children.get(entry.name)
        if entry.is_dir or not entry.vers or not 0 < entry.length <= AHEAD:
            return False
        return child is None or child.cached != entry.version

    async def _read(self, parent: FuseNode, chosen: list[Entry]) -> None:
        """Read files whole; what cannot be, or is another by now, is left out."""
        tree = self._tree
        try:
            begun = [tree.fetch(parent, entry) for entry in chosen]
            for entry, fetch in zip(chosen, begun, strict=True):
                version, data = await tree.fetched(fetch)
                if version == entry.version and len(data) == entry.length:
                    seen = tree.clock()
                    self._files[parent.id, entry.name] = entry, data, seen
        except (MailfsError, OSError):
            pass  # whoever opens them will be told
        finally:
            for entry in chosen:
                self._batches.pop((parent.id, entry.name), None)
