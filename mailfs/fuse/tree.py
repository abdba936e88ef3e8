"""The tree of a 9P server: walking to nodes, asking about them, opening them.

What belongs together is sent together: a walk and the question what is there; a walk,
an open and the first read.  Where a server refuses the later ones because it was not
done with the first, they are sent again.
"""

import asyncio
import errno
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from mailfs.errors import EISDIR, ENOENT, Refused
from mailfs.fuse.entry import Entry, Owner, entries, entry
from mailfs.fuse.node import FRESH, FuseNode, NodeListing, text
from mailfs.p9.fcall import (
    HEADER,
    MAXWELEM,
    OREAD,
    QID,
    QTDIR,
    FormatError,
    Qid,
    Rcreate,
    Request,
    Ropen,
    Rread,
    Stat,
    Tcreate,
    Topen,
    Tread,
    Tremove,
    Tstat,
    Twalk,
    Twstat,
)
from mailfs.p9.mux import Call, Mux

# What a lookup has walked to is kept for the open that mostly follows.  Some servers
# keep what has been removed as long as there is a fid for it.
MAX_SPARE = 1024  # fids
SPARE_SECONDS = 1.0

RWALK = HEADER.size + 2  # octets before the qids of an Rwalk; walk(5)
RSTAT = HEADER.size + 2  # octets before the entry of an Rstat; stat(5)


class Opened(NamedTuple):
    """An open fid; data is the beginning of the file, if it was asked for."""

    fid: int
    qid: Qid
    unit: int  # octets that one read or write may carry
    data: bytes | None = None


class Fetch(NamedTuple):
    """A file that is being read at one stroke: the requests, and how many names."""

    fid: int
    walk: Call
    open: Call
    read: Call
    names: int


