"""An independent client, pyroute2's, against our server.

It takes whatever one read of its socket gives for one message, and expects JSON in an
Rerror, so requests go one at a time and none is refused.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mailfs.p9.fcall import Qid, unpack_stats
from tests.p9.serving import WAIT, Served, serving

plan9 = pytest.importorskip("pyroute2.plan9")
client = pytest.importorskip("pyroute2.plan9.client")


async def ask(p9: Any, name: str, **fields: Any) -> Any:
    """Send the message of that name."""
    msg = getattr(plan9, f"msg_{name}")()
    for key, value in fields.items():
        msg[key] = value
    return await p9.request(msg)


async def talk(served: Served) -> None:
    p9 = client.Plan9ClientSocket(address=(served.tcp.host, served.tcp.port))
    await p9.start_session()
    try:
        await files(served, p9)
        await directories(p9)
    finally:
        p9.transport.abort()
        await asyncio.sleep(0.01)


async def files(served: Served, p9: Any) -> None:
    fid = await p9.fid("alpha")
    reply = await ask(p9, "topen", fid=fid, mode=2)
    assert Qid(**reply["qid"]) == served.tree.ram.root.children["alpha"].qid
    assert reply["iounit"] == 8192 - 24
    assert bytes((await p9.read(fid))["data"]) == b"alpha\n"
    assert (await p9.write(fid, b"A"))["count"] == 1
    for i in range(50):
        got = await p9.read(fid, offset=i % 6, count=1)
        assert bytes(got["data"]) == b"Alpha\n"[i % 6 :][:1]
    stat = (await ask(p9, "tstat", fid=fid))["stat"]
    assert (stat["name"], stat["length"], stat["uid"]) == ("alpha", 6, "glenda")
    assert (await ask(p9, "tclunk", fid=fid))["header"]["type"] == plan9.Rclunk


async def directories(p9: Any) -> None:
    assert len((await p9.walk("dir/..", 77))["wqid"]) == 2
    assert len((await p9.walk("dir/nix", 78))["wqid"]) == 1
    await ask(p9, "topen", fid=77, mode=0)
    data = bytes((await p9.read(77))["data"])
    assert [s.name for s in unpack_stats(data)][:3] == ["alpha", "empty", "dir"]
    assert bytes((await p9.read(77, offset=len(data)))["data"]) == b""


def test_pyroute2(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        asyncio.run(asyncio.wait_for(talk(served), WAIT))
