"""The connection of an IMAP mailbox: made when needed, made again when it broke.

While the server cannot be reached attempts become rarer.  A wrong password is not
tried over and over.  Where the account has no room for another connection, the link
waits for its turn, and one that only waits for news gives its own up.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from mailfs.errors import MailfsError, reason
from mailfs.imap.account import Account
from mailfs.imap.error import ImapError
from mailfs.imap.folder import Known, Selected
from mailfs.imap.session import ImapSession
from mailfs.mailbox.drivers.imap import listings
from mailfs.mailbox.net import Network
from mailfs.poll import readable
from mailfs.remote.backoff import Backoff
from mailfs.remote.stream import Stream

log = logging.getLogger(__name__)

FIRST = 1.0  # seconds until the second attempt
LONGEST = 300.0  # seconds between attempts
REFUSED = 60.0  # seconds at least after the server refused us
TIMEOUT = 30.0  # seconds to wait for anything the server should send
LASTING = 20.0  # seconds after which a connection counts as a good one
PARKED = 300.0  # seconds until a mailbox without a connection looks for news
POLL = 30.0  # seconds between questions to a server that does not tell by itself
LINGER = 0.2  # seconds after a job in which another is likely
FRESH = 3.0  # seconds that its answer holds for whoever looks
JUMP = 15.0  # seconds the clock must have jumped for the machine to have slept
ERROR_KEEPS = 2.0  # seconds in which a failed attempt answers for the next, too
ROOM = 30.0  # seconds to wait for another connection of the account's to end
LENDING = 5.0  # seconds likewise for a process of ours, which can be done without
HOLD = 1.0  # seconds a connection is used at least before another takes its place
PARTING = 2.0  # seconds a server has to notice that a parked connection is over
PAUSES = (0.3, 1.0, 3.0)  # seconds between logins while the server has too many
# Words of servers that count: Dovecot, Gmail, Exchange, Cyrus, Yahoo.  RFC 5530 has
# the code LIMIT for it.
_TOO_MANY = re.compile(
    r"(?i)(too many|maximum|limit|exceeded|simultaneous|concurrent)\b.{0,40}"
    r"\b(connections?|sessions?|clients?)\b"
    r"|\b(connections?|sessions?)\b.{0,40}\b(limit|exceeded|maximum)\b"
)
_RATE = re.compile(r"(?i)\b(rate|attempts?|failures?)\b")  # of logins, not of lines
T = TypeVar("T")


class ServerUnreachable(OSError):
    """The server cannot be reached; the text names it and says why."""

    def __str__(self) -> str:
        return str(self.args[0])


def too_many(e: Exception) -> bool:
    """Judge by a server's words whether it refused a connection as one too many."""
    if not isinstance(e, (ImapError, ConnectionError)) or _RATE.search(str(e)):
        return False
    limit = isinstance(e, ImapError) and e.code == "LIMIT"
    return limit or _TOO_MANY.search(str(e)) is not None


class _Lent:
    """The connection of another process, which has use for it to its end."""

    def __init__(self, end: threading.Event) -> None:
        self._end = end

    @property
    def ended(self) -> bool:
        return self._end.is_set()

    def park(self) -> bool:
        return False


