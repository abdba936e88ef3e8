"""Fids: what a client's numbers stand for; intro(5)."""

import logging
from collections.abc import Awaitable, Callable

from mailfs.errors import MailfsError, Refused
from mailfs.p9.budget import FID_BLOCK, Budget
from mailfs.p9.errstr import EBADFID, EFIDUSE
from mailfs.p9.fcall import NOFID, ORCLOSE, ORDWR, OWRITE
from mailfs.p9.file import File, Handle, Later

log = logging.getLogger(__name__)

EFIDS = "too many fids"


class Fid:
    """A file that a client holds, open or not."""

    __slots__ = (
        "clunked",
        "file",
        "handle",
        "lost",
        "opening",
        "pins",
        "rclose",
        "reader",
        "writer",
    )

    def __init__(self, file: File) -> None:
        self.file = file
        self.handle: Handle | None = None
        self.reader: Handle | None = None  # the handle, if the mode allows reading
        self.writer: Handle | None = None  # the same for writing
        self.rclose = False
        self.opening = False  # an open or create is waiting
        self.clunked = False
        self.lost = False  # the session ended while it was there
        self.pins = 0  # requests under way; the handle lives as long as they

    def opened(self, handle: Handle, mode: int) -> None:
        """Note that the file is open in that mode."""
        access = mode & 3
        self.handle = handle
        self.reader = None if access == OWRITE else handle
        self.writer = handle if access in (OWRITE, ORDWR) else None
        self.rclose = bool(mode & ORCLOSE)


class Fids:
    """The fids of one session, and the numbers promised to walks that still wait."""

    def __init__(
        self,
        limit: int,
        background: Callable[[Awaitable[None]], None],
        budget: Budget,
    ) -> None:
        self.table: dict[int, Fid] = {}
        self._reserved: dict[int, object] = {}
        self._limit = limit
        self._budget = budget
        self._blocks = 0  # granted beyond the first
        self._granted = min(limit, FID_BLOCK)
        self._background = background

    def find(self, number: int) -> Fid:
        """Return the fid.  Raises Refused if there is none."""
        fid = self.table.get(number)
        if fid is None:
            raise Refused(EBADFID)
        return fid

    def check_free(self, number: int) -> None:
        """Raise Refused unless number can become a fid."""
        if number == NOFID:
            raise Refused(EBADFID)
        if number in self.table or number in self._reserved:
            raise Refused(EFIDUSE)
        if len(self.table) + len(self._reserved) >= self._granted:
            self._grow()

    def _grow(self) -> None:
        """Ask for another block of fids.  Raises Refused if there is none to be had."""
        if self._granted >= self._limit or not self._budget.more_fids(self._granted):
            raise Refused(EFIDS)
        self._set(self._blocks + 1)

    def _shrink(self) -> None:
        """Give back the blocks that are not used, but for one to go on with."""
        blocks = min(len(self.table) // FID_BLOCK + 1, self._blocks)
        self._budget.fids += (self._blocks - blocks) * FID_BLOCK
        self._set(blocks)

    def _set(self, blocks: int) -> None:
        self._blocks = blocks
        self._granted = min((blocks + 1) * FID_BLOCK, self._limit)

    def reserve(self, number: int) -> object:
        """Promise number, known to be free, to the holder of the token returned."""
        token = self._reserved[number] = object()
        return token

    def unreserve(self, number: int, token: object) -> None:
        """Take the promise back, unless the session has ended since."""
        if self._reserved.get(number) is token:
            del self._reserved[number]

    def bind(self, number: int, token: object, fid: Fid) -> None:
        """Keep the promise.  Raises Refused if the session has ended since."""
        if self._reserved.get(number) is not token:
            self.release(fid)
            raise Refused(EBADFID)
        self.table[number] = fid

    def pop(self, number: int) -> Fid:
        """Return the fid and forget its number.  Raises Refused if there is none."""
        fid = self.find(number)
        del self.table[number]
        if len(self.table) < self._granted - 2 * FID_BLOCK:
            self._shrink()
        fid.clunked = True
        if fid.pins and fid.handle is not None:
            fid.handle.abandon()
        return fid

    def close(self, fid: Fid) -> Later[None]:
        """Close the fid's handle, and remove the file if it was opened with ORCLOSE."""
        handle, rclose = fid.handle, fid.rclose
        fid.handle, fid.rclose = None, False
        if handle is not None and fid.lost:
            handle.lost()
        elif handle is not None:
            handle.close()
        return fid.file.remove() if rclose else None

    def release(self, fid: Fid) -> None:
        """Clunk a fid that nobody will be told of, once no request uses it."""
        fid.clunked = True
        if fid.pins:
            return
        try:
            later = self.close(fid)
        except (MailfsError, OSError) as e:
            log.warning("closing a fid: %s", e)
        except Exception:
            log.exception("unexpected error while closing a fid")
        else:
            if later is not None:
                self._background(later)

    def unpin(self, fid: Fid) -> None:
        """Note that one request less uses the fid."""
        fid.pins -= 1
        if fid.clunked:
            self.release(fid)

    def clear(self) -> None:
        """Clunk all fids and break all promises; version(5)."""
        fids = list(self.table.values())
        self.table.clear()
        self._reserved.clear()
        self._budget.fids += self._blocks * FID_BLOCK
        self._set(0)
        for fid in fids:
            fid.lost = True
            self.release(fid)
