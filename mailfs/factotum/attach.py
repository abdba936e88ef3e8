"""Authentication for a 9P server: an afid that speaks p9any; attach(5), auth(6).

The conversation is the factotum's, which holds the server's key: proto dp9ik or p9sk1,
dom, user and !password, with role=server if an authentication server vouches for other
users (see mailfs.factotum.proto.p9sk1).  Whoever attaches is the user the tickets name,
whatever the attach says.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from mailfs.errors import MailfsError, Refused
from mailfs.factotum.client import SERVICE, Factotum, RpcClient, RpcPhase
from mailfs.factotum.step import AuthInfo
from mailfs.p9.auth import AuthHandle
from mailfs.p9.errstr import EAUTH
from mailfs.p9.fcall import Reply, Request, Rread, Tauth, Tread, Twrite
from mailfs.where import DialString

log = logging.getLogger(__name__)
TEMPLATE = "proto=p9any role=server"
MAX_PENDING = 32  # authentications at once; each is a connection to the factotum


class Afid(AuthHandle):
    """One conversation with the agent, which is asked in a thread."""

    __slots__ = (
        "_busy",
        "_closed",
        "_ended",
        "_keys",
        "_ready",
        "_rpc",
        "_task",
        "_user",
    )

    def __init__(
        self, keys: Factotum, rpc: RpcClient, ended: Callable[[], object]
    ) -> None:
        self._keys = keys
        self._rpc = rpc
        self._ended = ended
        self._ready = b""  # of a message the peer has not read yet
        self._user = ""
        self._busy = False
        self._closed = False

    @property
    def user(self) -> str:
        """The user the tickets name, once they are good."""
        return self._user

    async def read(self, offset: int, count: int) -> bytes:
        """Return the next message, or the rest of one; nothing when all is done."""
        if not self._ready and not self._user:
            await self._alone(self._fetch)
        data, self._ready = self._ready[:count], self._ready[count:]
        if not data and not self._user:
            raise Refused(EAUTH)
        if not self._ready and not self._user:
            # The client may attach right after its last read: see whether we are done.
            # A failure is the next request's, which will find it there.
            with contextlib.suppress(Refused):
                await self._alone(self._fetch)
        return data

    async def write(self, offset: int, data: bytes) -> int:
        """Take a whole message."""
        if self._ready or self._user:
            raise Refused(EAUTH)
        await self._alone(partial(self._take, bytes(data)))
        return len(data)

    async def _alone(self, job: Callable[[], None]) -> None:
        """Run a job in a thread, one at a time, and refuse in one way only."""
        if self._busy or self._closed:
            raise Refused(EAUTH)
        self._busy = True
        # A flush ends the wait, not the job: the factotum's answer must be taken.
        self._task = asyncio.create_task(self._run(job))
        self._task.add_done_callback(_seen)
        try:
            await asyncio.shield(self._task)
        except MailfsError as e:
            # The reason is for our log: it could tell a stranger what users there are.
            raise Refused(EAUTH) from e

    async def _run(self, job: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(job)
        finally:
            self._busy = False
            if self._closed:
                self._keys.close()

    def _take(self, data: bytes) -> None:
        self._rpc.write(data)
        self._fetch()  # it may attach right after its last write, too

    def _fetch(self) -> None:
        try:
            data = self._rpc.read()
        except RpcPhase:
            return
        if data is None:
            self._user = self._rpc.authinfo().cuid
        else:
            self._ready = data

    def close(self) -> None:
        """End the conversation, at once or when the thread comes back."""
        if self._closed:
            return
        self._closed = True
        self._ended()
        if not self._busy:
            self._keys.close()


def _seen(task: "asyncio.Task[None]") -> None:
    """Log a task's error, whether or not somebody still waits for it."""
    if not task.cancelled() and (error := task.exception()):
        log.warning("authentication failed: %s", error)


def authenticator(
    address: DialString | str = SERVICE,
    template: str = TEMPLATE,
    most: int = MAX_PENDING,
) -> Callable[[str, str], Awaitable[AuthHandle]]:
    """Make the authenticator that a 9P server takes.

    Each Tauth opens a conversation with the factotum at address.  Where there are
    too many the oldest is ended: a peer that means to attach is done in a moment.
    """
    starting = 0
    begun: dict[Afid, None] = {}  # in the order they began

    def begin() -> tuple[Factotum, RpcClient]:
        keys = Factotum(address)
        try:
            return keys, keys.start(template)
        except BaseException:
            keys.close()
            raise

    async def auth(uname: str, aname: str) -> AuthHandle:
        nonlocal starting
        if starting + len(begun) >= most:
            oldest = next((one for one in begun if not one.user), None)
            if oldest is None:
                raise Refused("too many authentications at once")
            oldest.close()
        starting += 1
        try:
            keys, rpc = await asyncio.to_thread(begin)
        except MailfsError as e:
            log.warning("cannot authenticate %r: %s", uname, e)
            raise Refused(EAUTH) from e
        finally:
            starting -= 1
        afid = Afid(keys, rpc, lambda: begun.pop(afid, None))
        begun[afid] = None
        return afid

    return auth


def prove(ask: Callable[[Request], Reply], afid: int, uname: str, aname: str) -> bool:
    """Prove our identity with the user's factotum; the auth argument of a 9P Client."""
    with Factotum() as keys:
        done = authenticate(ask, keys, afid=afid, uname=uname, aname=aname)
    return done is not None


def authenticate(
    ask: Callable[[Request], Reply],
    keys: Factotum,
    *,
    afid: int,
    uname: str,
    aname: str,
) -> AuthInfo | None:
    """Prove our identity through afid, as a 9P client; None if no proof is wanted.

    ask sends a request and returns the reply, or raises Refused.  The afid is then good
    for Tattach with uname and aname; the caller clunks it.
    """
    try:
        ask(Tauth(afid, uname, aname))
    except Refused:
        return None  # attach(5): the attach itself will tell if this was wrong
    offset = 0

    def send(data: bytes) -> None:
        nonlocal offset
        ask(Twrite(afid, offset, data))
        offset += len(data)

    def recv(count: int) -> bytes:
        nonlocal offset
        reply = ask(Tread(afid, offset, count))
        assert isinstance(reply, Rread)  # ask has seen to it
        offset += len(reply.data)
        return bytes(reply.data)

    return keys.proxy("proto=p9any role=client", send, recv)
