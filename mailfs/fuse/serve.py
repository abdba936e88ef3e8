"""Mount the tree of a 9P server on a directory, until it is unmounted."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from mailfs.fuse.device import Device
from mailfs.fuse.mountpoint import Mountpoint
from mailfs.fuse.node import Nodes
from mailfs.fuse.session import FuseSession
from mailfs.fuse.upstream import Upstream

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def mount(
    upstream: Upstream, directory: Path, ready: Callable[[], None], *, readonly: bool
) -> None:
    """Mount, call ready, and return when the directory is unmounted or on a signal.

    The signals are SIGINT, SIGTERM and SIGHUP.  Raises MailfsError if the server
    cannot be had at first, or the directory cannot be mounted on.
    """
    loop = asyncio.get_running_loop()
    stop = loop.create_future()
    for number in SIGNALS:
        loop.add_signal_handler(number, _done, stop)
    tree, root = await upstream.begin()
    try:
        nodes = Nodes(root, tree.clock)
        options = _options(tree.mux.name, readonly=readonly)
        mountpoint = await asyncio.to_thread(Mountpoint, directory, options)
        mounted = True
        try:
            session = FuseSession(Device(mountpoint.fd), tree, nodes)
            keeper = loop.create_task(upstream.keep(session))
            try:
                session.begin()
                ready()
                await asyncio.wait(
                    (stop, session.ended, keeper), return_when=asyncio.FIRST_COMPLETED
                )
                mounted = not session.ended.done()
            finally:
                keeper.cancel()
                await asyncio.wait((keeper,))
                await session.close()
        finally:
            await asyncio.to_thread(mountpoint.close, mounted=mounted)
        if not keeper.cancelled():
            keeper.result()  # it ends by an error of ours only
    finally:
        tree.mux.close()


def _done(stop: "asyncio.Future[None]") -> None:
    if not stop.done():
        stop.set_result(None)


def _options(source: str, *, readonly: bool) -> tuple[str, ...]:
    """Make fusermount3's options; mount(8) then shows the source and the type."""
    source = source.replace("\\", "\\\\").replace(",", "\\,")
    return f"fsname={source}", "subtype=9p", "ro" if readonly else "rw"
