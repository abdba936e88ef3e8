"""Files whose readers wait for what is to come, open through the mount.

What has come is kept, so that it can be read again, as less(1) does.  At its end a
reader waits; but who has sought the end, as tail(1) does, follows the file: it wants to
be told that there is no more, and looks again later.
"""

import asyncio

from mailfs.errors import MailfsError
from mailfs.fuse.node import FuseNode
from mailfs.fuse.openfile import FuseFile
from mailfs.fuse.tree import Opened, Tree

# Octets that one read asks for.  A server holds as many for each that waits.
SHORT = 8 << 10
KEPT = 64 << 10  # octets that can be read again; a line of an event has some 60


class WaitingFile(FuseFile):
    """One reader of such a file."""

    __slots__ = ("_dropped", "_follower", "_kept", "_limit")

    def __init__(
        self, tree: Tree, node: FuseNode, opened: Opened, limit: int = KEPT
    ) -> None:
        super().__init__(tree, node, opened, direct=True)
        self._limit = limit
        self._kept = b""
        self._dropped = 0  # octets that came before those kept
        self._follower: asyncio.Task[None] | None = None

    @property
    def end(self) -> int:
        """How many octets have come."""
        return self._dropped + len(self._kept)

    async def _fetch(self, offset: int, size: int) -> bytes:
        """Return octets that have come, else wait for more unless they are followed."""
        while offset >= self.end and self._follower is None:
            data = await self._read(self.end, min(SHORT, self.unit))
            if not data:
                return b""
            self._keep(data)
        start = max(offset - self._dropped, 0)
        return self._kept[start : start + size]

    def _keep(self, data: bytes) -> None:
        kept = self._kept + data
        more = max(len(kept) - self._limit, 0)
        self._kept = kept[more:]
        self._dropped += more

    def follow(self) -> None:
        """Make nobody wait from now on: what comes is read meanwhile."""
        if self._follower is None:
            self._follower = self.tree.mux.loop.create_task(self._follow())

    async def _follow(self) -> None:
        try:
            while data := await self._read(self.end, min(SHORT, self.unit)):
                self._keep(data)
        except MailfsError:
            pass  # the next use of the file tells

    def close(self) -> None:
        """Let go of it."""
        if self._follower is not None:
            self._follower.cancel()
        super().close()
