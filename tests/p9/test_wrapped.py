"""Many requests in flight over TLS."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from mailfs.errors import MailfsError, Refused
from mailfs.p9.fcall import (
    ORDWR,
    OREAD,
    Rcreate,
    Ropen,
    Rread,
    Rwalk,
    Rwrite,
    Tcreate,
    Topen,
    Tread,
    Twalk,
    Twrite,
)
from mailfs.p9.mux import Mux, connect
from mailfs.tls.ninep import dialler
from mailfs.where import DialString
from tests.p9.serving import WAIT
from tests.p9.test_tls import USER, Loop, Serve, World, loop, pki, serve, world

__all__ = ["Loop", "loop", "pki", "serve", "world"]  # fixtures, and what they are

T = TypeVar("T")


def do(
    world: World, address: DialString, who: str, work: Callable[[Mux], Awaitable[T]]
) -> T:
    """Do work with a line to a server that knows us by a certificate."""

    async def main() -> T:
        dial = dialler(world.folder / "client", world.keypair(who))
        async with asyncio.timeout(WAIT):
            mux = await connect(address, dial)
            try:
                return await work(mux)
            finally:
                mux.close()

    return asyncio.run(main())


def test_all_octets_arrive(world: World, serve: Serve) -> None:
    """More than a record of TLS holds, and than the socket takes at once."""
    world.list(USER, "good")
    data = bytes(range(256)) * 4000

    async def work(mux: Mux) -> None:
        root, _ = await mux.attach(USER, "")
        fid = mux.fid()
        await mux.rpc(Twalk(root, fid, ()), Rwalk)
        await mux.rpc(Tcreate(fid, "file", 0o644, ORDWR), Rcreate)
        writes = [mux.rpc(Twrite(fid, i * len(data), data), Rwrite) for i in range(8)]
        taken = await asyncio.gather(*writes)
        assert {reply.count for reply in taken} == {len(data)}
        reads = [mux.rpc(Tread(fid, i * 1000, 1000), Rread) for i in range(8000)]
        got = b"".join([reply.data for reply in await asyncio.gather(*reads)])
        assert got == (data * 8)[: len(got)]
        assert len(got) == 8_000_000

    do(world, serve(), "good", work)


def test_who_is_not_known_is_refused(world: World, serve: Serve) -> None:
    world.list(USER, "rsa")

    async def work(mux: Mux) -> None:
        await mux.attach(USER, "")

    with pytest.raises(MailfsError):
        do(world, serve(), "good", work)


def test_a_server_that_is_not_trusted(world: World, serve: Serve) -> None:
    world.list(USER, "good")
    (world.folder / "client/sys/lib/tls/9fs").write_text("")

    async def work(mux: Mux) -> None:
        pytest.fail("connected")

    with pytest.raises(MailfsError):
        do(world, serve(), "good", work)


def test_the_end_of_the_line(world: World, serve: Serve, tmp_path: Path) -> None:
    world.list(USER, "good")

    async def work(mux: Mux) -> None:
        root, _ = await mux.attach(USER, "")
        fid = mux.fid()
        with pytest.raises(Refused, match="does not exist"):
            await mux.rpc(Twalk(root, fid, ("none",)), Rwalk)
        await mux.rpc(Twalk(root, fid, ()), Rwalk)
        await mux.rpc(Topen(fid, OREAD), Ropen)
        transport = mux._transport
        assert not transport.is_closing()
        transport.write(b"\xff" * 100)  # what no server takes
        assert str(await mux.lost).endswith(": protocol botch")
        assert transport.is_closing()
        transport.abort()

    do(world, serve(), "good", work)
