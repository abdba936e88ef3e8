"""What a client does with a fid: walk, open, read, write, clunk, remove, stat.

Each request has two halves: the checks before the File is asked, and the commit that
changes the fid and makes the reply.  What a File answers at once is answered at once;
what has to be waited for becomes a task in pending, its commit run when it ends.

These messages make up nearly all traffic.  The frequent ones are taken apart in place
with the Structs of their declarations; the others become values first.

Source: section 5 of the manual; where it is silent, lib9p's habits.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from mailfs.errors import EISDIR, ENAME, ENOTDIR, MailfsError, Refused
from mailfs.p9.auth import AuthFile
from mailfs.p9.budget import Budget
from mailfs.p9.errstr import EBADFID, EBADUSE, ECOUNT, EMODE, EOFFSET, EOPEN, ESTAT
from mailfs.p9.fcall import (
    DMDIR,
    IOHDRSZ,
    LAYOUTS,
    MAXWELEM,
    NOTOUCH,
    OCEXEC,
    ORCLOSE,
    OTRUNC,
    FormatError,
    Rclunk,
    Rcreate,
    Rremove,
    Rwstat,
    Stat,
    Tclunk,
    Tcreate,
    Topen,
    Tread,
    Tremove,
    Tstat,
    Twalk,
    Twrite,
    Twstat,
    pack,
)
from mailfs.p9.fid import Fid, Fids
from mailfs.p9.file import File, Handle, Later
from mailfs.p9.layout import decode_text
from mailfs.p9.pending import Commit, Pending, discard
from mailfs.p9.reply import empty, ropen, rread_head, rstat, rwalk, rwrite

MAX_OFFSET = (1 << 63) - 1  # octets; offsets are signed in every system
BULK = 16 << 10  # octets; a longer Rread is not copied to join its header

_TWALK = LAYOUTS[Twalk].body
_TOPEN = LAYOUTS[Topen].body
_TREAD = LAYOUTS[Tread].body
_TWRITE = LAYOUTS[Twrite].body
_TCLUNK = LAYOUTS[Tclunk].body
_TSTAT = LAYOUTS[Tstat].body
_TWSTAT = LAYOUTS[Twstat].body


class Transactions:
    """The fids of one session and what is done with them."""

    def __init__(
        self,
        msize: int,
        fids: int,
        pending: Pending,
        replies: list[bytes],
        budget: Budget,
    ) -> None:
        self.msize = msize
        self.iounit = msize - IOHDRSZ
        self.replies = replies
        self.budget = budget
        self.bulk = 0  # octets of long replies; whoever takes replies sets it to 0
        self.pending = pending
        self.fids = Fids(fids, pending.background, budget)
        self._fid = self.fids.table.get

    def _answer(
        self,
        tag: int,
        fid: Fid | None,
        later: Later[Any],
        commit: Commit,
        *,
        after: Callable[[], None] | None = None,
        cost: int = 0,
        stay: bool = False,
    ) -> None:
        """Reply what commit makes of later, now or when it has come.

        The fid's handle stays open until then; after runs then in any case.
        """
        if not isinstance(later, Awaitable):
            try:
                self.replies.append(commit(later))
            finally:
                if after is not None:
                    after()
            return
        if fid is not None:
            fid.pins += 1

        def done() -> None:
            if after is not None:
                after()
            if fid is not None:
                self.fids.unpin(fid)

        self.pending.wait(tag, later, commit, done, cost=cost, stay=stay)

    # walk(5)

    def twalk(self, tag: int, data: bytes, pos: int, end: int) -> None:
        """Lead newfid along the names."""
        if end - pos < _TWALK.size:
            raise FormatError("Twalk: too short")
        number, newnumber, count = _TWALK.unpack_from(data, pos)
        names = _names(data, pos + _TWALK.size, end, count)
        fid = self._fid(number)
        if fid is None:
            raise Refused(EBADFID)
        if newnumber != number:
            # The manual forbids a walk from an open fid; Linux does it, and it does
            # no harm while that fid itself stays where it is.
            self.fids.check_free(newnumber)
        elif fid.handle is not None or fid.opening:
            raise Refused(EOPEN)
        file = fid.file
        if isinstance(file, AuthFile):
            raise Refused(EBADUSE)
        flat: list[int] = []
        for i, name in enumerate(names):
            try:
                later = _step(file, name)
            except (MailfsError, OSError):
                if not flat:
                    raise
                break
            if not isinstance(later, File):
                step = _steps(later, names[i + 1 :], flat)
                self._walk_later(tag, fid, (number, newnumber), step, flat, later)
                return
            file = later
            flat += file.qid
        else:
            if newnumber == number:
                fid.file = file
            else:
                self.fids.table[newnumber] = Fid(file)
        self.replies.append(rwalk(tag, flat))

    def _walk_later(
        self,
        tag: int,
        fid: Fid,
        numbers: tuple[int, int],
        steps: Awaitable[File | None],
        flat: list[int],
        later: Awaitable[File],
    ) -> None:
        """Finish a walk that has to wait for steps, of which later is the first."""
        number, newnumber = numbers
        token = None if newnumber == number else self.fids.reserve(newnumber)

        def commit(file: File | None) -> bytes:
            if file is not None and token is not None:
                self.fids.bind(newnumber, token, Fid(file))
            elif file is not None:
                if fid.clunked or fid.opening or fid.handle is not None:
                    raise Refused(EBADUSE)
                fid.file = file
            return rwalk(tag, flat)

        def undo() -> None:
            discard(later)  # a flush may come before the first step is taken
            if token is not None:
                self.fids.unreserve(newnumber, token)

        self._answer(tag, fid, steps, commit, after=undo)

    # open(5)

    def topen(self, tag: int, data: bytes, pos: int, end: int) -> None:
        """Open the fid."""
        if end - pos != _TOPEN.size:
            raise FormatError("Topen: wrong size")
        number, mode = _TOPEN.unpack_from(data, pos)
        fid = self._fid(number)
        if fid is None:
            raise Refused(EBADFID)
        if fid.handle is not None or fid.opening:
            raise Refused(EOPEN)
        mode &= ~OCEXEC
        if mode:
            _check_mode(mode, is_dir=fid.file.is_dir)
        later = fid.file.open(mode)
        if isinstance(later, Handle):
            fid.opened(later, mode)
            self.replies.append(ropen(tag, fid.file.qid, self.iounit))
            return

        def commit(handle: Handle) -> bytes:
            self._opened(fid, handle, mode)
            return ropen(tag, fid.file.qid, self.iounit)

        self._open_later(tag, fid, later, commit)

    def tcreate(self, tag: int, data: bytes, pos: int, end: int) -> None:
        """Make a file in the directory that the fid stands for, and open it."""
        msg = LAYOUTS[Tcreate].decode(data, pos, end)
        fid = self.fids.find(msg.fid)
        if fid.handle is not None or fid.opening:
            raise Refused(EOPEN)
        if not fid.file.is_dir:
            raise Refused(ENOTDIR)
        if msg.name in ("", ".", "..") or "/" in msg.name:
            raise Refused(ENAME)
        mode = msg.mode & ~OCEXEC
        _check_mode(mode, is_dir=bool(msg.perm & DMDIR))

        def commit(made: tuple[File, Handle]) -> bytes:
            file, handle = made
            self._opened(fid, handle, mode)
            fid.file = file
            return pack(tag, Rcreate(file.qid, self.iounit))

        self._open_later(tag, fid, fid.file.create(msg.name, msg.perm, mode), commit)

    def _opened(self, fid: Fid, handle: Handle, mode: int) -> None:
        if fid.clunked:
            handle.close()
            raise Refused(EBADFID)
        fid.opened(handle, mode)

    def _open_later(
        self, tag: int, fid: Fid, later: Later[Any], commit: Commit
    ) -> None:
        fid.opening = True

        def done() -> None:
            fid.opening = False

        self._answer(tag, fid, later, commit, after=done)

    # read(5)

    def tread(self, tag: int, data: bytes, pos: int, end: int) -> None:
        """Read from the fid, at most what fits a message."""
        if end - pos != _TREAD.size:
            raise FormatError("Tread: wrong size")
        number, offset, count = _TREAD.unpack_from(data, pos)
        fid = self._fid(number)
        if fid is None:
            raise Refused(EBADFID)
        if fid.reader is None:
            raise Refused(EBADUSE)
        if offset > MAX_OFFSET:
            raise Refused(EOFFSET)
        if count > self.iounit:
            count = self.iounit
        if count > self.budget.room:  # a short read is no end of the file
            count = self.budget.room
        octets = fid.reader.read(offset, count)
        if not isinstance(octets, bytes):
            commit = partial(self._rread, tag, count)
            self._answer(tag, fid, octets, commit, cost=count)
        elif len(octets) <= BULK:
            self.replies.append(self._rread(tag, count, octets))
        else:
            self.replies += (_checked_head(tag, count, octets), octets)
            self.bulk += len(octets)

    def _rread(self, tag: int, count: int, octets: bytes) -> bytes:
        return _checked_head(tag, count, octets) + octets

    def twrite(self, tag: int, data: bytes, pos: int, end: int) -> None:
        """Write to the fid."""
        if end - pos < _TWRITE.size:
            raise FormatError("Twrite: too short")
        number, offset, count = _TWRITE.unpack_from(data, pos)
        pos += _TWRITE.size
        if count != end - pos:
            raise FormatError("Twrite: count disagrees with the message")
        fid = self._fid(number)
        if fid is None:
            raise Refused(EBADFID)
        if fid.writer is None:
            raise Refused(EBADUSE)
        if offset > MAX_OFFSET - count:
            raise Refused(EOFFSET)
        if count > self.iounit:
            raise Refused(ECOUNT)
        handle = fid.writer
        write = handle.write if count < self.iounit else handle.write_full
        taken = write(offset, data[pos:end])
        self._answer(tag, fid, taken, partial(rwrite, tag, count), cost=count)

    # clunk(5), remove(5)

    def tclunk(self, tag: int, data: bytes, pos: int, end: int) -> None:
        """Forget the fid, even if closing it fails."""
        if end - pos != _TCLUNK.size:
            raise FormatError("Tclunk: wrong size")
        fid = self.fids.pop(*_TCLUNK.unpack_from(data, pos))
        if not fid.pins and fid.handle is not None:
            removal = self.fids.close(fid)
            if removal is not None:
                done = _constant(empty(tag, Rclunk))
                self._answer(tag, None, removal, done, stay=True)
                return
        self.replies.append(empty(tag, Rclunk))

    def tremove(self, tag: int, data: bytes, pos: int, end: int) -> None:
        """Remove the file, and forget the fid even if that fails."""
        msg = LAYOUTS[Tremove].decode(data, pos, end)
        fid = self.fids.pop(msg.fid)
        fid.rclose = False
        fid.pins += 1  # its handle is closed once the file is gone
        try:
            removal, done = fid.file.remove(), _constant(empty(tag, Rremove))
            self._answer(tag, fid, removal, done, stay=True)
        finally:
            self.fids.unpin(fid)

    # stat(5)

    def tstat(self, tag: int, data: bytes, pos: int, end: int) -> None:
        """Tell the directory entry."""
        if end - pos != _TSTAT.size:
            raise FormatError("Tstat: wrong size")
        fid = self._fid(*_TSTAT.unpack_from(data, pos))
        if fid is None:
            raise Refused(EBADFID)
        later = fid.file.stat()
        if isinstance(later, Stat):
            self.replies.append(rstat(tag, self.msize, later))
        else:
            self._answer(tag, fid, later, partial(rstat, tag, self.msize))

    def twstat(self, tag: int, data: bytes, pos: int, end: int) -> None:
        """Change the directory entry."""
        if end - pos < _TWSTAT.size:
            raise FormatError("Twstat: too short")
        fid = self.fids.find(_TWSTAT.unpack_from(data, pos)[0])
        try:
            msg = LAYOUTS[Twstat].decode(data, pos, end)
        except FormatError:
            raise Refused(ESTAT) from None
        if "/" in msg.stat.name:
            raise Refused(ENAME)
        file, done = fid.file, _constant(empty(tag, Rwstat))
        asked = msg.stat
        if asked.name:  # Linux's client tells who renames; the server knows that
            asked = asked._replace(muid="")
        later = file.sync() if asked == NOTOUCH else file.wstat(asked)
        self._answer(tag, fid, later, done)


HANDLERS: dict[type[Any], Callable[[Any, int, bytes, int, int], None]] = {
    Twalk: Transactions.twalk,
    Topen: Transactions.topen,
    Tcreate: Transactions.tcreate,
    Tread: Transactions.tread,
    Twrite: Transactions.twrite,
    Tclunk: Transactions.tclunk,
    Tremove: Transactions.tremove,
    Tstat: Transactions.tstat,
    Twstat: Transactions.twstat,
}


def _constant(reply: bytes) -> Commit:
    return lambda _: reply


def _names(data: bytes, pos: int, end: int, count: int) -> list[str]:
    """Return the names of a Twalk, which fill data[pos:end].

    Raises FormatError if they do not, and Refused for what no file can be called.
    """
    if count > MAXWELEM:
        raise FormatError("Twalk: too many names")
    names = []
    for _ in range(count):
        start = pos + 2
        pos = start + int.from_bytes(data[pos:start], "little")
        if pos > end:
            raise FormatError("Twalk: name runs past the end")
        names.append(decode_text(data[start:pos]))
    if pos != end:
        raise FormatError("Twalk: too long")
    for name in names:
        if not name or "/" in name:
            raise Refused(ENAME)
    return names


def _step(file: File, name: str) -> Later[File]:
    """Walk to a name in a directory; . is the directory itself."""
    if not file.is_dir:
        raise Refused(ENOTDIR)
    return file if name == "." else file.walk(name)


async def _steps(
    later: Awaitable[File], names: list[str], flat: list[int]
) -> File | None:
    """Walk names one after the other; None if the walk stops short of the last.

    The integers of each qid passed are added to flat.
    """
    try:
        file = await later
        flat += file.qid
        for name in names:
            step = _step(file, name)
            file = step if isinstance(step, File) else await step
            flat += file.qid
    except (MailfsError, OSError):
        if not flat:
            raise
        return None
    return file


def _check_mode(mode: int, *, is_dir: bool) -> None:
    """Raise Refused unless a file of that kind can be opened so; open(5)."""
    if mode & ~(3 | OTRUNC | ORCLOSE):
        raise Refused(EMODE)
    if is_dir and mode:
        raise Refused(EISDIR)


def _checked_head(tag: int, count: int, octets: bytes) -> bytes:
    if len(octets) > count:
        raise ValueError(f"read of {count} octets answered with {len(octets)}")
    return rread_head(tag, len(octets))
