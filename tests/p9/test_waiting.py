"""Requests that wait, and what can happen to them meanwhile; flush(5)."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any

import pytest

from mailfs.errors import EIO, ENOENT, ENOTDIR, Refused
from mailfs.p9.auth import AuthHandle
from mailfs.p9.errstr import EAUTH, EBADFID, EBADUSE, EFIDUSE, EINTERRUPTED, EOPEN
from mailfs.p9.fcall import (
    NOFID,
    NOTOUCH,
    ORCLOSE,
    ORDWR,
    OREAD,
    QTAUTH,
    Fcall,
    Rattach,
    Rauth,
    Rclunk,
    Rerror,
    Rflush,
    Ropen,
    Rread,
    Rremove,
    Rstat,
    Rversion,
    Rwalk,
    Rwrite,
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
)
from mailfs.p9.file import File, Later
from mailfs.p9.pending import ETOOMANY
from mailfs.p9.session import Hangup, Limits
from tests.p9.tree import Peer, Tree, peer

Body = Callable[[Tree, Peer], Coroutine[Any, Any, None]]


def in_loop(body: Body) -> Callable[[], None]:
    """Run the test in a loop with a tree and a client attached as fid 0."""

    @wraps(body)
    def test() -> None:
        async def main() -> None:
            tree = Tree()
            client = peer(tree.attach)
            client.begin()
            try:
                await body(tree, client)
            finally:
                client.session.close()
                await asyncio.wait_for(client.session.settle(), 10)
            assert not client.session.pending.tags

        asyncio.run(main())

    del test.__wrapped__  # its arguments are no fixtures
    return test


def kinds(heard: list[tuple[int, Fcall]]) -> list[tuple[int, str]]:
    """Return tags and, for an Rerror, its text, else the type's name."""
    return [
        (tag, msg.ename if isinstance(msg, Rerror) else type(msg).__name__)
        for tag, msg in heard
    ]


def opened(client: Peer, name: str, mode: int = ORDWR, fid: int = 1) -> None:
    assert isinstance(client.ask(Twalk(0, fid, (name,))), Rwalk)
    assert isinstance(client.ask(Topen(fid, mode)), Ropen)


@in_loop
async def test_answers_come_when_they_are_there(tree: Tree, client: Peer) -> None:
    opened(client, "waits")
    client.tell(Tread(1, 0, 9), 5)
    client.tell(Twrite(1, 0, b"abc"), 6)
    assert await client.hear() == []
    assert isinstance(client.ask(Tstat(0), 7), Rstat)
    tree.waits.go.set()
    assert await client.hear() == [(5, Rread(b"late")), (6, Rwrite(3))]


@in_loop
async def test_late_directory(tree: Tree, client: Peer) -> None:
    reply = await client.wait(Twalk(0, 1, ("late", "child")))
    assert isinstance(reply, Rwalk)
    assert len(reply.wqid) == 2
    assert isinstance(client.ask(Tstat(1)), Rstat)
    # A short walk, and one that fails at its first step.
    reply = await client.wait(Twalk(0, 2, ("late", "child", "x")))
    assert isinstance(reply, Rwalk)
    assert len(reply.wqid) == 2
    assert await client.wait(Twalk(0, 2, ("late",))) == Rwalk((tree.late.qid,))
    assert await client.wait(Twalk(2, 3, ("nix",))) == Rerror(ENOENT)
    assert client.ask(Twalk(1, 3, ("x",))) == Rerror(ENOTDIR)
    assert client.ask(Tclunk(3)) == Rerror(EBADFID)
    # In place.
    assert isinstance(await client.wait(Twalk(2, 2, ("child",))), Rwalk)
    assert isinstance(client.ask(Tstat(2)), Rstat)
    opened(client, "late", OREAD, 4)
    reply = await client.wait(Tread(4, 0, 8192))
    assert isinstance(reply, Rread)
    assert reply.data == tree.late.children["child"].stat().pack()
    assert client.ask(Tread(4, len(reply.data), 99)) == Rread(b"")


