"""News from the server of what changes in its tree, so that the rest is believed.

Our own servers tell in the file ``changes`` of the root; mailfs(4):

    new|delete|modify MBOX/N -

Without that file, or while it cannot be read, what is known is believed for a second.
"""

import asyncio
import logging
from collections.abc import Callable

from mailfs.attr import tokenize
from mailfs.errors import MailfsError, Refused
from mailfs.fuse.node import Name, Nodes
from mailfs.fuse.tree import Tree
from mailfs.p9.fcall import OREAD, Rread, Tread

log = logging.getLogger(__name__)

FILE = "changes"
AGAIN = 5.0  # seconds until a file that could not be read is tried again
SHORT = 32 << 10  # octets that one read asks for; a server holds them while it waits
WORDS = 3  # in a line

Doubt = Callable[[list[Name]], None]
"""Have the kernel ask for names again."""


class News:
    """One reader of a tree's changes."""

    def __init__(self, tree: Tree, nodes: Nodes, doubt: Doubt) -> None:
        self._tree = tree
        self._nodes = nodes
        self._doubt = doubt

    async def run(self) -> None:
        """Hear what changes until the line is lost, or the server has no such file."""
        while True:
            try:
                opened = await self._tree.open_name(FILE, OREAD)
            except Refused as e:
                log.info("%s: %s", FILE, e)
                return
            except MailfsError:
                return
            self._nodes.hear()
            try:
                await self._read(opened.fid, min(SHORT, opened.unit))
            except Refused as e:
                log.info("%s: %s", FILE, e)
            except MailfsError:
                return  # all is doubted with the line
            finally:
                self._tree.mux.clunk(opened.fid)
                self._doubt(self._nodes.deafen())
            await asyncio.sleep(AGAIN)

    async def _read(self, fid: int, unit: int) -> None:
        mux, offset, rest = self._tree.mux, 0, b""
        while data := (await mux.rpc(Tread(fid, offset, unit), Rread)).data:
            offset += len(data)
            *lines, rest = (rest + data).split(b"\n")
            names: list[Name] = []
            for line in lines:
                names += self._line(line)
            self._doubt(names)

    def _line(self, line: bytes) -> list[Name]:
        """Take a line; return the names that the kernel has to ask for again."""
        words = tokenize(line.decode("utf-8", "replace"))
        box, slash, number = (
            words[1].rpartition("/") if len(words) == WORDS else ("",) * 3
        )
        if not slash:
            return self._nodes.change()  # some were lost, or it is another language
        return self._nodes.stir(box.encode(), number.encode())
