"""The file ``error`` of a mount: what the server has refused of late, in its own words.

Linux tells a program one of its hundred errnos, and most of what a server says is lost
so.  The file is the mount's own, in the root, and not listed; a server's file of that
name stands before it.  A line is ``PATH: TEXT``, the newest last.
"""

import os
import time
from collections import deque

from mailfs.errors import MailfsError
from mailfs.fuse.entry import Entry
from mailfs.fuse.node import FuseNode, Nodes
from mailfs.fuse.openfile import FuseFile
from mailfs.fuse.tree import Tree
from mailfs.printable import shown

NAME = b"error"
MOST = 100  # lines
LONGEST = 1000  # characters of a line
_PATH = (1 << 62) - 1  # stands for its identity, which no server gave


class Failures:
    """What was refused."""

    def __init__(self, nodes: Nodes, most: int = MOST) -> None:
        """Keep that many lines."""
        self._nodes = nodes
        self._lines: deque[str] = deque(maxlen=most)
        self._node: FuseNode | None = None

    def note(self, node: int, name: bytes, error: MailfsError) -> str:
        """Keep what was refused of a node, or of a name in it; return the line."""
        try:
            names = self._nodes.find(node).names()
        except OSError:
            names = ()
        path = "/".join((*names, *filter(None, (name.decode("utf-8", "replace"),))))
        line = shown(f"{path or '/'}: {error}")[:LONGEST]
        self._lines.append(line)
        return line

    def octets(self) -> bytes:
        """Make the contents of the file."""
        return "".join(f"{line}\n" for line in self._lines).encode("utf-8", "replace")

    def entry(self) -> Entry:
        """Make its directory entry."""
        now, length = int(time.time()), len(self.octets())
        owner = os.getuid(), os.getgid()
        return Entry(0, 0, _PATH, 0o400, now, now, length, NAME, *owner)

    def enter(self) -> FuseNode:
        """Make it a node, or the one that it was."""
        self._node = self._nodes.enter(self._nodes.root, self.entry())
        return self._node

    def holds(self, node: FuseNode) -> bool:
        """Whether a node is the file."""
        return node is self._node


class TextFile(FuseFile):
    """The file, open: what was in it then."""

    __slots__ = ("_text",)

    def __init__(self, tree: Tree, node: FuseNode, text: bytes) -> None:
        super().__init__(tree, node, direct=True)
        self._text = text

    def read(self, offset: int, size: int) -> bytes:
        """Return octets of it."""
        return self._text[offset : offset + size]