@in_loop
async def test_late_create_and_attach(tree: Tree, client: Peer) -> None:
    client.ask(Twalk(0, 1, ("late",)))
    client.tell(Tcreate(1, "f", 0o644, ORDWR), 5)
    assert client.ask(Topen(1, OREAD)) == Rerror(EOPEN)
    assert client.ask(Twalk(1, 1, ("child",))) == Rerror(EOPEN)
    assert kinds(await client.hear()) == [(5, "Rcreate")]
    assert client.ask(Twrite(1, 0, b"x")) == Rwrite(1)
    client.tell(Tattach(9, NOFID, "glenda", "late"), 5)
    assert client.ask(Tattach(9, NOFID, "glenda", "")) == Rerror(EFIDUSE)
    assert kinds(await client.hear()) == [(5, "Rattach")]
    assert isinstance(client.ask(Tstat(9)), Rstat)


@in_loop
async def test_a_fid_that_is_being_made_is_in_use(tree: Tree, client: Peer) -> None:
    client.tell(Twalk(0, 1, ("late", "child")), 5)
    assert client.ask(Twalk(0, 1, ())) == Rerror(EFIDUSE)
    assert client.ask(Tattach(1, NOFID, "", "")) == Rerror(EFIDUSE)
    assert client.ask(Tclunk(1)) == Rerror(EBADFID)
    assert kinds(await client.hear()) == [(5, "Rwalk")]


@in_loop
async def test_flush_of_a_read(tree: Tree, client: Peer) -> None:
    opened(client, "waits")
    client.tell(Tread(1, 0, 9), 5)
    await client.hear()
    client.tell(Tflush(5), 6)
    assert client.heard() == []  # not before the read has really ended
    assert await client.hear() == [(6, Rflush())]
    assert (tree.waits.begun, tree.waits.cancelled) == (1, 1)
    # The tags are free and the fid is as it was.
    tree.waits.go.set()
    assert await client.wait(Tread(1, 0, 2), 5) == Rread(b"la")
    assert await client.wait(Tread(1, 0, 2), 6) == Rread(b"la")


@in_loop
async def test_flush_in_the_same_batch(tree: Tree, client: Peer) -> None:
    opened(client, "waits")
    client.tell(Tread(1, 0, 9), 5)
    client.tell(Tflush(5), 6)
    client.tell(Twalk(0, 2, ("late", "child")), 7)
    client.tell(Tflush(7), 8)
    client.tell(Twalk(0, 3, ("waits-open",)), 9)
    client.tell(Topen(3, OREAD), 10)
    client.tell(Tflush(10), 11)
    assert kinds(await client.hear()) == [
        (9, "Rwalk"),
        (6, "Rflush"),
        (8, "Rflush"),
        (11, "Rflush"),
    ]
    assert client.ask(Tclunk(2)) == Rerror(EBADFID)
    client.tell(Topen(3, OREAD), 10)  # it is not open, nor being opened
    tree.waits_open.go.set()
    assert kinds(await client.hear()) == [(10, "Ropen")]


@in_loop
async def test_answer_then_rflush(tree: Tree, client: Peer) -> None:
    opened(client, "stubborn")
    client.tell(Tread(1, 0, 9), 5)
    await client.hear()
    client.tell(Tflush(5), 6)
    assert await client.hear() == [(5, Rread(b"done")), (6, Rflush())]


@in_loop
async def test_flush_of_what_has_come_already(tree: Tree, client: Peer) -> None:
    opened(client, "waits")
    client.tell(Tread(1, 0, 9), 5)
    await client.hear()
    tree.waits.go.set()
    await asyncio.sleep(0)  # the read has ended; its reply is due in the next turn
    client.tell(Tflush(5), 6)
    assert await client.hear() == [(5, Rread(b"late")), (6, Rflush())]


@in_loop
async def test_flush_of_nothing(tree: Tree, client: Peer) -> None:
    assert client.ask(Tflush(99), 5) == Rflush()
    assert client.ask(Tflush(5), 5) == Rflush()


