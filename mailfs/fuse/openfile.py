"""A file that a process has open through the mount."""

import errno
from collections.abc import Coroutine
from typing import Any

from mailfs.fuse.node import FuseNode
from mailfs.fuse.tree import Opened, Tree
from mailfs.p9.fcall import ORDWR, OREAD, OWRITE, Rread, Rwrite, Tread, Twrite

AHEAD = 128 << 10  # octets of a file that are read with its opening


class FuseFile:
    """An open file."""

    __slots__ = (
        "_data",
        "_version",
        "direct",
        "fid",
        "node",
        "tree",
        "unit",
        "writable",
    )

    def __init__(
        self,
        tree: Tree,
        node: FuseNode,
        opened: Opened | None = None,
        mode: int = OREAD,
        *,
        data: bytes | None = None,
        direct: bool = False,
    ) -> None:
        """Make it of an open fid, or of none: then read asks for one if need be.

        data is the beginning of the file.
        """
        self.tree = tree
        self.node = node
        self.fid = opened and opened.fid
        self.unit = opened.unit if opened else tree.mux.unit
        self.writable = mode & 3 in (OWRITE, ORDWR)
        self.direct = direct  # the kernel keeps nothing of it and knows no length
        self._version = node.entry.version
        self._data = None if direct else opened.data if opened else data

    def read(self, offset: int, size: int) -> bytes | Coroutine[Any, Any, bytes]:
        """Return octets: all there are of size, or what one message brings if direct.

        A direct file may be one that answers each read with an event, or waits.
        """
        data = self._ready(offset, size)
        return self._fetch(offset, size) if data is None else data

    async def _fetch(self, offset: int, size: int) -> bytes:
        if self.fid is None:
            await self._open()
        if self.direct or size <= self.unit:
            return await self._read(offset, min(size, self.unit))
        parts = []
        while size > 0:
            part = await self._read(offset, min(size, self.unit))
            if not part:
                break
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return b"".join(parts)

    def _ready(self, offset: int, size: int) -> bytes | None:
        """Return octets that came with the opening, None if they are not enough."""
        data = self._data
        if data is None:
            return None
        end = min(offset + size, self.node.entry.length)
        if end > len(data):
            return None
        if end == self.node.entry.length:
            self._data = None  # the kernel keeps them from here on
        return data[offset:end]

    async def _open(self) -> None:
        """Open what was taken for open, since the kernel has let go of some of it.

        Raises OSError if it is not what it was.
        """
        opened = await self.tree.open(self.node, OREAD)
        if self.fid is not None or opened.qid[1:] != self._version[::-1]:
            self.tree.mux.clunk(opened.fid)
        else:
            self.fid, self.unit = opened.fid, opened.unit
        if self.fid is None:
            raise OSError(errno.ESTALE, "another version")

    async def _read(self, offset: int, count: int) -> bytes:
        mux = self.tree.mux
        assert self.fid is not None
        data = (await mux.rpc(Tread(self.fid, offset, count), Rread)).data
        if len(data) > count:
            raise mux.nonsense("more octets than were asked for")
        return data

    async def write(self, offset: int, data: bytes) -> int:
        """Write octets, as one message if they fit one; return how many were taken."""
        mux = self.tree.mux
        assert self.fid is not None
        done = 0
        while done < len(data) or not done:
            part = data[done : done + self.unit]
            ask = Twrite(self.fid, offset + done, part)
            taken = (await mux.rpc(ask, Rwrite)).count
            if taken > len(part):
                raise mux.nonsense("more octets taken than were given")
            done += taken
            if taken < len(part) or not part:
                break
        return done

    def close(self) -> None:
        """Let go of it."""
        if self.fid is not None:
            self.tree.mux.clunk(self.fid)
