"""One connection's session: versions, trees, flushes, and the one door in and out.

Octets in, octets out, and no sockets: request() takes one message, and the replies
appear in the list replies, in the order they are to be sent.  When the reply of a
request that had to wait is added, ready is called.

Source: section 5 of the manual; where it is silent, lib9p's habits.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from mailfs.errors import EIO, EISDIR, MailfsError, Refused
from mailfs.p9.auth import Auth, AuthFile, AuthHandle
from mailfs.p9.budget import Budget
from mailfs.p9.errstr import EAUTH, EBADTYPE, EBADUSE, EMODE, ENOAUTH, EOPEN, EPROTO
from mailfs.p9.fcall import (
    IOHDRSZ,
    LAYOUTS,
    NOFID,
    NUMBERS,
    OCEXEC,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    VERSION,
    FormatError,
    Rattach,
    Rauth,
    Rversion,
    Tattach,
    Tauth,
    Tflush,
    Topen,
    Tversion,
    pack,
)
from mailfs.p9.fid import Fid
from mailfs.p9.file import File, Handle, Later
from mailfs.p9.openfd import TOPENFD, Pump, ropenfd
from mailfs.p9.pending import ETOOMANY, Pending
from mailfs.p9.reply import refusal, rerror
from mailfs.p9.transact import HANDLERS, Transactions
from mailfs.p9.unixerr import words

log = logging.getLogger(__name__)

MSIZE = 1 << 20  # octets; the largest message we take or send
MIN_MSIZE = 256  # octets; Rwalk of sixteen qids needs 217
FIRST_MSIZE = 8192 + IOHDRSZ  # octets; before Tversion, what old clients ask for
MAX_FIDS = 1 << 18  # a Linux client keeps one for each name it remembers
MAX_REQUESTS = 4096  # waiting at one time; 9pserve brings many clients on one line
MAX_HELD = 64 << 20  # octets that waiting requests and their replies may come to
MAX_PUMPS = 64  # descriptors passed that are open; 9pserve brings many clients
MAX_AFIDS = 4  # authentications under way

UNIX = ("u", "L")  # dialects offered by clients that know the system's errors only

EMSIZE = "max messagesize too small"
EVERSION = "version comes first"

Attach = Callable[[str, str], Later[File]]
"""Return the root of the tree that (uname, aname) asks for; attach(5)."""


class Hangup(MailfsError):
    """The client has broken the protocol in a way that no reply can mend."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may claim."""

    msize: int = MSIZE
    fids: int = MAX_FIDS
    requests: int = MAX_REQUESTS
    held: int = MAX_HELD
    pumps: int = MAX_PUMPS
    afids: int = MAX_AFIDS


_VERSION = NUMBERS[Tversion]


