"""Messages kept for a client that reads them in pieces."""

from collections import OrderedDict

from mailfs.mailbox.octets import Memory
from mailfs.serve.description.structure import Tree

KEPT = 4  # messages
KEPT_OCTETS = 8 << 20  # of each that is in memory


class Texts:
    """The messages that a client has read last."""

    def __init__(self) -> None:
        self._trees: OrderedDict[int, Tree] = OrderedDict()

    def get(self, number: int) -> Tree | None:
        """Return a message's parts, if it is kept."""
        return self._trees.get(number)

    def keep(self, number: int, tree: Tree) -> None:
        """Keep a message, in memory only if it is not too long."""
        if isinstance(tree.octets, Memory) and len(tree.octets) > KEPT_OCTETS:
            return
        self._trees[number] = tree
        if len(self._trees) > KEPT:
            self._trees.popitem(last=False)
