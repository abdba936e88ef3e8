"""A directory that a process has open through the mount."""

from collections.abc import Callable

from mailfs.fuse.abi import DIRENT, DIRENTPLUS, padding
from mailfs.fuse.entry import Entry
from mailfs.fuse.node import FuseNode
from mailfs.fuse.tree import Opened, Tree
from mailfs.p9.fcall import FormatError, Rread, Tread
from mailfs.p9.mux import Call

_DT_DIR, _DT_REG = 4, 8  # d_type of readdir(3)
_DOTS = (b".", b"..")
_UNTOLD = bytes(DIRENTPLUS.size - DIRENT.size)  # in place of what a lookup gives


class OpenDir:
    """One listing, which can be read again from any place in it.

    Places are counted in entries, ``.`` and ``..`` first; whatever part of an answer
    the reader's buffer holds, it goes on with the entry after it.
    """

    __slots__ = (
        "_ahead",
        "_done",
        "_entries",
        "_fid",
        "_octets",
        "_tree",
        "_unit",
        "_used",
        "asked",
        "node",
        "pid",
    )

    def __init__(
        self, tree: Tree, node: FuseNode, opened: Opened, pid: int, asked: float
    ) -> None:
        """Asked is when the beginning that came with the opening was asked for."""
        self.node = node
        self.asked = asked
        self.pid = pid  # of who opened it
        self._tree = tree
        self._fid = opened.fid
        self._unit = opened.unit
        self._used = False
        self._begin()
        if opened.data is not None:
            self._take(opened.data)

    def _begin(self) -> None:
        self._entries: list[Entry] = []
        self._octets = 0  # read from the server
        self._done = False
        self._ahead: Call | None = None

    async def fill(self, start: int) -> None:
        """Read until the entry at start is there, or there are no more.

        From 0 the directory is listed anew, as rewinddir(3) has it.  Raises
        MailfsError once the server has gone: half a listing is none.
        """
        if self._tree.mux.lost.done():
            raise self._tree.mux.lost.result()
        if start == 0 and self._used:
            self._begin()
            self.asked = self._tree.clock()
        self._used = True
        while start - len(_DOTS) >= len(self._entries) and not self._done:
            call, self._ahead = self._ahead or self._ask(), None
            self._take(self._tree.mux.reply(await call, Rread).data)

    def _ask(self) -> Call:
        return self._tree.mux.send(Tread(self._fid, self._octets, self._unit))

    def _take(self, data: bytes) -> None:
        """Note what was read, and have more on its way while that is looked at."""
        try:
            self._entries += self._tree.listed(data)
        except FormatError as e:
            raise self._tree.mux.nonsense(str(e)) from None
        self._octets += len(data)
        self._done = not data
        if self._done:
            self._tree.keep_listing(self.node, self._entries, self.asked)
        if data:
            self._ahead = self._ask()

    def dirents(self, start: int, size: int) -> bytes:
        """Return the entries from start on, as many as size octets hold."""
        parts, room = self._dots(start, size, b"")
        pack, head = DIRENT.pack, DIRENT.size
        place = max(start, len(_DOTS))
        for entry in self._some(place, size // head):
            name = entry.name
            place += 1
            room -= head + len(name) + -len(name) % 8
            if room < 0:
                break
            kind = _DT_DIR if entry.kind else _DT_REG
            parts.append(pack(entry.inode, place, len(name), kind) + name)
            parts.append(padding(len(name)))
        return b"".join(parts)

    def plus(self, start: int, size: int, look: Callable[[Entry], bytes]) -> bytes:
        """Return the entries with the answer to a lookup of each."""
        parts, room = self._dots(start, size, _UNTOLD)
        pack, head = DIRENT.pack, DIRENTPLUS.size
        place = max(start, len(_DOTS))
        for entry in self._some(place, size // head):
            name = entry.name
            place += 1
            room -= head + len(name) + -len(name) % 8
            if room < 0:
                break
            kind = _DT_DIR if entry.kind else _DT_REG
            parts += (
                look(entry),
                pack(entry.inode, place, len(name), kind),
                name,
                padding(len(name)),
            )
        return b"".join(parts)

    def _some(self, place: int, most: int) -> list[Entry]:
        first = place - len(_DOTS)
        return self._entries[first : first + most]

    def _dots(self, start: int, size: int, before: bytes) -> tuple[list[bytes], int]:
        """Pack the entries . and ..; return them and the octets of room left."""
        parts = []
        for place in range(start, len(_DOTS)):
            name = _DOTS[place]
            node = self.node.parent or self.node if place else self.node
            head = DIRENT.pack(node.entry.inode, place + 1, len(name), _DT_DIR)
            parts.append(before + head + name + padding(len(name)))
        return parts, size - sum(map(len, parts))

    def close(self) -> None:
        """Let go of it."""
        self._tree.mux.clunk(self._fid)
