"""Listing a directory again for those who ask after one name in it after the other.

find and ls -l read a long directory first and then look at each entry, when what the
listing told has grown stale.  A listing more costs less than so many walks.
"""

import asyncio

from mailfs.fuse.entry import Entry
from mailfs.fuse.node import FuseNode
from mailfs.fuse.tree import Tree
from mailfs.p9.fcall import OREAD, Rread, Tread

FEWEST = 16  # names walked to before a directory is listed
WORTH = 32  # entries of a listing that cost as much as a walk


class Relist:
    """Which directories are being listed again."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def missed(self, node: FuseNode) -> asyncio.Task[None] | None:
        """Note that a name in a directory is not known; return what to wait for.

        That is a listing under way, or one that is worth it now.
        """
        task = self._tasks.get(node.id)
        if task is not None:
            return task
        node.missed += 1
        if not node.size or node.missed < max(FEWEST, node.size // WORTH):
            return None
        task = self._tree.mux.loop.create_task(self._list(node))
        self._tasks[node.id] = task
        task.add_done_callback(lambda done: self._done(node, done))
        return task

    def _done(self, node: FuseNode, task: asyncio.Task[None]) -> None:
        del self._tasks[node.id]
        if not task.cancelled():
            task.exception()  # whoever waited walks, and is told

    async def _list(self, node: FuseNode) -> None:
        tree, mux = self._tree, self._tree.mux
        asked = tree.clock()
        opened = await tree.open(node, OREAD)
        entries: list[Entry] = []
        at = 0
        try:
            while True:
                ask = Tread(opened.fid, at, opened.unit)
                data = (await mux.rpc(ask, Rread)).data
                if not data:
                    break
                entries += tree.listed(data)
                at += len(data)
        finally:
            mux.clunk(opened.fid)
        tree.keep_listing(node, entries, asked)
