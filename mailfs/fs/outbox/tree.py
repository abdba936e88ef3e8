"""The directory outbox: a message written to a file there is sent when it is closed.

    outbox/NAME          a letter: until it is queued, and for good if it is refused
    outbox/NAME.status   what became of it, a name and a value a line
    outbox/status        all of them: name, state, and the first line of the reason

A clunk cannot fail, so what is wrong with a letter is in its status.  A letter may be
written in any number of pieces, at any offsets, through any number of fids; it is
sent a moment after the last one that may write is clunked.  One whose connection ends
before stays as a draft, for nobody can say whether it was complete.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator

from mailfs.attr import quote
from mailfs.errors import EFBIG, EGONE, EISDIR, ENOENT, EPERM, Refused, reason
from mailfs.fs.codes import Code
from mailfs.fs.node import Attach, DirListing, directory, path, plain
from mailfs.fs.outbox.letter import MAX_LETTER, Letter, LetterState
from mailfs.fs.outbox.post import STATUS, SUFFIX, Post, post
from mailfs.p9.errstr import EINTERRUPTED, EWSTAT
from mailfs.p9.fcall import (
    DMDIR,
    NOTOUCH,
    OEXEC,
    ORCLOSE,
    OREAD,
    OTRUNC,
    QTDIR,
    QTFILE,
    Qid,
    Stat,
)
from mailfs.p9.file import File, Handle


def may_send(attachment: Attach) -> bool:
    """Whether an attach may send mail: one that may change things, and sees all."""
    shelf = attachment.boxes
    return not shelf.place.readonly and shelf.scope.free and attachment.ctl


class Outbox(File):
    """The directory."""

    __slots__ = ("attachment", "parent")

    def __init__(self, attachment: Attach, parent: File | None = None) -> None:
        self.attachment = attachment
        self.parent = parent

    @property
    def qid(self) -> Qid:
        """The directory's identity."""
        return Qid(QTDIR, 0, path(0, 0, 0, Code.OUTBOX))

    @property
    def post(self) -> Post:
        """The letters.  Raises Refused for who may not send."""
        self.attachment.boxes.check_writable()
        if not may_send(self.attachment):
            raise Refused(EPERM)
        return post(self.attachment.boxes.place)

    def stat(self) -> Stat:
        """Return its entry."""
        mode = 0o700 if may_send(self.attachment) else 0o500
        user = self.attachment.user
        return directory("outbox", self.qid.path, 0, int(time.time()), user, mode)

    def walk(self, name: str) -> File:
        """Return a letter, a status, or the table of all."""
        if name == "..":
            return self.parent or self
        if name == STATUS:
            return Report(
                self, STATUS, Qid(QTFILE, 0, path(0, 0, 0, Code.LETTERS)), self.table
            )
        found = self.post.get(name)
        if found is not None and found.there:
            return LetterFile(self, found)
        if name.endswith(SUFFIX):
            found = self.post.get(name.removesuffix(SUFFIX))
            if found is not None:
                return self._fate(found)
        raise Refused(ENOENT)

    def _fate(self, letter: Letter) -> "Report":
        qid = Qid(
            QTFILE, letter.version & 0xFFFFFFFF, path(0, letter.number, 0, Code.FATE)
        )
        return Report(self, letter.name + SUFFIX, qid, letter.lines, letter)

    def open(self, mode: int) -> Handle:
        """Open it to be listed."""
        self.post  # noqa: B018  # refuses who may not
        return DirListing(self.entries)

    def entries(self) -> Iterator[bytes]:
        """Give the packed entries: the table, letters, each with its status."""
        yield self.walk(STATUS).stat().pack()  # type: ignore[union-attr]
        for letter in self.post:
            if letter.there:
                yield LetterFile(self, letter).entry().pack()
            yield self._fate(letter).stat().pack()

    def create(self, name: str, perm: int, mode: int) -> tuple[File, Handle]:
        """Make a letter and open it."""
        if perm & DMDIR:
            raise Refused(EPERM)
        self.post.check_handles()
        letter = self.post.create(name)
        return LetterFile(self, letter), LetterHandle(self.post, letter, mode)

    def table(self) -> str:
        """Show the file status."""
        return "".join(map(_row, self.post))


def _row(letter: Letter) -> str:
    state, _, rest = letter.lines().partition("\n")
    first = rest.partition("\n")[0]
    return (
        f"{quote(letter.name)} {state.removeprefix('state ')} {first}".rstrip() + "\n"
    )


class Report(File):
    """A status: read as it was when it was opened; one of a letter may be removed."""

    __slots__ = ("_letter", "_name", "_qid", "_text", "outbox")

    def __init__(
        self,
        outbox: Outbox,
        name: str,
        qid: Qid,
        text: Callable[[], str],
        letter: Letter | None = None,
    ) -> None:
        self.outbox = outbox
        self._name = name
        self._qid = qid
        self._text = text
        self._letter = letter

    @property
    def qid(self) -> Qid:
        """The file's identity."""
        return self._qid

    def octets(self) -> bytes:
        """Show the file's text."""
        return self._text().encode("utf-8", "replace")

    def stat(self) -> Stat:
        """Return its entry."""
        when = int(time.time()) if self._letter is None else self._letter.mtime
        user, size = self.outbox.attachment.user, len(self.octets())
        return plain(self._name, self.qid.path, self.qid.vers, when, user, 0o400, size)

    def open(self, mode: int) -> Handle:
        """Open it to be read."""
        if mode & 3 not in (OREAD, OEXEC) or mode & (OTRUNC | ORCLOSE):
            raise Refused(EPERM)
        return ReportHandle(self.octets())

    def remove(self) -> None:
        """Forget what became of a letter that has gone."""
        if self._letter is None or self._letter.there:
            raise Refused(EPERM)
        self.outbox.post.remove(self._letter)