@in_loop
async def test_flushes_of_one_request_are_answered_in_order(
    tree: Tree, client: Peer
) -> None:
    opened(client, "waits")
    client.tell(Tread(1, 0, 9), 5)
    await client.hear()
    client.tell(Tflush(5), 6)
    client.tell(Tflush(5), 7)
    client.tell(Tflush(6), 8)  # the flush of a flush
    assert kinds(await client.hear()) == [(t, "Rflush") for t in (6, 7, 8)]


@in_loop
async def test_a_remove_is_not_cancelled(tree: Tree, client: Peer) -> None:
    opened(client, "waits")
    client.tell(Tremove(1), 5)
    await client.hear()
    client.tell(Tflush(5), 6)
    assert await client.hear() == []
    assert client.ask(Tstat(1)) == Rerror(EBADFID)
    assert tree.waits.closed == 0
    tree.waits.go.set()
    assert await client.hear() == [(5, Rremove()), (6, Rflush())]
    assert (tree.waits.removed, tree.waits.closed) == (1, 1)


@in_loop
async def test_a_remove_is_finished_by_a_version(tree: Tree, client: Peer) -> None:
    opened(client, "waits", OREAD | ORCLOSE)
    client.tell(Tremove(1), 5)
    await client.hear()
    client.ask(Tversion(8216, "9P2000"))
    tree.waits.go.set()
    assert await client.hear() == []
    assert tree.waits.cancelled == 0
    assert (tree.waits.removed, tree.waits.closed) == (1, 1)  # and once only


@in_loop
async def test_remove_on_close_is_waited_for(tree: Tree, client: Peer) -> None:
    opened(client, "waits", OREAD | ORCLOSE)
    client.tell(Tclunk(1), 5)
    client.tell(Tflush(5), 6)
    assert await client.hear() == []
    tree.waits.go.set()
    assert await client.hear() == [(5, Rclunk()), (6, Rflush())]
    assert (tree.waits.removed, tree.waits.closed) == (1, 1)


@in_loop
async def test_clunk_under_a_read(tree: Tree, client: Peer) -> None:
    opened(client, "waits", OREAD | ORCLOSE)
    client.tell(Tread(1, 0, 9), 5)
    await client.hear()
    assert client.ask(Tclunk(1)) == Rclunk()
    assert client.ask(Tread(1, 0, 9)) == Rerror(EBADFID)
    assert tree.waits.closed == 0
    tree.waits.go.set()
    assert await client.hear() == [(5, Rread(b"late"))]
    assert (tree.waits.removed, tree.waits.closed) == (1, 1)


@in_loop
async def test_clunk_under_an_open(tree: Tree, client: Peer) -> None:
    client.ask(Twalk(0, 1, ("waits-open",)))
    client.tell(Topen(1, OREAD), 5)
    await client.hear()
    assert client.ask(Tclunk(1)) == Rclunk()
    tree.waits_open.go.set()
    assert await client.hear() == [(5, Rerror(EBADFID))]
    assert tree.waits_open.closed == 1


@in_loop
async def test_clunk_or_open_under_a_walk_in_place(tree: Tree, client: Peer) -> None:
    client.ask(Twalk(0, 1, ("late",)))
    client.tell(Twalk(1, 1, ("child",)), 5)
    assert client.ask(Tclunk(1)) == Rclunk()
    assert await client.hear() == [(5, Rerror(EBADUSE))]
    client.ask(Twalk(0, 1, ("late",)))
    client.tell(Twalk(1, 1, ("child",)), 5)
    assert isinstance(client.ask(Topen(1, OREAD)), Ropen)
    assert await client.hear() == [(5, Rerror(EBADUSE))]


@in_loop
async def test_version_aborts_everything(tree: Tree, client: Peer) -> None:
    opened(client, "waits")
    opened(client, "stubborn", OREAD, 2)
    client.ask(Twalk(0, 3, ("waits-open",)))
    client.tell(Tread(1, 0, 9), 5)
    client.tell(Tread(2, 0, 9), 6)
    client.tell(Twalk(0, 4, ("late", "child")), 7)
    client.tell(Topen(3, OREAD), 8)
    await asyncio.sleep(0)
    client.tell(Tflush(5), 9)
    assert client.ask(Tversion(4096, "9P2000"), 5) == Rversion(4096, "9P2000")
    assert await client.hear() == []
    assert not client.session.fids.table
    assert (tree.waits.closed, tree.stubborn.closed) == (1, 1)
    assert client.ask(Tstat(4), 7) == Rerror(EBADFID)


