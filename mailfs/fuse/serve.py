"""Mount the tree of a 9P server on a directory, until one of the two goes away.

A mount does not outlive its line.  A new one would have other fids, maybe another
tree, and nobody could tell a shell or an editor inside that what they have open is
gone, nor whether the last command had been taken.  So it ends: whoever is in it gets
I/O errors, the directory is unmounted, and whoever started it may start it again.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mailfs.errors import ENOTDIR, MailfsError, Refused
from mailfs.fuse.device import Device
from mailfs.fuse.entry import owner
from mailfs.fuse.mountpoint import Mountpoint
from mailfs.fuse.node import Nodes
from mailfs.fuse.session import FuseSession
from mailfs.fuse.tree import Tree
from mailfs.p9.client import Prove
from mailfs.p9.mux import Mux


@dataclass(frozen=True, slots=True)
class Attach:
    """Which tree of a server, and as whom; prove shows it to servers that ask.

    Of several names the first is taken that the server knows.
    """

    uname: str
    anames: tuple[str, ...]
    prove: Prove | None = None
    unlisted: frozenset[bytes] = frozenset()  # empty files that are not in listings
    readonly: bool = False  # the kernel lets nobody change anything


async def mount(
    mux: Mux, attach: Attach, directory: Path, ready: Callable[[], None]
) -> None:
    """Mount, call ready, and return when the directory is unmounted or on a signal.

    The signals are SIGINT, SIGTERM and SIGHUP.  Raises MailfsError if the server
    refuses or hangs up, or the directory cannot be mounted on.
    """
    loop = asyncio.get_running_loop()
    stop = loop.create_future()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _done, stop)
    try:
        tree, nodes = await _root(mux, attach)
        options = _options(mux.name, readonly=attach.readonly)
        mountpoint = await asyncio.to_thread(Mountpoint, directory, options)
        try:
            mounted = True
            session = FuseSession(Device(mountpoint.fd), tree, nodes)
            try:
                session.begin()
                ready()
                await asyncio.wait(
                    (stop, session.ended, mux.lost),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                mounted = not session.ended.done()
                lost = mux.lost.result() if mux.lost.done() else None
            finally:
                await session.close()
        finally:
            await asyncio.to_thread(mountpoint.close, mounted=mounted)
        if lost is not None:
            raise lost
    finally:
        mux.close()


def _done(stop: "asyncio.Future[None]") -> None:
    if not stop.done():
        stop.set_result(None)


async def _root(mux: Mux, attach: Attach) -> tuple[Tree, Nodes]:
    """Attach, and find out what the root is."""
    fid = await _attach(mux, attach)
    owners = owner((os.getuid(), os.getgid()), attach.uname)
    tree = Tree(mux, fid, owners, attach.unlisted)
    found = await tree.fstat(fid, b"/")
    if not found.is_dir:
        raise MailfsError(f"{mux.name}: {ENOTDIR}")
    return tree, Nodes(found, tree.clock)


async def _attach(mux: Mux, attach: Attach) -> int:
    refused: Refused | None = None
    for aname in attach.anames:
        try:
            return (await mux.attach(attach.uname, aname, attach.prove))[0]
        except Refused as e:
            refused = refused or e
    raise MailfsError(f"{mux.name}: {refused}")


def _options(source: str, *, readonly: bool) -> tuple[str, ...]:
    """Return what fusermount3 is told; mount(8) then shows the source and the type."""
    source = source.replace("\\", "\\\\").replace(",", "\\,")
    return f"fsname={source}", "subtype=9p", "ro" if readonly else "rw"