class ReportHandle(Handle):
    """A text, open."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def read(self, offset: int, count: int) -> bytes:
        """Return octets of it."""
        return self._octets[offset : offset + count]


class LetterFile(File):
    """A letter."""

    __slots__ = ("letter", "outbox")

    def __init__(self, outbox: Outbox, letter: Letter) -> None:
        self.outbox = outbox
        self.letter = letter

    @property
    def qid(self) -> Qid:
        """The letter's identity."""
        letter = self.letter
        return Qid(
            QTFILE, letter.version & 0xFFFFFFFF, path(0, letter.number, 0, Code.LETTER)
        )

    def stat(self) -> Stat:
        """Return its entry."""
        self._check()
        return self.entry()

    def entry(self) -> Stat:
        """Return its entry as it was when it was last there."""
        letter, user = self.letter, self.outbox.attachment.user
        letter.measure()
        vers = self.qid.vers
        when, size = letter.mtime, letter.size
        return plain(letter.name, self.qid.path, vers, when, user, 0o600, size)

    def _check(self) -> None:
        if not self.letter.there:
            raise Refused(EGONE)

    def open(self, mode: int) -> Handle:
        """Open it to be read, or changed unless it is being sent."""
        self._check()
        if mode & 3 == OEXEC:
            raise Refused(EPERM)
        self.outbox.post.check_handles()
        if mode & 3 != OREAD or mode & OTRUNC:
            self.outbox.post.wake(self.letter)
            self.letter.check_idle()
        if mode & OTRUNC:
            self.letter.truncate(0)
        return LetterHandle(self.outbox.post, self.letter, mode)

    def remove(self) -> None:
        """Remove it; it is not sent."""
        self.outbox.post.remove(self.letter)

    def sync(self) -> Awaitable[None]:
        """Put it on disk."""
        self._check()
        return asyncio.to_thread(self._sync)

    def wstat(self, stat: Stat) -> None:
        """Change name or length; mode and times may be given and do nothing.

        So may who makes the change, beside a name: Linux's 9P client tells it.
        """
        self._check()
        if stat.name:
            stat = stat._replace(muid="")
        kept = stat._replace(name="", length=NOTOUCH.length, mode=NOTOUCH.mode)
        kept = kept._replace(atime=NOTOUCH.atime, mtime=NOTOUCH.mtime)
        if kept != NOTOUCH._replace(name=""):
            raise Refused(EWSTAT)
        if stat.mode != NOTOUCH.mode and stat.mode & DMDIR:
            raise Refused(EISDIR)
        if stat.length != NOTOUCH.length:
            self.outbox.post.wake(self.letter)
            self.letter.truncate(stat.length)
        if stat.name and stat.name != self.letter.name:
            self.outbox.post.rename(self.letter, stat.name)

    def _sync(self) -> None:
        fd = os.open(self.letter.path(), os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        self.outbox.post.synced(self.letter)


class LetterHandle(Handle):
    """A letter, open."""

    __slots__ = ("_busy", "_closed", "_discard", "_fd", "_letter", "_post", "_writes")

    def __init__(self, post: Post, letter: Letter, mode: int) -> None:
        self._post = post
        self._letter = letter
        self._writes = mode & 3 != OREAD
        self._discard = bool(mode & ORCLOSE)
        flags = os.O_RDWR if self._writes else os.O_RDONLY
        self._fd = os.open(letter.path(), flags | os.O_CLOEXEC)
        post.handles += 1
        self._busy = 0  # writes under way, cancelled ones too
        self._closed: Callable[[], None] | None = None
        if self._writes:
            letter.writers += 1

    def read(self, offset: int, count: int) -> bytes:
        """Return octets of it."""
        return os.pread(self._fd, count, offset)

    async def write(self, offset: int, data: bytes) -> int:
        """Put octets, in a thread: a slow disk shall delay nobody else.

        A letter of which a write was refused, or flushed, is not sent.
        """
        letter = self._letter
        if letter.state is LetterState.REMOVED:
            raise Refused(EGONE)
        letter.touch()
        if offset + len(data) > MAX_LETTER:
            letter.broken = EFBIG
            raise Refused(EFBIG)
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(None, letter.write, self._fd, offset, data)
        self._busy += 1
        work.add_done_callback(self._written)
        try:
            return await asyncio.shield(work)
        except OSError as e:
            letter.broken = reason(e)
            raise
        except asyncio.CancelledError:
            letter.broken = EINTERRUPTED
            raise

    def _written(self, work: "asyncio.Future[int]") -> None:
        self._busy -= 1
        if not work.cancelled():
            work.exception()  # somebody has seen it, be the request flushed
        if self._closed is not None and not self._busy:
            self._closed()

    def close(self) -> None:
        """Send the letter if this was the last fid that might write."""
        self._end(self._sent)

    def lost(self) -> None:
        """Keep the letter as a draft: nobody has said that it is complete."""
        self._end(self._left)

    def _end(self, then: Callable[[], None]) -> None:
        # A write that was flushed goes on in its thread and needs the descriptor.
        if self._busy:
            self._closed = then
        else:
            then()

    def _sent(self) -> None:
        if self._discard and self._writes:
            self._left()
            return
        self._done()
        if self._writes:
            self._post.close(self._letter)

    def _left(self) -> None:
        if self._writes:
            self._letter.changed = False
        self._done()

    def _done(self) -> None:
        os.close(self._fd)
        self._post.handles -= 1
        if self._writes:
            self._letter.writers -= 1
