"""Moving a message to another mailbox: rename(2) between two directories.

9P has no such request, our server's ctl has: ``move MBOX N MBOX``.  The message gets
the next number there, whatever name was asked for.
"""

import errno

from mailfs.attr import quote
from mailfs.errors import Refused
from mailfs.fuse.node import FuseNode, text
from mailfs.fuse.tree import Tree
from mailfs.p9.fcall import OWRITE, Rwrite, Twrite

CTL = "ctl"


async def move(
    tree: Tree, source: FuseNode, old: bytes, target: FuseNode, new: bytes
) -> None:
    """Move the file old of a directory to another as new.

    Raises OSError with EXDEV where they are no mailboxes of a server that has a ctl,
    so that mv(1) copies; with EINVAL for another name: the server gives the numbers.
    """
    if not (_mailbox(source) and _mailbox(target) and old.isdigit()):
        raise OSError(errno.EXDEV, "only within a directory")
    if new != old:
        raise OSError(errno.EINVAL, "messages are numbered by the server")
    try:
        _, fid = await tree.look(target, CTL.encode())
        tree.mux.clunk(fid)
        ctl = await tree.open_name(CTL, OWRITE)
    except Refused as e:
        raise OSError(errno.EXDEV, "no mailbox that can be written") from e
    try:
        names = [quote(text(n)) for n in (source.entry.name, old, target.entry.name)]
        command = " ".join(("move", *names)).encode()
        await tree.mux.rpc(Twrite(ctl.fid, 0, command), Rwrite)
    finally:
        tree.mux.clunk(ctl.fid)


def _mailbox(node: FuseNode) -> bool:
    """Whether a directory lies where mailboxes do: in the root."""
    return node.parent is not None and node.parent.parent is None
