"""The files of factotum(4): ctl, rpc, proto, needkey, confirm, log and conv."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from weakref import WeakSet

from mailfs.errors import ENOENT, EPERM, MailfsError, Refused
from mailfs.factotum.agent import MAX_CTL, Agent
from mailfs.factotum.conv import Conversation
from mailfs.factotum.feed import Feed, Questions
from mailfs.p9.fcall import (
    DMDIR,
    DMEXCL,
    OEXEC,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    QTDIR,
    QTEXCL,
    QTFILE,
    Qid,
    Stat,
)
from mailfs.p9.file import DirHandle, File, Handle

EINUSE = "file in use"  # the text of other factotums
MAX_RPC = 4096  # octets of a request, verb included; AuthRpcMax of auth(3)
_NEED = {OREAD: 4, OWRITE: 2, ORDWR: 6, OEXEC: 1}


class FactotumService:
    """One factotum as its files see it."""

    def __init__(self, agent: Agent, clock: Callable[[], float] = time.time) -> None:
        self.agent = agent
        self.clock = clock
        self.convs: WeakSet[Conversation] = WeakSet()

    def root(self, uname: str) -> "FactotumRoot":
        """Return the tree as uname sees it."""
        return FactotumRoot(self, uname)


class FactotumNode(File):
    """What root and files share: the owner's bits or the others', no group."""

    __slots__ = ("mode", "name", "path", "service", "uname")

    def __init__(
        self, service: FactotumService, uname: str, name: str, path: int, mode: int
    ) -> None:
        self.service = service
        self.uname = uname
        self.name = name
        self.path = path
        self.mode = mode

    @property
    def qid(self) -> Qid:
        """The row of the file table is the path; ctl has a version, of the keys."""
        kind = QTDIR if self.mode & DMDIR else QTEXCL if self.mode & DMEXCL else QTFILE
        vers = self.service.agent.ring.version if self.name == "ctl" else 0
        return Qid(kind, vers, self.path)

    def stat(self) -> Stat:
        """Return the entry: no length, and the time is now."""
        now, owner = int(self.service.clock()), self.service.agent.owner
        return Stat(
            0, 0, self.qid, self.mode, now, now, 0, self.name, owner, owner, owner
        )

    def permit(self, mode: int) -> None:
        """Raise Refused unless uname may open the file so."""
        need = _NEED.get(mode & ~OTRUNC)
        shift = 6 if self.uname == self.service.agent.owner else 0
        if need is None or self.mode >> shift & need != need:
            raise Refused(EPERM)


class FactotumRoot(FactotumNode):
    """The directory."""

    __slots__ = ()

    def __init__(self, service: FactotumService, uname: str) -> None:
        super().__init__(service, uname, "factotum", 0, DMDIR | 0o555)

    def walk(self, name: str) -> File:
        """Return one of the files; the parent of the root is the root."""
        if name == "..":
            return self
        for path, (known, mode, _) in enumerate(FILES, 1):
            if name == known:
                return Leaf(self.service, self.uname, name, path, mode)
        raise Refused(ENOENT)

    def open(self, mode: int) -> Handle:
        """Open the listing."""
        self.permit(mode)
        return RootHandle(self)


class RootHandle(DirHandle):
    """The listing of the root."""

    __slots__ = ("_root",)

    def __init__(self, root: FactotumRoot) -> None:
        super().__init__()
        self._root = root

    def entries(self) -> Iterable[bytes]:
        """Return the files in the order of the table."""
        root = self._root
        for path, (name, mode, _) in enumerate(FILES, 1):
            leaf = Leaf(root.service, root.uname, name, path, mode)
            yield leaf.stat().pack()


class Leaf(FactotumNode):
    """A file; its row says what opening it gives."""

    __slots__ = ()

    def open(self, mode: int) -> Handle:
        """Open the file; an exclusive one is free again when its fid goes."""
        self.permit(mode)
        return FILES[self.path - 1][2](self.service, self.uname)


class Text(Handle):
    """A text made at the first read and kept, so that offsets mean something."""

    __slots__ = ("_make", "_text")

    def __init__(self, make: Callable[[], str]) -> None:
        self._make = make
        self._text = b""

    def read(self, offset: int, count: int) -> bytes:
        """Read whole lines from offset as far as they fit, a part if none does."""
        if offset == 0:
            self._text = self._make().encode(errors="replace")
        chunk = self._text[offset : offset + count]
        if offset + len(chunk) == len(self._text):
            return chunk
        return chunk[: chunk.rfind(b"\n") + 1] or chunk


class Ctl(Text):
    """Lists keys, takes control messages, one a line."""

    __slots__ = ("_end", "_line", "_service", "_tail")

    def __init__(self, service: FactotumService, uname: str) -> None:
        super().__init__(lambda: service.agent.listing(uname))
        self._service = service
        self._tail = b""  # a line of several whose end has not been written
        self._end = 0  # the offset where the next write goes on
        self._line = 0  # the number of the line, where several are written

    def write(self, offset: int, data: bytes) -> int:
        """Carry out the lines of data in their order, up to the first refused.

        One message may lack its newline.  Where several lines are written, the last
        may be cut, since clients write files in pieces: it waits for its rest, and
        if none comes it is carried out when the file is closed.
        """
        tail, self._tail = self._tail, b""
        if offset != self._end:
            tail, self._line = b"", 0
        self._end = offset + len(data)
        *lines, rest = (tail + bytes(data)).split(b"\n")
        if not lines and not tail:
            self._line += 1
            self._control(rest, several=False)
            return len(data)
        several = self._line > 0 or len(lines) > 1 or bool(rest)
        for line in lines:
            self._line += 1
            self._control(line, several=several)
        if len(rest) > MAX_CTL:
            raise Refused("control message too long")
        self._tail = rest
        return len(data)

    def _control(self, line: bytes, *, several: bool) -> None:
        try:
            self._service.agent.control(_text(line))
        except MailfsError as e:
            why = f"line {self._line}: {e}" if several else str(e)
            self._service.agent.note(f"write ctl: {why}")
            raise Refused(why) from None

    def close(self) -> None:
        """Carry out a last line without a newline; a refusal is in the log."""
        tail, self._tail = self._tail, b""
        if tail:
            self._line += 1
            with contextlib.suppress(Refused):
                self._control(tail, several=True)


class RpcFile(Handle):
    """A private conversation: a write is a request, a read carries it out."""

    __slots__ = ("_conv", "_lock", "_request")

    def __init__(self, service: FactotumService, uname: str) -> None:
        self._conv = Conversation(service.agent, uname)
        service.convs.add(self._conv)
        self._request: bytes | None = None
        self._lock = asyncio.Lock()  # held while a request is carried out

    def write(self, offset: int, data: bytes) -> int:
        """Take ``verb`` or ``verb data``."""
        if len(data) >= MAX_RPC:
            raise Refused("rpc too large")
        if self._request is not None or self._lock.locked():
            raise Refused("rpc already pending; read to clear")
        self._request = bytes(data)
        return len(data)

    def read(self, offset: int, count: int) -> Awaitable[bytes]:
        """Carry out the request.  A flush leaves the conversation where it was."""
        request, self._request = self._request, None
        if request is not None:
            return self._carry_out(request, count)
        if self._lock.locked():
            raise Refused("read already pending")
        raise Refused("no rpc pending")

    async def _carry_out(self, request: bytes, count: int) -> bytes:
        verb, _, data = request.partition(b" ")
        async with self._lock:
            known = verb.decode("ascii", "replace")
            reply = await self._conv.rpc(known, data, count)
        if len(reply) > count:
            raise Refused("rpc read too small")
        return reply

    def close(self) -> None:
        """End the conversation."""
        self._conv.close()


class Exclusive(Handle):
    """One of the feeds, which only one fid may have open."""

    __slots__ = ("_feed",)

    def __init__(self, feed: Feed) -> None:
        if feed.opened:
            raise Refused(EINUSE)
        feed.opened = True
        self._feed = feed

    async def read(self, offset: int, count: int) -> bytes:
        """Wait for one message."""
        return await self._feed.read(count)

    def write(self, offset: int, data: bytes) -> int:
        """Take an answer, where answers are wanted."""
        if not isinstance(self._feed, Questions):
            raise Refused(EPERM)
        try:
            self._feed.write(_text(data))
        except MailfsError as e:
            raise Refused(str(e)) from None
        return len(data)

    def close(self) -> None:
        """Let the next one open it."""
        self._feed.close()


def _text(data: bytes) -> str:
    try:
        return bytes(data).decode()
    except UnicodeDecodeError:
        raise Refused("text is not UTF-8") from None


def _proto(service: FactotumService, uname: str) -> Handle:
    return Text(lambda: "".join(f"{name}\n" for name in sorted(service.agent.protos)))


def _conv(service: FactotumService, uname: str) -> Handle:
    return Text(lambda: "".join(f"conv {conv}\n" for conv in service.convs))


Open = Callable[[FactotumService, str], Handle]
FILES: tuple[tuple[str, int, Open], ...] = (
    ("confirm", DMEXCL | 0o600, lambda s, _: Exclusive(s.agent.confirm)),
    ("needkey", DMEXCL | 0o600, lambda s, _: Exclusive(s.agent.needkey)),
    ("ctl", 0o644, Ctl),
    ("rpc", 0o666, RpcFile),
    ("proto", 0o444, _proto),
    ("log", DMEXCL | 0o400, lambda s, _: Exclusive(s.agent.log)),
    ("conv", 0o400, _conv),
)
