"""A message described to clients, once: what is worked out is kept in the index."""

from collections.abc import Sequence

from mailfs.mailbox import uid
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.index import WireRow
from mailfs.mailbox.octets import Octets
from mailfs.mailbox.uid import Gone
from mailfs.mailbox.view import View
from mailfs.serve.description.envelope import envelope
from mailfs.serve.description.structure import Tree, structure


def describe(text: Octets) -> tuple[bytes, bytes, bytes]:
    """Write envelope, body and bodystructure of a message; uid.Describe."""
    tree = Tree.of(text)
    return (
        envelope(tree.header(tree.top)),
        structure(tree, extended=False),
        structure(tree, extended=True),
    )


def sizes_of(state: MailboxState, view: View, uids: Sequence[int]) -> dict[int, int]:
    """Give the sizes of messages in octets as clients see them; on the worker.

    Messages that have gone are left out.
    """
    known = state.index.sizes()
    fresh: list[tuple[int, WireRow]] = []
    found = {}
    for one in uids:
        size = known.get(one)
        if size is None:
            try:
                row, _ = uid.described(state, view, one, describe)
            except Gone:
                continue
            size = row.size
            fresh.append((one, row))
        found[one] = size
    uid.keep(state, fresh)
    return found
