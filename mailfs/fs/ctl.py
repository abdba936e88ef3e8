"""Control files: one command a write, done when the write returns; upasfs(4).

A command may end with a newline and need not.  A client that splits a long write
(lib9pclient does, at msize-24) cuts anywhere, even within a number: so a write as
long as a message can carry, without a newline at its end, is kept until the write
that continues it, or the clunk.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from mailfs.errors import EFBIG, EFULL, EPERM, MailfsError, Refused
from mailfs.p9.file import Handle, Later

log = logging.getLogger(__name__)

MAX_COMMAND = 1 << 20  # octets; the numbers of 100,000 messages take 600 kB

MAX_HELD = 16 << 20  # octets of commands that may go on, in all open control files

Command = Callable[[str], Awaitable[None]]
_pending: set["asyncio.Future[None]"] = set()


class Held:
    """How many octets of unfinished commands there are, and may be."""

    __slots__ = ("most", "octets")

    def __init__(self, most: int = MAX_HELD) -> None:
        self.most = most
        self.octets = 0

    def take(self, octets: int) -> None:
        """Count octets.  Raises Refused where they are too many."""
        if octets > 0 and self.octets + octets > self.most:
            raise Refused(EFULL)
        self.octets += octets


HELD = Held()  # of this process


class CtlHandle(Handle):
    """A control file, open: writes are commands, reads show a text."""

    __slots__ = ("_all", "_command", "_end", "_held", "_text")

    def __init__(
        self, command: Command | None, text: bytes = b"", held: Held = HELD
    ) -> None:
        self._all = held
        self._command = command
        self._text = text
        self._held = b""
        self._end = -1  # the offset at which a write would continue what is held

    def read(self, offset: int, count: int) -> bytes:
        """Return octets of the text as it was at the open."""
        return self._text[offset : offset + count]

    def write(self, offset: int, data: bytes) -> Later[int]:
        """Do a command.  The offset only tells whether a held one is continued."""
        return self._do(self._joined(offset, data), len(data))

    def write_full(self, offset: int, data: bytes) -> Later[int]:
        """Keep a command that may go on in the next write."""
        if data.endswith(b"\n"):
            return self.write(offset, data)
        self._hold(self._joined(offset, data))
        self._end = offset + len(data)
        return len(data)

    def _hold(self, data: bytes) -> None:
        """Keep data in the place of what is held."""
        self._all.take(len(data) - len(self._held))
        self._held = data

    def _joined(self, offset: int, data: bytes) -> bytes:
        """Return data behind what is held, if it continues it; nothing is held then."""
        if self._command is None:
            raise Refused(EPERM)
        whole = self._held + data if offset == self._end else data
        self._hold(b"")
        if len(whole) > MAX_COMMAND:
            raise Refused(EFBIG)
        return whole

    async def _do(self, command: bytes, count: int) -> int:
        assert self._command is not None
        await self._command(command.decode("utf-8", "replace").removesuffix("\n"))
        return count

    def close(self) -> None:
        """Do what is still held: the last write was just as long as a message."""
        if self._held:
            task = asyncio.ensure_future(self._last(self._held))
            _pending.add(task)
            task.add_done_callback(_pending.discard)
            self._hold(b"")

    async def _last(self, command: bytes) -> None:
        try:
            await self._do(command, 0)
        except (MailfsError, OSError) as e:
            log.warning("ctl: %s", e)
