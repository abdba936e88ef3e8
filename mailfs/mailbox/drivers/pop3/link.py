"""The sessions of a POP3 mailbox: short, since each locks the maildrop for others.

While the server cannot be reached, or will not have us, attempts become rarer, with
jitter.  A refused password is not tried over and over: servers lock accounts for it.
"""

import logging
import random
import threading
import time
from collections.abc import Callable

from mailfs.errors import MailfsError, reason
from mailfs.mailbox.drivers.pop3.lock import Turn
from mailfs.mailbox.net import Network
from mailfs.poll import readable
from mailfs.pop.account import Account
from mailfs.pop.error import Busy, LoginRefused, PopError, broken
from mailfs.pop.session import TIMEOUT, Pop3Session
from mailfs.remote.backoff import Backoff
from mailfs.remote.stream import Stream

log = logging.getLogger(__name__)

LEAST_POLL = 15.0  # seconds between listings; upasfs(4)
FIRST = 15.0  # seconds until the attempt after a failure
LONGEST = 900.0  # seconds between attempts
REFUSED = 300.0  # seconds at least after a refused key
KEEPS = 2.0  # seconds in which a failed attempt answers for the next, too
LINGER = 2.0  # seconds a session is kept for whoever reads one message after another
TURN = 60.0  # seconds to wait for another process of ours
PATIENCE = 10.0  # seconds to wait for a server's LOGIN-DELAY before giving up
RETRIES = (0.5, 1.0, 2.0)  # seconds between attempts at a maildrop that is in use
MAX_DELAY = 86400  # seconds; what a server may ask for between logins


class Link3:
    """A session, or the lack of one."""

    def __init__(
        self,
        account: Account,
        net: Network,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        """Make none yet.  timeout: seconds to wait for anything from the server."""
        self.account = account
        self._end = threading.Event()  # the mailbox is closed
        self._stream: Stream | None = None  # the session's, from its dialling on
        self.session: Pop3Session | None = None
        self.user = account.user or ""
        self.error = ""  # why the last attempt failed
        self.delay = 0.0  # seconds the server wants between logins
        self.expire = ""  # after how many days it deletes what was left
        self.sessions = 0
        self._received = 0  # octets in sessions that have ended
        self._net = net
        self._turn = Turn(net.pack.directory, account.maildrop)
        self._clock = clock
        self._sleeping = sleep or self._end.wait
        self.timeout = timeout
        self._last = -float(MAX_DELAY)  # the last login, on the clock
        self._backoff = Backoff(FIRST, LONGEST, clock=clock)
        self._failed = 0.0  # when the last failed
        self._failure: Exception | None = None

    def interrupt(self) -> None:
        """Connect no more, and end the connection under whoever waits; any thread."""
        self._end.set()
        if (stream := self._stream) is not None:
            stream.sever()

    def _opened(self, stream: Stream) -> None:
        self._stream = stream
        if self._end.is_set():
            stream.sever()

    def _sleep(self, seconds: float) -> None:
        self._sleeping(seconds)
        if self._end.is_set():
            raise Busy(str(self.account), "the mailbox is closed")

    @property
    def received(self) -> int:
        """Octets the server has sent."""
        now = self.session.wire.received if self.session is not None else 0
        return self._received + now

    def open(self) -> Pop3Session:
        """Return the session; make one if there is none.

        Raises OSError if the server cannot be reached or is busy, and MailfsError
        where it, the trust store or the factotum refuses.
        """
        if self.session is not None and self.session.wire.alive:
            return self.session
        self.drop()
        if self._failure is not None and self._clock() < self._failed + KEEPS:
            raise self._failure
        try:
            session = self._connect()
        except (OSError, MailfsError) as e:
            self.failed(e)
            raise
        self.session = session
        self.sessions += 1
        self.user = session.user or self.user
        self._backoff.succeeded()
        self._failure, self.error = None, ""
        return session

    def _connect(self) -> Pop3Session:
        server = str(self.account)
        self._await_delay(server)
        if not self._turn.take(TURN, self._clock, self._sleep):
            raise Busy(server, "maildrop in use by another mailfs")
        try:
            session = self._insist()
        except BaseException:
            self._turn.give()
            raise
        self._last = self._clock()
        try:
            self._learn(session)
        except BaseException:
            session.drop()
            self._turn.give()
            raise
        return session

    def _await_delay(self, server: str) -> None:
        """Wait as long as the server wants between logins; RFC 2449 section 6.5."""
        left = self._last + self.delay - self._clock()
        if left > PATIENCE:
            raise Busy(server, f"server wants {self.delay:.0f} seconds between logins")
        if left > 0:
            self._sleep(left)

    def _insist(self) -> Pop3Session:
        """Connect; try again a few times while somebody else has the maildrop."""
        for pause in (*RETRIES, None):
            try:
                net = self._net
                with net.keys() as keys, net.refused.guarded(self.account, keys):
                    return Pop3Session.open(
                        self.account,
                        keys,
                        self._net.trust,
                        timeout=self.timeout,
                        opened=self._opened,
                    )
            except Busy as e:
                if pause is None or e.code in ("LOGIN-DELAY", "SYS/TEMP"):
                    raise
                self._sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311  # jitter
        raise AssertionError

    def _learn(self, session: Pop3Session) -> None:
        """Take note of what the server has announced; RFC 2449 section 6."""
        said = session.capabilities.get("LOGIN-DELAY", ("0",))
        if said and said[0].isdecimal():
            self.delay = float(min(int(said[0][:9]), MAX_DELAY))
        self.expire = " ".join(session.capabilities.get("EXPIRE", ()))
        if self.expire.split()[:1] == ["0"]:
            # What has been read would be gone with the session, and the cache is no
            # place for the only copy.
            server = str(self.account)
            raise PopError(server, "server does not allow mail to be left on server")

    def failed(self, e: Exception) -> None:
        """Note that there is no session, and why."""
        self.drop()
        self.error = reason(e) if isinstance(e, OSError) else str(e)
        self._failure, self._failed = e, self._clock()
        least = REFUSED if isinstance(e, LoginRefused) else FIRST
        wait = self._backoff.failed(max(least, min(self.delay, LONGEST)))
        log.info("%s; next attempt in %.0f s", self.error, wait)

    def pause(self, poll: float) -> float:
        """Return seconds until the mailbox should be listed again."""
        if self._backoff.seconds:
            return max(self._backoff.left, KEEPS)
        return max(poll, self.delay, LEAST_POLL)

    def linger(self, wake: int) -> bool:
        """Keep a session for a while, then end it; True if wake could be read."""
        if self.session is None:
            return False
        if readable([wake], LINGER):
            return True
        self.close()
        return False

    def close(self) -> None:
        """End the session, if there is one."""
        session = self._taken()
        if session is not None:
            session.leave()
        self._turn.give()

    def drop(self) -> None:
        """Hang up; a session that dies deletes nothing."""
        session = self._taken()
        if session is not None:
            session.drop()
        self._turn.give()

    def quit(self) -> None:
        """End the session so that what was marked is deleted; see Session.quit."""
        session = self._taken()
        if session is None:
            raise broken(str(self.account), "server hung up")
        try:
            session.quit()
        finally:
            self._turn.give()

    def _taken(self) -> Pop3Session | None:
        session, self.session = self.session, None
        if session is not None:
            self._received += session.wire.received
        return session