class Session(Transactions):
    """The state of one connection.  All of it runs on the server's event loop."""

    def __init__(
        self,
        attach: Attach,
        *,
        auth: Auth | None = None,
        limits: Limits | None = None,
        ready: Callable[[], None] = lambda: None,
        budget: Budget | None = None,
    ) -> None:
        self.limits = limits or Limits()
        budget = budget or Budget()
        pending = Pending(
            self._send, FIRST_MSIZE, self.limits.requests, self.limits.held, budget
        )
        super().__init__(FIRST_MSIZE, self.limits.fids, pending, [], budget)
        self.guarded = False  # no long messages before an attach
        self.attached = False  # at least once
        self.most = FIRST_MSIZE  # octets of the longest message that is taken
        self._tags = pending.tags
        self._attach = attach
        self._auth = auth
        # The user whom the line itself proves; empty if it proves nobody, None if
        # it is not asked to.
        self.known: str | None = None
        self._ready = ready
        self._handlers: dict[int, Callable[[int, bytes, int, int], None]] = {
            _VERSION: self.tversion
        }
        self.passes = False  # the line can pass descriptors
        self.passing = 0  # replies that do, not yet taken
        self._pumps: set[asyncio.Task[None]] = set()

    @property
    def versioned(self) -> bool:
        """Whether a version has been agreed on."""
        return len(self._handlers) > 1

    def request(self, number: int, tag: int, data: bytes, pos: int, end: int) -> None:
        """Take the message of type number whose fields are data[pos:end].

        Raises Hangup if its tag is in use: no reply could tell the two apart.
        """
        if tag in self._tags and number != _VERSION:
            raise Hangup(f"tag {tag} is in use")
        handler = self._handlers.get(number)
        if handler is None:
            self.refuse(tag, EBADTYPE if self.versioned else EVERSION)
            return
        try:
            handler(tag, data, pos, end)
        except FormatError as e:
            log.info("%s: %s", EPROTO, e)
            self.refuse(tag, EPROTO)
        except (MailfsError, OSError) as e:
            self.refuse(tag, refusal(e))
        except Exception:
            log.exception("unexpected error while answering a request")
            self.refuse(tag, EIO)

    def refuse(self, tag: int, text: str) -> None:
        """Answer Rerror."""
        self.replies.append(rerror(tag, self.pending.words(text), self.msize))

    def close(self) -> None:
        """Stop replying and clunk every fid; settle() waits for what is left."""
        self.pending.drop()
        self.fids.clear()
        for pump in self._pumps:
            pump.cancel()

    async def settle(self) -> None:
        """Wait for what close could not end at once."""
        if self._pumps:
            await asyncio.wait(set(self._pumps))
        await self.pending.settle()

    def _send(self, reply: bytes) -> None:
        self.replies.append(reply)
        self._ready()

    def tversion(self, tag: int, data: bytes, pos: int, end: int) -> None:
        """Begin a session, if the version is one we speak; version(5)."""
        msg = LAYOUTS[Tversion].decode(data, pos, end)
        if msg.msize < MIN_MSIZE:
            raise Refused(EMSIZE)
        msize = self.budget.msize(min(msg.msize, self.limits.msize))
        version, _, dialect = msg.version.partition(".")
        if version != VERSION:
            self.replies.append(pack(tag, Rversion(msize, "unknown")))
            return
        self.close()
        self.msize = self.pending.msize = msize
        self.pending.words = words if dialect in UNIX else str
        self.iounit = msize - IOHDRSZ
        self._take_more()
        for cls, handler in (HANDLERS | _HANDLERS).items():
            self._handlers[NUMBERS[cls]] = partial(handler, self)
        if self.passes:
            self._handlers[TOPENFD] = self.topenfd
        self.replies.append(pack(tag, Rversion(msize, VERSION)))

    def _take_more(self) -> None:
        free = self.attached or not self.guarded
        self.most = self.msize if free else min(self.msize, FIRST_MSIZE)

    def tflush(self, tag: int, data: bytes, pos: int, end: int) -> None:
        """Abort a request; flush(5)."""
        msg = LAYOUTS[Tflush].decode(data, pos, end)
        self.pending.flush(tag, msg.oldtag)

    def tauth(self, tag: int, data: bytes, pos: int, end: int) -> None:
        """Make a fid to authenticate through; attach(5)."""
        msg = LAYOUTS[Tauth].decode(data, pos, end)
        if self._auth is None or (self.known and self.known == msg.uname):
            raise Refused(ENOAUTH if self.known != "" else EAUTH)
        file = AuthFile(msg.uname, msg.aname)
        self.fids.check_free(msg.afid)
        fids = self.fids.table.values()
        if sum(isinstance(fid.file, AuthFile) for fid in fids) >= self.limits.afids:
            raise Refused("too many authentications at once")

        def make(handle: AuthHandle) -> tuple[Fid, bytes]:
            fid = Fid(file)
            fid.opened(handle, ORDWR)
            return fid, pack(tag, Rauth(file.qid))

        self._make(tag, msg.afid, self._auth(msg.uname, msg.aname), make)

    def tattach(self, tag: int, data: bytes, pos: int, end: int) -> None:
        """Make a fid of a tree's root; attach(5)."""
        msg = LAYOUTS[Tattach].decode(data, pos, end)
        self._check_afid(msg)
        self.fids.check_free(msg.fid)

        def make(root: File) -> tuple[Fid, bytes]:
            self.attached = True
            self._take_more()
            return Fid(root), pack(tag, Rattach(root.qid))

        self._make(tag, msg.fid, self._attach(msg.uname, msg.aname), make)

    def _make(
        self,
        tag: int,
        number: int,
        later: Later[Any],
        make: Callable[[Any], tuple[Fid, bytes]],
    ) -> None:
        token = self.fids.reserve(number)

        def commit(got: Any) -> bytes:
            fid, reply = make(got)
            self.fids.bind(number, token, fid)
            return reply

        undo = partial(self.fids.unreserve, number, token)
        self._answer(tag, None, later, commit, after=undo)

    def topenfd(self, tag: int, data: bytes, pos: int, end: int) -> None:
        """Open the fid and pass it on as a descriptor; see mailfs.p9.openfd."""
        msg = LAYOUTS[Topen].decode(data, pos, end)
        fid = self.fids.find(msg.fid)
        mode = msg.mode & ~OCEXEC
        if fid.handle is not None or fid.opening:
            raise Refused(EOPEN)
        if mode & ~OTRUNC not in (OREAD, OWRITE):
            raise Refused(EMODE)
        if fid.file.is_dir:
            raise Refused(EISDIR)
        self._check_pumps()

        def commit(handle: Handle) -> bytes:
            self._opened(fid, handle, mode)
            self._check_pumps()  # others may have been opened meanwhile
            pump = Pump(fid, mode, self.iounit)
            # The number is free for the client's next fid, the file stays open.
            del self.fids.table[msg.fid]
            fid.clunked = True
            fid.pins += 1
            task = asyncio.ensure_future(pump.run())
            self._pumps.add(task)
            self.budget.pumps -= 1
            task.add_done_callback(self._pumped)
            task.add_done_callback(lambda _: self.fids.unpin(fid))
            self.passing += 1
            return ropenfd(tag, fid.file.qid, self.iounit, pump.there)

        self._open_later(tag, fid, fid.file.open(mode), commit)

    def _check_pumps(self) -> None:
        """Raise Refused where no more descriptors can be passed."""
        if len(self._pumps) >= self.limits.pumps or self.budget.pumps <= 0:
            raise Refused(ETOOMANY)

    def _pumped(self, task: "asyncio.Task[None]") -> None:
        self._pumps.discard(task)
        self.budget.pumps += 1

    def _check_afid(self, msg: Tattach) -> None:
        """Raise Refused unless afid or line prove the user, where that is asked."""
        if msg.afid == NOFID:
            needed = self._auth is not None or self.known is not None
            if needed and not (self.known and self.known == msg.uname):
                raise Refused(EAUTH)
            return
        fid = self.fids.find(msg.afid)
        if not isinstance(fid.file, AuthFile) or not isinstance(fid.handle, AuthHandle):
            raise Refused(EBADUSE)
        proved = (fid.file.uname, fid.file.aname, fid.handle.user)
        if not msg.uname or proved != (msg.uname, msg.aname, msg.uname):
            raise Refused(EAUTH)


_HANDLERS: dict[type[Any], Callable[[Any, int, bytes, int, int], None]] = {
    Tflush: Session.tflush,
    Tauth: Session.tauth,
    Tattach: Session.tattach,
}
