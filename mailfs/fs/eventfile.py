"""The file event: a line for each message that comes, goes or is changed.

    new|delete|modify MBOX/N DIGEST

Opened, it tells what happens from then on.  A read waits until there is something,
and returns as many whole lines as fit; the offset is not looked at.  Of events that a
reader leaves unread, so many are kept; the line ``lost N`` then stands for the next N.
Zero octets are read when the mailbox has been closed.

The file changes of the root tells the same at once, with - in the place of each digest,
and no message is read for it: who keeps what the tree has told, as a mount does, learns
what to ask again.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from mailfs.errors import EPERM, Refused
from mailfs.fs.node import plain
from mailfs.mailboxes.events import Event
from mailfs.p9.errstr import EINTERRUPTED
from mailfs.p9.fcall import OREAD, OTRUNC, QTFILE, Qid, Stat
from mailfs.p9.file import File, Handle, Later

MAX_UNREAD = 1000  # events kept for one reader; they take 64 kB

Begin = Callable[["EventHandle"], Awaitable[Callable[[], None]]]
"""Let a handle listen from now on; return what ends that."""


class EventFile(File):
    """The file in one directory."""

    __slots__ = ("_begin", "_digests", "_name", "_path", "_user")

    def __init__(  # a node's parts
        self,
        path: int,
        user: str,
        begin: Begin,
        *,
        name: str = "event",
        digests: bool = True,
    ) -> None:
        """Make the node with a qid.path."""
        self._name = name
        self._digests = digests
        self._path = path
        self._user = user
        self._begin = begin

    @property
    def qid(self) -> Qid:
        """The file's identity."""
        return Qid(QTFILE, 0, self._path)

    def stat(self) -> Stat:
        """Return its entry; there is no telling how long it will be."""
        now = int(time.time())
        return plain(self._name, self._path, 0, now, self._user, 0o444, 0)

    async def open(self, mode: int) -> Handle:
        """Open it to be read."""
        if mode & 3 != OREAD or mode & OTRUNC:
            raise Refused(EPERM)
        handle = EventHandle(digests=self._digests)
        handle.stop = await self._begin(handle)
        return handle


class EventHandle(Handle):
    """One reader: the lines it has not read yet, and the reads that wait."""

    __slots__ = (
        "_ended",
        "_lines",
        "_lost",
        "_room",
        "_waiting",
        "digests",
        "many",
        "stop",
    )

    def __init__(self, room: int = MAX_UNREAD, *, digests: bool = True) -> None:
        """Listen to nothing yet; room is how many lines are kept."""
        self.digests = digests
        self._room = room
        self._lines: deque[bytes] = deque()
        self._lost = 0
        self._ended: Refused | bool = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.many = False  # it hears of many mailboxes: the end of one is not its own
        self.stop: Callable[[], None] = lambda: None

    def put(self, events: Sequence[Event]) -> None:
        """Take events; count those that find no room."""
        for event in events:
            if self._lost or len(self._lines) >= self._room:
                self._lost += 1
            else:
                self._lines.append(event.line())
        self._wake()

    def end(self) -> None:
        """Tell the reader that there will be no more."""
        if not self.many:
            self._ended = True
            self._wake()

    def abandon(self) -> None:
        """Refuse the reads that wait: their fid is gone."""
        self._ended = Refused(EINTERRUPTED)
        self._lines.clear()
        self._wake()

    def read(self, offset: int, count: int) -> Later[bytes]:
        """Read whole lines, now or when there are some."""
        if self._lines and not self._waiting:
            return self._take(count)
        return self._wait(count)

    async def _wait(self, count: int) -> bytes:
        queue = self._waiting.append
        while not (self._lines or self._ended):
            turn = asyncio.get_running_loop().create_future()
            queue(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                self._wake()  # it may have been our turn: the next one's, then
                raise
            queue = self._waiting.appendleft  # another took the lines meanwhile
        if isinstance(self._ended, Refused):
            raise self._ended
        return self._take(count)

    def _take(self, count: int) -> bytes:
        """Return the lines that fit into count; of one too long, what fits of it."""
        taken: list[bytes] = []
        room = count
        while self._lines and len(self._lines[0]) <= room:
            taken.append(self._lines.popleft())
            room -= len(taken[-1])
        if self._lines and not taken:
            line = self._lines[0]
            taken.append(line[:count])
            self._lines[0] = line[count:]
        if not self._lines and self._lost:
            self._lines.append(b"lost %d\n" % self._lost)
            self._lost = 0
        self._wake()
        return b"".join(taken)

    def _wake(self) -> None:
        """Give the first read that waits its turn, all of them at the end."""
        while self._waiting and (self._lines or self._ended):
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                if not self._ended:
                    return

    def close(self) -> None:
        """Listen no more."""
        self.stop()
