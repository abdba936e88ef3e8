"""The same mailboxes served in both dialects."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mailfs.fs.keyed.root import KeyedRoot
from mailfs.fs.node import Attach
from mailfs.mailboxes.scopedset import ScopedMailboxes
from mailfs.p9.client import Client
from mailfs.p9.srv import Server
from mailfs.where import DialString

from ..serving import USER, Tree


class BothTrees(Tree):
    """Mailboxes, with a second server beside the first: the service ``mail``."""

    def __init__(self, scratch: Path, *, readonly: bool = False) -> None:
        super().__init__(scratch, readonly=readonly)
        self.mail = DialString("unix", str(scratch / "mail"))
        attachment = Attach(ScopedMailboxes(self.boxes))
        self._keyed = Server(lambda uname, aname: KeyedRoot(attachment))
        self.do(self._keyed.listen(self.mail))

    def keyed(self, msize: int = 8192) -> Client:
        """Return a client of the keyed tree, with lib9pclient's size of messages."""
        return Client(self.mail, uname=USER, msize=msize)

    def close(self) -> None:
        """End everything."""
        self.do(self._keyed.close())
        super().close()


@contextmanager
def both(
    scratch: Path, *, readonly: bool = False, **boxes: Path
) -> Iterator[BothTrees]:
    """Serve boxes, by name, until the end of the block."""
    tree = BothTrees(scratch, readonly=readonly)
    try:
        for name, path in boxes.items():
            tree.open(path, name)
        yield tree
    finally:
        tree.close()
