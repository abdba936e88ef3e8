"""The connection of an IMAP mailbox: made when needed, made again when it broke.

While the server cannot be reached attempts become rarer, with jitter, so that many
mailboxes do not come back all at once.  A wrong password is not tried over and over.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from mailfs.errors import MailfsError, reason
from mailfs.imap.account import Account
from mailfs.imap.folder import Known, Selected
from mailfs.imap.session import ImapSession
from mailfs.mailbox.drivers.imap import listings
from mailfs.mailbox.net import Network
from mailfs.poll import readable

log = logging.getLogger(__name__)

FIRST = 1.0  # seconds until the second attempt
LONGEST = 300.0  # seconds between attempts
REFUSED = 60.0  # seconds at least after the server refused us
TIMEOUT = 30.0  # seconds to wait for anything the server should send
PARKED = 300.0  # seconds until a mailbox without a connection looks for news
POLL = 30.0  # seconds between questions to a server that does not tell by itself
LINGER = 0.2  # seconds after a job in which another is likely
FRESH = 3.0  # seconds that its answer holds for whoever looks
JUMP = 15.0  # seconds the clock must have jumped for the machine to have slept
ERROR_KEEPS = 2.0  # seconds in which a failed attempt answers for the next, too
T = TypeVar("T")


class ServerUnreachable(OSError):
    """The server cannot be reached; the text names it and says why."""

    def __str__(self) -> str:
        return str(self.args[0])


class Link:
    """One logged-in connection with a folder selected, or the lack of it."""

    def __init__(
        self,
        account: Account,
        folder: str,
        net: Network,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.account = account
        self.folder = folder
        self._session: ImapSession | None = None
        self.selected: Selected | None = None  # how the folder was found, if newly
        self.error = ""  # why there is no session
        self.asked = 0.0  # when the server last was asked for news, on the clock
        self.since = 0.0  # when the session was made, seconds since the epoch
        self._net = net
        self._clock = clock
        self._wall = wall
        self._ended = False
        self._waiting = False  # for news, and for nothing else
        self._parked = False  # without a connection until there is use for one
        self._delay = 0.0
        self._next = 0.0  # when to try again, on the clock
        self._failed = 0.0  # when the last attempt failed
        self._failure: Exception | None = None

    @property
    def session(self) -> ImapSession | None:
        """The session, None if there is none or it had to be given up."""
        session = self._session
        if session is not None and not session.alive:
            self.drop(session.wire.line.failure or "server hung up")
        return self._session

    def open(self, known: Callable[[], Known | None], *, readonly: bool) -> ImapSession:
        """Return the session, the folder selected; connect if there is none.

        known tells what is known of the folder.  Raises Unreachable, or MailfsError
        where the server or the trust store refuses.
        """
        self._parked = False
        if self.session is not None:
            self._net.lines.use(self.account, self)
            return self.session
        if self._ended:
            raise ServerUnreachable(f"{self.account}: the mailbox is closed")
        if self._failure is not None and self._clock() < self._failed + ERROR_KEEPS:
            raise self._failure
        try:
            self._connect(known(), readonly)
        except OSError as e:
            self._fail(self.unreachable(e), FIRST)
        except MailfsError as e:
            self._fail(e, REFUSED)
        assert self.session is not None
        return self.session

    def unreachable(self, e: OSError) -> ServerUnreachable:
        """Return an error as one that names the server."""
        text, where = reason(e), str(self.account)
        return ServerUnreachable(text if text.startswith(where) else f"{where}: {text}")

    def login(self) -> ImapSession:
        """Return a new session without a folder, which is the caller's."""
        with self._net.keys() as keys:
            return ImapSession.open(
                self.account, keys, self._net.trust, timeout=TIMEOUT
            )

    def _connect(self, known: Known | None, readonly: bool) -> None:
        session = self.login()
        try:
            session.names = self._net.lines.names(self.account)
            self.selected = session.select(self.folder, known, readonly=readonly)
            if not self.selected.uidvalidity:
                self.selected.uidvalidity = listings.made_up()
        except BaseException:
            session.drop()
            raise
        self._session = session
        lines = self._net.lines
        if "NOTIFY" in session.capabilities and lines.herald(self.account, self):
            session.notify()
        lines.enter(self.account, self)
        self.asked = self._clock()
        self.error, self._failure = "", None
        self._delay, self._next = 0.0, 0.0
        self.since = self._wall()

    def _fail(self, e: Exception, least: float) -> None:
        """Note that an attempt failed, and raise e."""
        self.drop(str(e))
        self._failure = e
        self._failed = self._clock()
        self._delay = min(max(2 * self._delay, least), LONGEST)
        jitter = self._delay * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
        self._next = self._failed + jitter
        log.info("%s; next attempt in %.0f s", e, jitter)
        raise e

    def drop(self, why: str = "") -> None:
        """Hang up at once."""
        session, self._session = self._session, None
        self._net.lines.leave(self.account, self)
        self.selected = None
        self.error = why
        if session is not None:
            session.drop()

    def close(self) -> None:
        """Log out."""
        session, self._session = self._session, None
        self._net.lines.leave(self.account, self)
        if session is not None:
            session.logout()

    def end(self) -> None:
        """Log out, and connect no more: whoever still asks comes too late."""
        self._ended = True
        self.close()

    def park(self) -> bool:
        """Hang up if nobody is being served; another mailbox needs the connection."""
        session = self._session
        if session is None or not self._waiting:
            return False
        self._parked = True
        session.wire.line.shut()
        return True

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows of ``status`` about the connection."""
        session = self._session
        if session is not None and not session.alive:
            session = None
        if session is None and self._parked:
            return [("server", f"{self.account} parked")]
        if session is None:
            found = [("server", f"{self.account} not connected")]
            if self.error:
                found.append(("server-error", self.error))
                found.append(("retry", f"{self.next:.0f} s"))
            return found
        since = int(self._wall() - self.since)
        return [("server", f"{self.account} connected {since} s as {session.user}")]

    def tell(self, news: Mapping[str, object]) -> None:
        """Pass on what the server told of other folders."""
        self._net.lines.tell(self.account, news)

    def ask(self) -> bool:
        """Have the server tell what is new; whether there is any."""
        assert self.session is not None
        self.session.noop()
        self.asked = self._clock()
        return self.session.wait(0)

    @property
    def fresh(self) -> bool:
        """Whether what is known is what the server has, as far as it tells."""
        session = self.session
        if session is None or "IDLE" in session.capabilities:
            return True
        return self._clock() - self.asked < FRESH

    @property
    def next(self) -> float:
        """Seconds until the next attempt is due."""
        return max(0.0, self._next - self._clock())

    def listen(self, timeout: float, wake: int) -> bool:
        """Wait for news of the folder; True also when it is time to connect again."""
        session = self.session
        if session is None:
            pause = PARKED if self._parked else min(self.next, timeout)
            return not readable([wake], pause) and self.next <= 0
        # Who reads on comes at once; entering IDLE and leaving it would take a round
        # trip each time.
        if readable([wake], LINGER):
            return False
        wall, mono = self._wall(), self._clock()
        idles = "IDLE" in session.capabilities
        self._waiting = True
        try:
            news = session.wait(timeout if idles else min(timeout, POLL), wake)
            slept = self._wall() - wall - (self._clock() - mono)
            due = not idles and self._clock() - self.asked >= POLL
            if slept > JUMP or (due and not news):
                # The server may have given us up while the machine was suspended.
                return self.ask() or news
        except (OSError, MailfsError) as e:
            self.drop(reason(e) if isinstance(e, OSError) else str(e))
            return not self._parked
        finally:
            self._waiting = False
        return news
