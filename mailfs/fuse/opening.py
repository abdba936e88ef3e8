"""Opening files whose octets the kernel may keep.

A file with a version is what we know of it, while that is fresh.  So an empty one, and
one that the kernel keeps, need not be asked for; nor one that has been read ahead.
"""

import asyncio
from collections.abc import Awaitable, Callable

from mailfs.fuse.abi import Fopen
from mailfs.fuse.ahead import Ahead
from mailfs.fuse.handles import Handles
from mailfs.fuse.node import FuseNode, Nodes
from mailfs.fuse.openfile import AHEAD, FuseFile
from mailfs.fuse.tree import Tree
from mailfs.p9.fcall import OREAD

Store = Callable[[int, bytes], bool]
"""Have the kernel keep the whole of a node's octets; whether it does."""


class Opening:
    """Opens files to be read."""

    def __init__(
        self, tree: Tree, nodes: Nodes, handles: Handles, store: Store
    ) -> None:
        self._tree = tree
        self._nodes = nodes
        self._handles = handles
        self._store = store
        self._ahead = Ahead(tree)

    def open(self, node: FuseNode) -> bytes | Awaitable[bytes]:
        """Return the answer to the open of a file that has a version."""
        entry = node.entry
        if not self._nodes.fresh(node) or not entry.mode & 0o444:
            return self._open(node, None)
        if not entry.length or node.cached == entry.version:
            node.cached = entry.version
            return self._handles.add(FuseFile(self._tree, node), Fopen.KEEP_CACHE)
        coming = self._ahead.opening(node)
        if coming is None:
            data = self._ahead.take(node)
            if data is not None:
                return self._open_whole(node, data)
        return self._open(node, coming)

    async def _open(self, node: FuseNode, coming: "asyncio.Task[None] | None") -> bytes:
        if coming is not None:
            await asyncio.wait([coming])
            data = self._ahead.take(node)
            if data is not None:
                return self._open_whole(node, data)
        tree, entry = self._tree, node.entry
        kept = node.cached == entry.version
        ahead = 0 if kept else min(AHEAD, entry.length, tree.mux.unit)
        opened = await tree.open(node, OREAD, ahead)
        if (opened.qid.path, opened.qid.vers) != entry.version:
            # The kernel believes another length.
            return self._handles.add_direct(FuseFile(tree, node, opened, direct=True))
        kept = kept or self._stored(node, opened.data)
        return self._add(FuseFile(tree, node, opened), kept=kept)

    def _open_whole(self, node: FuseNode, data: bytes) -> bytes:
        """Open a file that has been read already."""
        kept = self._stored(node, data)
        return self._add(FuseFile(self._tree, node, data=data), kept=kept)

    def _stored(self, node: FuseNode, data: bytes | None) -> bool:
        """Hand over the whole of a file at once, so that nobody need ask for it.

        While others have it open the kernel may be waiting for us to read it.
        """
        if data is None or len(data) != node.entry.length or node.opens:
            return False
        return self._store(node.id, data)

    def _add(self, file: FuseFile, *, kept: bool) -> bytes:
        file.node.cached = file.node.entry.version
        return self._handles.add(file, Fopen.KEEP_CACHE if kept else 0)
