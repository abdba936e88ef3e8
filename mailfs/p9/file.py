"""What a file server implements: File, a node of its tree, and Handle, an open one.

A method answers at once, or returns an awaitable when it has to wait; only then is
a task made.  All run on the server's event loop, so a method must not block.  To
refuse, raise Refused with the text the client shall see.  Every default refuses.

What is awaited is cancelled when the client flushes its request, unless that was a
clunk or a remove: a coroutine then gets CancelledError where it waits, and leaves
things as if it had never been asked.  A future that others wait for too needs
asyncio.shield.

The session has checked fids, modes and counts before it calls; permissions are the
file's own affair.
"""

from collections.abc import Awaitable, Iterable, Iterator
from typing import TypeAlias, TypeVar

from mailfs.errors import EISDIR, ENOENT, ENOTDIR, EPERM, Refused
from mailfs.p9.errstr import EDIROFFSET, EWSTAT
from mailfs.p9.fcall import QTDIR, Qid, Stat

T = TypeVar("T")
Later: TypeAlias = T | Awaitable[T]  # an answer, or something to wait for


class Handle:
    """An open file.  One belongs to one fid; close is called exactly once."""

    __slots__ = ()

    def read(self, offset: int, count: int) -> Later[bytes]:
        """Return at most count octets from offset; fewer only at the end."""
        raise Refused(EPERM)

    def write(self, offset: int, data: bytes) -> Later[int]:
        """Take data at offset and return how many octets were taken."""
        raise Refused(EPERM)

    def write_full(self, offset: int, data: bytes) -> Later[int]:
        """Write as many octets as a message carries: the rest may come in another.

        Only what takes a write for a command has to tell this from write.
        """
        return self.write(offset, data)

    def abandon(self) -> None:
        """The fid was clunked while requests on it wait; close follows the last.

        Only what may wait for ever need end their waiting.
        """

    def close(self) -> None:
        """The fid is gone: clunked, removed, or its connection ended."""

    def lost(self) -> None:
        """The fid is gone though nobody clunked it: its session ended.

        Only what a clunk completes has to tell this from close.
        """
        self.close()


class File:
    """A node of the tree; any number of fids may point at one."""

    __slots__ = ()

    @property
    def qid(self) -> Qid:
        """The server's identity for the node; qid.type tells directories apart."""
        raise NotImplementedError

    def stat(self) -> Later[Stat]:
        """Return the directory entry; its qid equals self.qid."""
        raise NotImplementedError

    def walk(self, name: str) -> "Later[File]":
        """Return the child called name, or the parent for ``..``.

        Called for directories only.  The parent of the root is the root.
        """
        raise Refused(ENOENT)

    def open(self, mode: int) -> Later[Handle]:
        """Return a handle; mode is OREAD, OWRITE, ORDWR or OEXEC.

        OTRUNC may be or'ed in, and ORCLOSE, which the session sees to.  A directory is
        opened for reading only and should return a DirHandle.
        """
        raise Refused(EPERM)

    def create(self, name: str, perm: int, mode: int) -> "Later[tuple[File, Handle]]":
        """Make a child and open it; called for directories only; open(5)."""
        raise Refused(EPERM)

    def remove(self) -> Later[None]:
        """Remove the node; the fid is clunked whatever happens."""
        raise Refused(EPERM)

    def wstat(self, stat: Stat) -> Later[None]:
        """Change what stat does not leave alone (all ones, empty); all or nothing."""
        raise Refused(EWSTAT)

    def sync(self) -> Later[None]:
        """Put the file on disk: a Twstat that changes nothing asks for it; stat(5).

        Where nothing waits to be put there, nothing is to be done.
        """

    @property
    def is_dir(self) -> bool:
        """Whether the node is a directory."""
        return bool(self.qid.type & QTDIR)


class Records:
    """Packed directory entries that are as long as each other; size is of one."""

    __slots__ = ("octets", "size")

    def __init__(self, octets: bytes, size: int) -> None:
        self.octets = octets
        self.size = size


class DirHandle(Handle):
    """An open directory: whole records only, from where the last read ended.

    entries is called at each read from offset 0 and gives the packed records
    (Stat.pack), or many as Records, of one consistent listing; it may be awaitable.
    """

    __slots__ = ("_at", "_iter", "_most", "_next", "_offset")

    def __init__(self) -> None:
        self._iter: Iterator[bytes | Records] = iter(())
        self._next: bytes | Records | None = None
        self._at = 0  # octets of _next that have been read, if it is many
        self._offset = 0
        self._most = 0  # the largest count asked for so far

    def entries(self) -> Later[Iterable[bytes | Records]]:
        """Give the packed directory entries, in listing order."""
        raise NotImplementedError

    def read(self, offset: int, count: int) -> Later[bytes]:
        """Read as many whole records as fit into count."""
        if offset == 0:
            found = self.entries()
            if isinstance(found, Awaitable):
                return self._restart(found, count)
            self._rewind(found)
        elif offset != self._offset:
            raise Refused(EDIROFFSET)
        return self._fill(count)

    async def _restart(
        self, found: Awaitable[Iterable[bytes | Records]], count: int
    ) -> bytes:
        self._rewind(await found)
        return self._fill(count)

    def _rewind(self, found: Iterable[bytes | Records]) -> None:
        self._iter = iter(found)
        self._next = next(self._iter, None)
        self._offset = self._at = 0

    def _fill(self, count: int) -> bytes:
        records: list[bytes] = []
        room = count
        record = self._next
        while record is not None:
            if isinstance(record, Records):
                fit = self._some(record, room)
                records.append(fit)
                room -= len(fit)
                if self._at < len(record.octets):
                    break
                self._at = 0
            elif len(record) <= room:
                records.append(record)
                room -= len(record)
            else:
                break
            record = next(self._iter, None)
        self._next = record
        self._most = max(self._most, count)
        data = b"".join(records)
        if record is not None and not data and _size(record) > self._most:
            # Zero octets would say that the directory ends here.  But whoever has
            # asked for more before may get them: Linux fills the rest of its buffer
            # with a small read, takes nothing at all if that fails, and comes back.
            raise Refused("directory entry larger than the count")
        self._offset += len(data)
        return data

    def _some(self, records: Records, room: int) -> bytes:
        """Take those of many records that fit into room."""
        start = self._at
        end = min(start + room // records.size * records.size, len(records.octets))
        self._at = end
        return records.octets[start:end]


def _size(record: bytes | Records) -> int:
    return record.size if isinstance(record, Records) else len(record)


def check_dir(file: File) -> None:
    """Raise Refused unless file is a directory."""
    if not file.is_dir:
        raise Refused(ENOTDIR)


def refuse_dir(file: File) -> None:
    """Raise Refused if file is a directory."""
    if file.is_dir:
        raise Refused(EISDIR)
