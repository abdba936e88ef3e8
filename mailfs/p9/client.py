"""The blocking client, for scripts, tests and the command line.

    from mailfs.p9 import Client

    with Client() as mail:
        for entry in mail.ls("/mbox"):
            if entry.qid.type & QTDIR:
                print(mail.read(f"/mbox/{entry.name}/subject").decode())

Refusals are Refused with the server's text, everything else that can go wrong is
MailfsError.  A Client serves one thread; it does not import asyncio.
"""

import io
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from mailfs.errors import EISDIR, ENOTDIR, MailfsError, Refused
from mailfs.p9.dial import dial
from mailfs.p9.fcall import (
    IOHDRSZ,
    MAXWELEM,
    NOFID,
    NOTOUCH,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    QTDIR,
    VERSION,
    FormatError,
    Qid,
    Rattach,
    Rcreate,
    Reply,
    Request,
    Ropen,
    Rread,
    Rstat,
    Rversion,
    Rwalk,
    Rwrite,
    Stat,
    Tattach,
    Tclunk,
    Tcreate,
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
from mailfs.p9.rpc import Line
from mailfs.where import DialString, dialstring, user

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

MSIZE = 1 << 20  # octets of a message, offered to the server
SERVICE = "upasfs"  # what a mail file server is posted as

R = TypeVar("R")

Dial = Callable[[DialString, float | None], socket.socket]
"""Return a socket connected to an address; the number is seconds for each try."""

Prove = Callable[[Callable[[Request], Reply], int, str, str], bool]
"""Prove through an afid who we are, given what sends a request and returns the reply,
the afid, uname and aname; False if the server wants no proof.  attach(5)."""


class Client:
    """An attached line to a 9P server.

    address     a service in the name space, a dial string, or an Address
    aname       which tree to attach to
    uname       who we are; the login name unless given
    timeout     seconds to wait for each answer; None waits for ever
    auth        proves who we are to servers that ask
    dial        gives a socket connected to an address
    """

    def __init__(
        self,
        address: DialString | str = SERVICE,
        *,
        aname: str = "",
        uname: str | None = None,
        timeout: float | None = None,
        msize: int = MSIZE,
        auth: "Prove | None" = None,
        dial: Dial = dial,
    ) -> None:
        if isinstance(address, str):
            address = dialstring(address)
        self._line = Line(dial(address, timeout), str(address), msize, timeout)
        self._free: list[int] = []
        self._next = 0
        self._lost: list[int] = []  # of files nobody closed: clunked by and by
        self._root: int | None = None
        self._auth = auth
        try:
            self._version(msize)
            self.attach(aname, uname)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; the server clunks what is open."""
        self._line.close()

    def attach(self, aname: str = "", uname: str | None = None) -> Qid:
        """Make the tree aname the one that paths begin in; return its root's qid."""
        uname = user() if uname is None else uname
        afid = self._prove(uname, aname)
        fid = self._new_fid()
        try:
            qid = self._rpc(Tattach(fid, afid, uname, aname), Rattach).qid
        except Refused:
            self._free.append(fid)
            raise
        finally:
            if afid != NOFID:
                self.clunk(afid)
        if self._root is not None:
            self.clunk(self._root)
        self._root = fid
        return qid

    def _prove(self, uname: str, aname: str) -> int:
        """Return the afid that proves who we are, NOFID if nobody wants a proof."""
        if self._auth is None:
            return NOFID
        afid = self._new_fid()
        if self._auth(self._line.rpc, afid, uname, aname):
            return afid
        self._free.append(afid)
        return NOFID

    def ls(self, path: str = "/") -> list[Stat]:
        """Return the entries of a directory, in the server's order."""
        return list(self.entries(path))

    def entries(self, path: str = "/") -> Iterator[Stat]:
        """Give the entries of a directory as they come.

        Raises Refused if it is none.
        """
        with self.open(path) as file:
            if not file.qid.type & QTDIR:
                raise Refused(ENOTDIR)
            while data := file.read(file.iounit):
                try:
                    yield from unpack_stats(data)
                except FormatError as e:
                    raise self._line.nonsense(str(e)) from None

    def read(self, path: str) -> bytes:
        """Return all octets of a file."""
        with self.open(path) as file:
            if file.qid.type & QTDIR:
                raise Refused(EISDIR)
            return file.readall()

    def write(self, path: str, data: bytes, mode: int = OWRITE | OTRUNC) -> int:
        """Write data to a file that exists; what fits one message goes as one."""
        with self.open(path, mode) as file:
            return file.write(data)

    def stat(self, path: str = "/") -> Stat:
        """Return the directory entry of a file."""
        fid = self.walk(path)
        try:
            return self._rpc(Tstat(fid), Rstat).stat
        finally:
            self.clunk(fid)

    def wstat(self, path: str, changes: Stat) -> None:
        """Change a file's directory entry, starting from NOTOUCH; stat(5)."""
        fid = self.walk(path)
        try:
            self.rpc(Twstat(fid, changes))
        finally:
            self.clunk(fid)

    def rename(self, path: str, name: str) -> None:
        """Give a file another name in its directory."""
        self.wstat(path, NOTOUCH._replace(name=name))

    def remove(self, path: str) -> None:
        """Remove a file."""
        fid = self.walk(path)
        try:
            self.rpc(Tremove(fid))
        finally:
            self._free.append(fid)

    def open(self, path: str, mode: int = OREAD) -> "OpenFile":
        """Open a file that exists; it is closed with the result."""
        fid = self.walk(path)
        try:
            reply = self._rpc(Topen(fid, mode), Ropen)
        except MailfsError:
            self.clunk(fid)
            raise
        return OpenFile(self, fid, mode, reply.qid, self._unit(reply.iounit))

    def create(self, path: str, perm: int = 0o666, mode: int = OWRITE) -> "OpenFile":
        """Make a file and open it; with DMDIR in perm, a directory (mode OREAD)."""
        holder, _, name = path.rstrip("/").rpartition("/")
        fid = self.walk(holder)
        try:
            reply = self._rpc(Tcreate(fid, name, perm, mode), Rcreate)
        except MailfsError:
            self.clunk(fid)
            raise
        return OpenFile(self, fid, mode, reply.qid, self._unit(reply.iounit))

    def walk(self, path: str) -> int:
        """Return a fid for path; the caller clunks it.

        Raises Refused if there is no such file.
        """
        assert self._root is not None
        while self._lost:
            self.clunk(self._lost.pop())
        todo = [name for name in path.split("/") if name not in ("", ".")]
        fid, at = self._new_fid(), self._root
        try:
            while at != fid or todo:
                step = todo[:MAXWELEM]
                done = len(self._rpc(Twalk(at, fid, tuple(step)), Rwalk).wqid)
                if done > len(step) or (step and not done):
                    raise self._line.nonsense("Rwalk of so many qids")
                if done < len(step):
                    # Only a first name tells why it could not be walked.
                    self._rpc(Twalk(at, fid, tuple(step[:done])), Rwalk)
                todo, at = todo[done:], fid
        except MailfsError:
            if at == fid:
                self.clunk(fid)
            else:
                self._free.append(fid)
            raise
        return fid

    def forsake(self, fid: int) -> None:
        """Leave a fid to be clunked at the next walk; sends nothing itself."""
        self._lost.append(fid)

    def clunk(self, fid: int) -> None:
        """Forget a fid; what the server has to say to that is not told."""
        if self._line.closed:
            return
        with suppress(Refused):  # it is gone nevertheless; clunk(5)
            self.rpc(Tclunk(fid))
        self._free.append(fid)

    def rpc(self, msg: Request) -> Reply:
        """Send any message and return its reply.  Raises Refused if refused."""
        return self._line.rpc(msg)

    def _rpc(self, msg: Request, kind: type[R]) -> R:
        reply = self._line.rpc(msg)
        assert isinstance(reply, kind)  # rpc has seen to it
        return reply

    def _version(self, msize: int) -> None:
        reply = self._rpc(Tversion(msize, VERSION), Rversion)
        if reply.version != VERSION:
            raise MailfsError(
                f"{self._line.name}: speaks {reply.version!r}, not 9P2000"
            )
        if not IOHDRSZ < reply.msize <= msize:
            raise self._line.nonsense(f"msize {reply.msize}")
        self._line.msize = reply.msize

    def _unit(self, iounit: int) -> int:
        """Compute the octets that one read or write may carry."""
        room = self._line.msize - IOHDRSZ
        return min(iounit, room) if iounit else room

    def _new_fid(self) -> int:
        if self._free:
            return self._free.pop()
        self._next += 1
        return self._next - 1


class OpenFile(io.RawIOBase):
    """An open file, raw: a read or write that fits iounit is one message."""

    def __init__(
        self, client: Client, fid: int, mode: int, qid: Qid, iounit: int
    ) -> None:
        super().__init__()
        self.qid = qid
        self.iounit = iounit  # octets
        self._client = client
        self._fid = fid
        self._access = mode & 3
        self._offset = 0

    def readable(self) -> bool:
        """Whether it is open for reading."""
        return self._access != OWRITE

    def writable(self) -> bool:
        """Whether it is open for writing."""
        return self._access in (OWRITE, ORDWR)

    def seekable(self) -> bool:
        """Whether seek works: a directory can only be rewound."""
        return not self.qid.type & QTDIR

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most size octets from one message, all there are if negative."""
        if size is None or size < 0:
            return self.readall()
        self._check_open()
        ask = Tread(self._fid, self._offset, min(size, self.iounit))
        data = self._client._rpc(ask, Rread).data
        if len(data) > ask.count:
            raise self._client._line.nonsense("more octets than were asked for")
        self._offset += len(data)
        return data

    def readall(self) -> bytes:
        """Return all octets from here to the end."""
        parts = []
        while data := self.read(self.iounit):
            parts.append(data)
        return b"".join(parts)

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read into buffer; io.RawIOBase."""
        with memoryview(buffer) as view, view.cast("B") as octets:
            data = self.read(len(octets))
            octets[: len(data)] = data
        return len(data)

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write all of data, an empty one too; return its octets.

        Raises Refused if refused, MailfsError if the server takes only a part.
        """
        self._check_open()
        octets = bytes(data)
        for start in range(0, len(octets) or 1, self.iounit):
            part = octets[start : start + self.iounit]
            ask = Twrite(self._fid, self._offset, part)
            taken = self._client._rpc(ask, Rwrite).count
            if taken != len(part):
                raise MailfsError(f"{taken} of {len(part)} octets were taken")
            self._offset += taken
        return len(octets)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set where the next read or write is; io.RawIOBase."""
        self._check_open()
        if whence == io.SEEK_CUR:
            offset += self._offset
        elif whence == io.SEEK_END:
            offset += self.stat().length
        if offset < 0:
            raise ValueError(f"seek to {offset}")
        self._offset = offset
        return offset

    def tell(self) -> int:
        """Tell the offset of the next read or write."""
        return self._offset

    def stat(self) -> Stat:
        """Return the directory entry."""
        return self._client._rpc(Tstat(self._fid), Rstat).stat

    def close(self) -> None:
        """Clunk the fid."""
        if not self.closed:
            try:
                self._client.clunk(self._fid)
            finally:
                super().close()

    def __del__(self) -> None:
        """Leave the fid to the client.

        A collector may come by in any thread, in the server's own loop even: nobody
        may wait for an answer then, as closing would.
        """
        if not self.closed:
            self._client.forsake(self._fid)

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