class Tree:
    """The tree below one attached fid."""

    def __init__(
        self,
        mux: Mux,
        root: int,
        owner: Owner,
        unlisted: frozenset[bytes] = frozenset(),
        queries: frozenset[bytes] = frozenset(),
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Make it of an attached fid.

        Empty files whose names are unlisted are not in listings, nor directories of
        queries that are listed beside one; clock is the loop's unless given.
        """
        self.clock = clock or mux.loop.time
        self.mux = mux
        self.root = root
        self.owner = owner
        self._unlisted = unlisted
        self._queries = queries
        self._spare: OrderedDict[int, tuple[FuseNode, float]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    async def look(self, parent: FuseNode, name: bytes) -> tuple[Entry, int]:
        """Walk to a name in parent: its node, and a fid for it.

        Raises Refused if there is no such file.
        """
        names = (*parent.names(), text(name))
        fid, (asked,) = await self._walk(names, Tstat)
        try:
            told = await self._again(asked, Tstat(fid))
            return self._entry(told, name), fid
        except BaseException:
            self.mux.clunk(fid)
            raise

    async def stat(self, node: FuseNode) -> Entry:
        """Ask the server for a node's entry."""
        fid, (asked,) = await self._walk(node.names(), Tstat)
        try:
            told = await self._again(asked, Tstat(fid))
        finally:
            self.mux.clunk(fid)
        return self._entry(told, node.entry.name)

    async def fstat(self, fid: int, name: bytes) -> Entry:
        """Ask the server for an open file's entry."""
        return self._entry(await self.mux.send(Tstat(fid)), name)

    def _entry(self, frame: bytes, name: bytes) -> Entry:
        """Read an Rstat's entry of the file walked to by that name."""
        try:
            return entry(frame[RSTAT:], name, self.owner)
        except FormatError as e:
            raise self.mux.nonsense(str(e)) from None

    async def open(self, node: FuseNode, mode: int, ahead: int = 0) -> Opened:
        """Open a node; read ahead octets of it if that is not 0."""
        after: list[Callable[[int], Request]] = [lambda fid: Topen(fid, mode)]
        if ahead:
            after.append(lambda fid: Tread(fid, 0, ahead))
        fid = self._take(node)
        if fid is not None:
            calls = [self.mux.send(make(fid)) for make in after]
        else:
            fid, calls = await self._walk(node.names(), *after)
        try:
            frame = await self._again(calls[0], Topen(fid, mode))
            data = await self._ahead(calls[1:])
            opened = self.mux.reply(frame, Ropen)
        except BaseException:
            self.mux.clunk(fid)
            raise
        return Opened(fid, opened.qid, self._unit(opened.iounit), data)

    async def open_name(self, name: str, mode: int) -> Opened:
        """Open a file of the root.  Raises Refused if there is none, or a directory."""
        fid, _ = await self._walk((name,))
        try:
            opened = await self.mux.rpc(Topen(fid, mode), Ropen)
        except BaseException:
            self.mux.clunk(fid)
            raise
        if opened.qid.type & QTDIR:
            self.mux.clunk(fid)
            raise Refused(EISDIR)
        return Opened(fid, opened.qid, self._unit(opened.iounit))

    async def _ahead(self, calls: Sequence[Call]) -> bytes | None:
        for call in calls:
            try:
                return self.mux.reply(await call, Rread).data
            except Refused:
                return None
        return None

    def fetch(self, parent: FuseNode, entry: Entry) -> Fetch:
        """Begin to read a file of parent whole; it is as long as entry says.

        Raises OSError where that cannot be asked at one stroke.
        """
        names = (*parent.names(), text(entry.name))
        if len(names) > MAXWELEM:
            raise OSError(errno.ENAMETOOLONG, "too deep")
        send, fid = self.mux.send, self.mux.fid()
        return Fetch(
            fid,
            send(Twalk(self.root, fid, names)),
            send(Topen(fid, OREAD)),
            send(Tread(fid, 0, entry.length)),
            len(names),
        )

    async def fetched(self, fetch: Fetch) -> tuple[tuple[int, int], bytes]:
        """Finish reading a file whole: its identity and version, and its octets.

        They are none if it could not be read so.
        """
        fid, walk, open_, read, names = fetch
        try:
            self._check(await walk, names)
        except BaseException:
            self._lost(fid, [read], walked=False)
            raise
        try:
            qid = self.mux.reply(await open_, Ropen).qid
            data = self.mux.reply(await read, Rread).data
        except Refused:
            return (0, 0), b""
        finally:
            self.mux.clunk(fid)
        return (qid.path, qid.vers), data

    async def create(
        self, parent: FuseNode, name: bytes, perm: int, mode: int
    ) -> Opened:
        """Make a file in parent and open it."""
        fid, _ = await self._walk(parent.names())
        try:
            made = await self.mux.rpc(Tcreate(fid, text(name), perm, mode), Rcreate)
        except BaseException:
            self.mux.clunk(fid)
            raise
        return Opened(fid, made.qid, self._unit(made.iounit))

    async def remove(self, parent: FuseNode, name: bytes) -> None:
        """Remove a file.  Fids kept for what is below it are let go first."""
        for node, _ in list(self._spare.values()):
            if _below(node, parent, name):
                self.drop(node)
        fid, _ = await self._walk((*parent.names(), text(name)))
        try:
            await self.mux.send(Tremove(fid))
        except Refused:
            self.mux.free(fid)  # it is gone nevertheless; remove(5)
            raise
        except BaseException:
            self.mux.clunk(fid)
            raise
        self.mux.free(fid)

    async def wstat(
        self, node: FuseNode, changes: Stat, fid: int | None = None
    ) -> None:
        """Change a node's directory entry, by an open fid if there is one."""
        if fid is not None:
            await self.mux.send(Twstat(fid, changes))
            return
        fid, _ = await self._walk(node.names())
        try:
            await self.mux.send(Twstat(fid, changes))
        finally:
            self.mux.clunk(fid)

    def listed(self, data: bytes) -> Iterator[Entry]:
        """Give the entries in what was read from a directory, less the unlisted.

        Whatever reads all the files it finds would wait with those who wait there.
        """
        ours = False  # only our servers list a file that waits
        for found in entries(data, self.owner):
            if self.waits(found):
                ours = True
            elif not (ours and found.kind and found.name in self._queries):
                yield found

    def waits(self, entry: Entry) -> bool:
        """Whether readers of a file wait for what is to come."""
        return entry.name in self._unlisted and not entry.length and not entry.kind

    def keep_listing(self, node: FuseNode, entries: list[Entry], asked: float) -> None:
        """Let a listing just read answer for the names in a directory for a while."""
        node.list(NodeListing(entries, asked, self.clock()))
        self.mux.loop.call_later(FRESH, node.unlist)

    def keep(self, node: FuseNode, fid: int) -> None:
        """Keep a fid for the node's next open, instead of one that it has."""
        self.drop(node)
        node.fid = fid
        loop = self.mux.loop
        self._spare[node.id] = node, loop.time() + SPARE_SECONDS
        if len(self._spare) > MAX_SPARE:
            self.drop(self._oldest()[0])
        if self._timer is None:
            self._timer = loop.call_later(SPARE_SECONDS, self._expire)

    def _oldest(self) -> tuple[FuseNode, float]:
        return next(iter(self._spare.values()))

    def _expire(self) -> None:
        """Let go of fids that nobody has wanted for a while."""
        self._timer = None
        loop = self.mux.loop
        while self._spare:
            node, until = self._oldest()
            if until > loop.time():
                self._timer = loop.call_at(until, self._expire)
                return
            self.drop(node)

    def drop(self, node: FuseNode) -> None:
        """Let go of a node's fid, if it has one."""
        fid = self._take(node)
        if fid is not None:
            self.mux.clunk(fid)

    def abandon(self) -> None:
        """Forget the fids kept; their line is lost."""
        for node, _ in self._spare.values():
            node.fid = None
        self._spare.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take(self, node: FuseNode) -> int | None:
        fid, node.fid = node.fid, None
        if fid is not None:
            del self._spare[node.id]
        return fid

    def _unit(self, iounit: int) -> int:
        return min(iounit, self.mux.unit) if iounit else self.mux.unit

    async def _walk(
        self, names: Sequence[str], *after: Callable[[int], Request]
    ) -> tuple[int, list[Call]]:
        """Walk names from the root: a fid, and the requests sent after the walk.

        Raises Refused if they lead nowhere.
        """
        mux, at, fid = self.mux, self.root, self.mux.fid()
        todo = tuple(names)
        calls: list[Call] = []
        try:
            while todo or at != fid:
                step, todo = todo[:MAXWELEM], todo[MAXWELEM:]
                walk = mux.send(Twalk(at, fid, step))
                calls = [] if todo else [mux.send(make(fid)) for make in after]
                self._check(await walk, len(step))
                at = fid
        except BaseException:
            self._lost(fid, calls, walked=at == fid)
            raise
        return fid, calls

    def _check(self, frame: bytes, wanted: int) -> None:
        """Raise Refused unless an Rwalk says that all names were walked."""
        done = int.from_bytes(frame[HEADER.size : RWALK], "little")
        if len(frame) != RWALK + done * QID.size or done > wanted:
            raise self.mux.nonsense("Rwalk of other than was asked")
        if done < wanted:
            raise Refused(ENOENT)  # of the first name it would have told the reason

    def _lost(self, fid: int, calls: Sequence[Call], *, walked: bool) -> None:
        """Let go of a fid that did not get where it should."""
        if walked:
            self.mux.clunk(fid)
        elif calls:  # they name it still
            calls[-1].add_done_callback(lambda _: self.mux.free(fid))
        else:
            self.mux.free(fid)

    async def _again(self, call: Call, msg: Request) -> bytes:
        """Await a request sent after a walk; send msg if it was refused."""
        try:
            return await call
        except Refused:
            return await self.mux.send(msg)


def _below(node: FuseNode, parent: FuseNode, name: bytes) -> bool:
    """Whether a node is the child of that name, or below it."""
    at: FuseNode | None = node
    while at is not None:
        if at.parent is parent and at.entry.name == name:
            return True
        at = at.parent
    return False
