"""Random requests: a session never raises, and answers every tag exactly once."""

import asyncio
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from mailfs.p9.fcall import (
    DMAPPEND,
    DMDIR,
    HEADER,
    NOFID,
    NOTOUCH,
    FormatError,
    Qid,
    Request,
    Rerror,
    Rversion,
    Tattach,
    Tauth,
    Tclunk,
    Tcreate,
    Tflush,
    Topen,
    Tread,
    Tremove,
    Tstat,
    Tversion,
    Twalk,
    Twrite,
    Twstat,
    unpack_stats,
)
from mailfs.p9.file import File
from mailfs.p9.ramfs import RamDir, RamNode
from mailfs.p9.session import Hangup
from tests.p9.tree import Peer, Tree, peer

NAMES = ["alpha", "dir", "late", "child", "..", ".", "waits", "waits-open", "stubborn"]
NAMES += ["bug", "badclose", "toomuch", "refuses", "f", "nix"]
fids = st.integers(0, 4)
names = st.sampled_from(NAMES)
perms = st.sampled_from([0o644, 0o777, DMDIR | 0o755, DMAPPEND | 0o644, 0])
modes = st.sampled_from([0, 0, 0, 1, 2, 3, 0x10, 0x11, 0x40, 0x41, 0x80])
offsets = st.sampled_from([0, 1, 5, 62, 1 << 20, 1 << 63, (1 << 64) - 1])
counts = st.sampled_from([0, 1, 62, 512, 8192, 0xFFFFFFFF])
tags = st.integers(0, 6)

REQUESTS = st.one_of(
    st.builds(Twalk, fids, fids, st.lists(names, max_size=3).map(tuple)),
    st.builds(Twalk, fids, fids, st.lists(names, max_size=3).map(tuple)),
    st.builds(Topen, fids, modes),
    st.builds(Tread, fids, offsets, counts),
    st.builds(Twrite, fids, offsets, st.binary(max_size=8)),
    st.builds(Tclunk, fids),
    st.builds(Tremove, fids),
    st.builds(Tstat, fids),
    st.builds(Twstat, fids, st.just(NOTOUCH) | st.builds(NOTOUCH._replace, name=names)),
    st.builds(Tcreate, fids, names, perms, modes),
    st.builds(
        Tattach, fids, st.just(NOFID) | fids, names, st.sampled_from(["", "late"])
    ),
    st.builds(Tauth, fids, names, names),
    st.builds(Tflush, tags),
    st.builds(
        Tversion, st.sampled_from([0, 256, 8216]), st.sampled_from(["9P2000", ""])
    ),
)
Step = str | tuple[Request, int]
STEPS = st.lists(
    st.tuples(REQUESTS, tags) | st.sampled_from(["turn", "go"]), min_size=1, max_size=40
)


@settings(max_examples=150)
@given(STEPS)
def test_every_tag_is_answered_once(steps: list[Step]) -> None:
    asyncio.run(play(steps))


async def play(steps: list[Step]) -> None:
    tree = Tree()
    client = peer(tree.attach)
    client.begin()
    waiting: Counter[int] = Counter()
    for step in steps:
        if step == "turn":
            await asyncio.sleep(0)
        elif isinstance(step, str):
            for node in (tree.waits, tree.waits_open, tree.stubborn):
                node.go.set()
        else:
            msg, tag = step
            busy = tag in client.session.pending.tags
            assert busy == bool(waiting[tag])
            try:
                client.tell(msg, tag)
            except Hangup:
                assert busy
                assert not isinstance(msg, Tversion)
                break
            waiting[tag] += 1
        listen(client, waiting)
    for node in (tree.waits, tree.waits_open, tree.stubborn):
        node.go.set()
    for _ in range(40):
        await asyncio.sleep(0)
    listen(client, waiting)
    assert not +waiting
    assert not client.session.pending.tags
    check_handles(tree, client)


def listen(client: Peer, waiting: Counter[int]) -> None:
    for tag, reply in client.heard():
        if isinstance(reply, Rversion) and reply.version == "9P2000":
            waiting.clear()  # those before it are aborted
            continue
        waiting[tag] -= 1
        assert waiting[tag] >= 0, (tag, reply)


def check_handles(tree: Tree, client: Peer) -> None:
    """Once the session is closed, every handle is, and nothing still runs."""
    client.session.close()
    todo: list[File] = [tree.ram.root]
    while todo:
        node = todo.pop()
        if isinstance(node, RamNode):
            assert node.opens == 0, node.name
        if isinstance(node, RamDir):
            todo += node.children.values()


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(99, 128), st.binary(max_size=40)), max_size=20))
def test_garbage_is_answered(frames: list[tuple[int, bytes]]) -> None:
    async def main() -> None:
        client = peer(Tree().attach)
        client.begin()
        for number, body in frames:
            raw = HEADER.pack(HEADER.size + len(body), number, 9) + body
            client.session.request(number, 9, raw, HEADER.size, len(raw))
            await asyncio.sleep(0)
            ((tag, reply),) = await client.hear()
            assert tag == 9
            assert number % 2 == 0 or isinstance(reply, Rerror)

    asyncio.run(main())


@given(st.binary(max_size=200))
def test_garbage_directories(data: bytes) -> None:
    try:
        stats = list(unpack_stats(data))
    except FormatError:
        return
    assert b"".join(s.pack() for s in stats) == data
    assert all(isinstance(s.qid, Qid) for s in stats)