class Link:
    """One logged-in connection with a folder selected, or the lack of it.

    Used by its mailbox's worker; park and interrupt may be called by other threads.
    """

    def __init__(
        self,
        account: Account,
        folder: str,
        net: Network,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        room: float = ROOM,
    ) -> None:
        """Make none yet; room is how many seconds to wait for a connection's turn."""
        self.account = account
        self.folder = folder
        self._session: ImapSession | None = None
        self._stream: Stream | None = None  # the session's, from its dialling on
        self.selected: Selected | None = None  # how the folder was found, if newly
        self.error = ""  # why there is no session
        self.asked = 0.0  # when the server last was asked for news, on the clock
        self.since = 0.0  # when the session was made, seconds since the epoch
        self._made = 0.0  # likewise, on the clock
        self._net = net
        self._clock = clock
        self._wall = wall
        self._room = room
        self._end = threading.Event()  # the mailbox is closed
        self._lock = threading.Lock()  # of what park looks at
        self._waiting = False  # for news, and for nothing else
        self._wanted = False  # another mailbox waits for the connection
        self._parked = False  # without a connection until there is use for one
        self._parked_at = 0.0  # on the clock
        self._backoff = Backoff(FIRST, LONGEST, clock=clock)
        self._brief = Backoff(FIRST, LONGEST, clock=clock)  # after brief connections
        self._failed = 0.0  # when the last attempt failed
        self._failure: Exception | None = None

    @property
    def ended(self) -> bool:
        """Whether the mailbox is closed."""
        return self._end.is_set()

    @property
    def session(self) -> ImapSession | None:
        """The session, None if there is none or it had to be given up."""
        session = self._session
        if session is not None and not session.alive:
            self.drop(session.wire.line.failure or "server hung up")
        return self._session

    @property
    def connected(self) -> bool:
        """Whether there is a session; any thread."""
        session = self._session
        return session is not None and session.alive

    def give_way(self) -> None:
        """Log out if another mailbox waits for the connection and we had its use."""
        if self._wanted and self._clock() - self._made >= HOLD:
            self.close()
            self._parked = True

    def open(self, known: Callable[[], Known | None], *, readonly: bool) -> ImapSession:
        """Return the session, the folder selected; connect if there is none.

        known tells what is known of the folder.  Raises ServerUnreachable, or
        MailfsError where the server or the trust store refuses.
        """
        self.give_way()
        self._parked = False
        if (session := self.session) is not None:
            self._net.lines.use(self.account, self)
            return session
        if self.ended:
            raise ServerUnreachable(f"{self.account}: the mailbox is closed")
        if self._failure is not None and self._clock() < self._failed + ERROR_KEEPS:
            raise self._failure
        try:
            return self._connect(known(), readonly)
        except OSError as e:
            raise self._fail(self.unreachable(e), FIRST) from e
        except MailfsError as e:
            raise self._fail(e, REFUSED) from None

    def unreachable(self, e: OSError) -> ServerUnreachable:
        """Return an error as one that names the server."""
        text, where = reason(e), str(self.account)
        return ServerUnreachable(text if text.startswith(where) else f"{where}: {text}")

    @contextmanager
    def apart(self) -> Iterator[ImapSession]:
        """Give a session without a folder, in place of the link's own."""
        self.close()
        session = self._login()
        try:
            yield session
        finally:
            session.logout()
            self._net.lines.leave(self.account, self)

    def _login(self) -> ImapSession:
        """Log in once the account has room for it; the connection is counted.

        A server that has too many is tried again in a while; a login that was refused
        is refused again until the agent has another key.  Raises OSError where no room
        was made in time, and what ImapSession.open raises.
        """
        net, limit, account = self._net, self._net.lines, self.account
        for pause in (*PAUSES, None):
            if not limit.enter(account, self, self._room):
                why = "the mailbox is closed" if self.ended else "no connection is free"
                raise ServerUnreachable(f"{account}: {why}")
            try:
                with net.keys() as keys, net.refused.guarded(account, keys):
                    return ImapSession.open(account, keys, net.trust, timeout=TIMEOUT)
            except (OSError, MailfsError) as e:
                # Some hang up on one connection too many without a word (Courier).
                cut = isinstance(e, ConnectionResetError | BrokenPipeError)
                mute = cut and limit.count(account) > 1
                if not mute and not too_many(e):
                    limit.leave(account, self)
                    raise
                limit.refused(account, self)
                if pause is None or self._end.wait(pause):
                    raise ServerUnreachable(str(e)) from e
            except BaseException:
                limit.leave(account, self)
                raise
        raise AssertionError("the last pause is None")

    def lend(self) -> Callable[[], None] | None:
        """Count the connection of another process until the result is called.

        None if it cannot have one now.
        """
        lent = _Lent(self._end)
        if not self._net.lines.lend(self.account, lent, LENDING):
            return None
        return lambda: self._net.lines.leave(self.account, lent)

    def _connect(self, known: Known | None, readonly: bool) -> ImapSession:
        session, lines = self._login(), self._net.lines
        try:
            session.names = lines.names(self.account)
            selected = session.select(self.folder, known, readonly=readonly)
            if not selected.uidvalidity:
                selected.uidvalidity = listings.made_up()
            if "NOTIFY" in session.capabilities and lines.herald(self.account, self):
                session.notify()
        except BaseException:
            session.drop()
            lines.leave(self.account, self)
            raise
        with self._lock:
            self._session, self.selected = session, selected
            self._wanted = self._parked = False
        self.asked = self._made = self._clock()
        self.error, self._failure = "", None
        self._backoff.succeeded()
        self.since = self._wall()
        return session

    def _fail(self, e: Exception, least: float) -> Exception:
        """Note that an attempt failed."""
        self.drop(str(e))
        self._failure = e
        self._failed = self._clock()
        log.info("%s; next attempt in %.0f s", e, self._backoff.failed(least))
        return e

    def _taken(self) -> ImapSession | None:
        with self._lock:
            session, self._session = self._session, None
            self._wanted = False
        return session

    def drop(self, why: str = "") -> None:
        """Hang up at once."""
        session = self._taken()
        self.selected = None
        self.error = why
        if session is not None:
            session.drop()
        self._net.lines.leave(self.account, self)

    def close(self) -> None:
        """Log out."""
        session = self._taken()
        self.selected = None
        if session is not None:
            session.logout()
        self._net.lines.leave(self.account, self)

    def end(self) -> None:
        """Log out, and connect no more: whoever still asks comes too late."""
        self._end.set()
        self.close()

    def interrupt(self) -> None:
        """Connect no more, and end the connection under whoever waits; any thread."""
        self._end.set()
        if (stream := self._stream) is not None:
            stream.sever()

    def _opened(self, stream: Stream) -> None:
        self._stream = stream
        if self.ended:
            stream.sever()

    def park(self) -> bool:
        """Hang up if nobody is being served; another mailbox needs the connection.

        One that is used is given up after its use.  Any thread.
        """
        with self._lock:
            session = self._session
            if session is None:
                return False
            if not self._waiting:
                self._wanted = True
                return False
            now = self._clock()
            if not self._parked:
                # The server hangs up then, and counts it no more when we hear of it.
                session.wire.line.stream.finish()
                self._parked, self._parked_at = True, now
            elif now - self._parked_at > PARTING:
                session.wire.line.stream.sever()
            return True

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows of ``status`` about the connection."""
        session, error = self._session, self.error
        if session is not None and not session.alive:
            error = session.wire.line.failure or error
            session = None
        if session is None and self._parked:
            return [("server", f"{self.account} parked")]
        if session is None:
            found = [("server", f"{self.account} not connected")]
            if error:
                found.append(("server-error", error))
                found.append(("retry", f"{self.next:.0f} s"))
            return found
        since = int(self._wall() - self.since)
        return [("server", f"{self.account} connected {since} s as {session.user}")]

    def tell(self, news: Mapping[str, object]) -> None:
        """Pass on what the server told of other folders."""
        self._net.lines.tell(self.account, news)

    def ask(self, session: ImapSession) -> bool:
        """Have the server tell what is new; whether there is any."""
        session.noop()
        self.asked = self._clock()
        return session.wait(0)

    @property
    def fresh(self) -> bool:
        """Whether what is known is what the server has, as far as it tells."""
        session = self._session
        if session is None or not session.alive or "IDLE" in session.capabilities:
            return True
        return self._clock() - self.asked < FRESH

    @property
    def next(self) -> float:
        """Seconds until the next attempt is due."""
        return max(self._backoff.left, self._brief.left)

    def listen(self, timeout: float, wake: int) -> bool:
        """Wait for news of the folder; True also when it is time to connect again."""
        self.give_way()
        session = self.session
        if session is not None:
            with self._lock:
                self._waiting = True
            try:
                return self._wait(session, timeout, wake)
            finally:
                with self._lock:
                    self._waiting, parked = False, self._parked
                if parked:
                    self.drop()
        pause = PARKED if self._parked else min(self.next, timeout)
        return not readable([wake], pause) and self.next <= 0

    def _wait(self, session: ImapSession, timeout: float, wake: int) -> bool:
        # Who reads on comes at once; entering IDLE and leaving it would take a round
        # trip each time.
        if readable([wake], LINGER) or self._parked:
            return False
        wall, mono = self._wall(), self._clock()
        idles = "IDLE" in session.capabilities
        try:
            news = session.wait(timeout if idles else min(timeout, POLL), wake)
            slept = self._wall() - wall - (self._clock() - mono)
            due = not idles and self._clock() - self.asked >= POLL
            if slept > JUMP or (due and not news):
                # The server may have given us up while the machine was suspended.
                return self.ask(session) or news
        except (OSError, MailfsError) as e:
            self.drop(reason(e) if isinstance(e, OSError) else str(e))
            if self._parked:
                return False
            if self._clock() - self._made >= LASTING:
                self._brief.succeeded()
                return True
            self._brief.failed()  # a server that floods us, or hangs up at once
            return False
        return news