@in_loop
async def test_version_while_an_open_succeeds(tree: Tree, client: Peer) -> None:
    client.ask(Twalk(0, 1, ("waits-open",)))
    client.tell(Topen(1, OREAD), 5)
    await client.hear()
    tree.waits_open.go.set()
    await asyncio.sleep(0)  # it is open; the reply is due in the next turn
    client.ask(Tversion(8216, "9P2000"))
    assert await client.hear() == []
    assert tree.waits_open.closed == 1


@in_loop
async def test_a_tag_in_use_ends_the_connection(tree: Tree, client: Peer) -> None:
    opened(client, "waits")
    client.tell(Tread(1, 0, 9), 5)
    with pytest.raises(Hangup, match="tag 5 is in use"):
        client.tell(Tstat(1), 5)
    client.tell(Tflush(5), 6)
    with pytest.raises(Hangup, match="tag 6 is in use"):
        client.tell(Tstat(1), 6)


def limited(limits: Limits) -> tuple[Tree, Peer]:
    tree = Tree()
    client = peer(tree.attach, limits=limits)
    client.begin()
    opened(client, "waits")
    return tree, client


def test_bounds_on_what_waits() -> None:
    async def main() -> None:
        tree, client = limited(Limits(requests=3))
        for tag in (5, 6, 7):
            client.tell(Tread(1, 0, 9), tag)
        assert client.ask(Tread(1, 0, 9), 8) == Rerror(ETOOMANY)
        assert client.ask(Twalk(0, 9, ("late", "child")), 8) == Rerror(ETOOMANY)
        assert client.ask(Tclunk(9), 8) == Rerror(EBADFID)
        assert isinstance(client.ask(Tstat(1), 8), Rstat)
        client.tell(Tflush(5), 8)  # can always be sent
        assert await client.hear() == [(8, Rflush())]
        client.tell(Tread(1, 0, 9), 8)
        tree.waits.go.set()
        assert len(await client.hear()) == 3
        await client.session.settle()

        tree, client = limited(Limits(held=1000))
        client.tell(Tread(1, 0, 600), 5)
        assert client.ask(Twrite(1, 0, b"x" * 401), 6) == Rerror(ETOOMANY)
        client.tell(Tread(1, 0, 400), 6)
        tree.waits.go.set()
        assert len(await client.hear()) == 2
        assert await client.wait(Tread(1, 0, 1000)) == Rread(b"late")
        await client.session.settle()

    asyncio.run(main())


@in_loop
async def test_what_fails_late(tree: Tree, client: Peer) -> None:
    class Late(File):
        qid = tree.ram.root.qid

        def walk(self, name: str) -> Later[File]:
            future: asyncio.Future[File] = asyncio.get_running_loop().create_future()
            match name:
                case "cancelled":
                    future.cancel()
                case "refused":
                    future.set_exception(Refused("not today"))
                case "bug":
                    future.set_exception(RuntimeError("a bug"))
            return future

    client.session.fids.table[0].file = Late()
    for name, text in (
        ("cancelled", EINTERRUPTED),
        ("refused", "not today"),
        ("bug", EIO),
    ):
        assert await client.wait(Twalk(0, 1, (name,))) == Rerror(text)
        assert client.ask(Tclunk(1)) == Rerror(EBADFID)


@in_loop
async def test_a_long_refusal_that_comes_late(tree: Tree, client: Peer) -> None:
    async def late() -> File:
        raise Refused("x" * 999)

    class Refuses(File):
        qid = tree.ram.root.qid

        def walk(self, name: str) -> Later[File]:
            return late()

    client.begin(msize=256)
    client.session.fids.table[0].file = Refuses()
    assert await client.wait(Twalk(0, 1, ("x",))) == Rerror("x" * (256 - 9))


@in_loop
async def test_late_stat_and_wstat(tree: Tree, client: Peer) -> None:
    async def late() -> Any:
        await asyncio.sleep(0)
        return tree.waits.stat()

    class Slow(File):
        qid = tree.waits.qid

        def stat(self) -> Awaitable[Any]:
            return late()

        def wstat(self, stat: object) -> Awaitable[Any]:
            return late()

    client.session.fids.table[0].file = Slow()
    assert await client.wait(Tstat(0)) == Rstat(tree.waits.stat())
    assert kinds([(1, await client.wait(Twstat(0, NOTOUCH)))]) == [(1, "Rwstat")]


class Password(AuthHandle):
    """An authentication protocol: write the password."""

    def __init__(self, uname: str) -> None:
        self.uname = uname
        self.proved = ""

    @property
    def user(self) -> str:
        return self.proved

    def read(self, offset: int, count: int) -> bytes:
        return b"password?"[offset:][:count]

    def write(self, offset: int, data: bytes) -> int:
        if data != b"secret":
            raise Refused(EAUTH)
        self.proved = self.uname
        return len(data)


@pytest.mark.parametrize("late", [False, True])
def test_authentication(*, late: bool) -> None:
    async def begin(uname: str) -> AuthHandle:
        await asyncio.sleep(0)
        return Password(uname)

    def auth(uname: str, aname: str) -> Later[AuthHandle]:
        if uname == "nobody":
            raise Refused("no such user")
        return begin(uname) if late else Password(uname)

    async def main() -> None:
        client = peer(Tree().attach, auth=auth)
        client.ask(Tversion(8216, "9P2000"))
        assert client.ask(Tattach(0, NOFID, "glenda", "")) == Rerror(EAUTH)
        assert client.ask(Tauth(1, "nobody", "")) == Rerror("no such user")
        reply = await client.wait(Tauth(1, "glenda", ""))
        assert isinstance(reply, Rauth)
        assert reply.aqid.type == QTAUTH
        assert client.ask(Tauth(1, "glenda", "")) == Rerror(EFIDUSE)
        assert client.ask(Tread(1, 0, 99)) == Rread(b"password?")
        assert client.ask(Tattach(0, 1, "glenda", "")) == Rerror(EAUTH)
        assert client.ask(Twrite(1, 0, b"guess")) == Rerror(EAUTH)
        assert client.ask(Twrite(1, 0, b"secret")) == Rwrite(6)
        assert client.ask(Tattach(0, 1, "root", "")) == Rerror(EAUTH)
        assert client.ask(Tattach(0, 1, "", "")) == Rerror(EAUTH)
        assert client.ask(Tattach(0, 1, "glenda", "other")) == Rerror(EAUTH)
        assert client.ask(Tattach(0, 9, "glenda", "")) == Rerror(EBADFID)
        assert isinstance(client.ask(Tattach(0, 1, "glenda", "")), Rattach)
        assert isinstance(client.ask(Tattach(2, 1, "glenda", "")), Rattach)
        # An afid is no file of the tree.
        assert client.ask(Tattach(3, 0, "glenda", "")) == Rerror(EBADUSE)
        assert client.ask(Twalk(1, 9, ())) == Rerror(EBADUSE)
        assert client.ask(Topen(1, OREAD)) == Rerror(EOPEN)
        assert client.ask(Twstat(1, NOTOUCH)) == Rerror(EBADUSE)
        assert isinstance(client.ask(Tstat(1)), Rstat)
        assert client.ask(Tremove(1)) == Rerror(EBADUSE)
        assert client.ask(Tclunk(1)) == Rerror(EBADFID)
        client.session.close()
        await client.session.settle()

    asyncio.run(main())


def test_an_afid_of_no_conversation_proves_nobody() -> None:
    assert AuthHandle().user == ""
    client = peer(Tree().attach, auth=lambda uname, aname: AuthHandle())
    client.ask(Tversion(8216, "9P2000"))
    client.ask(Tauth(1, "", ""))
    assert client.ask(Tattach(0, 1, "", "")) == Rerror(EAUTH)
