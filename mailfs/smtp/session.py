"""One connection to an SMTP server: replies, EHLO, STARTTLS, transactions; RFC 5321.

PIPELINING (RFC 2920), a deadline for each whole reply, bounds on what a server may say,
peers checked by Trust.
"""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

from mailfs import where
from mailfs.remote.deadline import Deadline
from mailfs.smtp.fate import DeliveryError, Reply, refused
from mailfs.smtp.limit import Cut, DeliveryLimit
from mailfs.smtp.wire import END
from mailfs.tls import dial
from mailfs.tls.service import Peer
from mailfs.tls.trust import Trust

MAX_LINE = 4096  # octets of one line of a reply; RFC 5321 section 4.5.3.1.5 says 512
MAX_LINES = 200  # of one reply; servers with many extensions have 30
BLOCK = 64 << 10  # octets sent before the clock begins anew
CLOSING = 421  # the server is about to hang up; RFC 5321 section 3.8
SLOWEST = 4096  # octets a second of data; 60 MB then may take four hours
GROUP = 100  # recipients in one flight, so neither side's buffers fill

Trace = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait; RFC 5321 section 4.5.3.2 has the least of most of them."""

    connect: float = 30.0
    greeting: float = 300.0
    command: float = 300.0
    data: float = 120.0
    block: float = 180.0
    end: float = 600.0
    quit: float = 5.0

    def divided(self, by: float) -> "Timeouts":
        """Return all of them shorter, as ``smtp -p`` wants."""
        return Timeouts(*(getattr(self, f.name) / by for f in fields(self)))


TIMEOUTS = Timeouts()


class Broken(DeliveryError):
    """The connection ended, or the server no longer makes sense."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text, permanent=False, enhanced="4.4.2", code=code)


class StarttlsRefused(DeliveryError):
    """The server announced STARTTLS and then refused it: no word about the mail."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text, permanent=False, enhanced="4.7.4", code=code)


@dataclass(frozen=True, slots=True)
class SmtpResult:
    """What a transaction led to: the reply to each recipient, and to the data.

    end is None if no data was sent; then the recipients that were accepted are not
    served.
    """

    rcpts: tuple[Reply, ...]
    end: Reply | None


class SmtpSession:
    """A connected client.  Errors are DeliveryErrors; Broken ends the connection.

    extensions  what EHLO announced: keyword in lower case to its parameters
    """

    def __init__(
        self,
        sock: socket.socket,
        host: str,
        helo: str,
        timeouts: Timeouts,
        trace: Trace = lambda line: None,
        limit: DeliveryLimit | None = None,
    ) -> None:
        """Take a connected socket; host is the server's name for TLS and messages.

        limit bounds all waits until another one takes its place.
        """
        self.sock: socket.socket | None = sock  # None: closed
        self.limit = limit or DeliveryLimit()
        self._whole = sock.dup()  # TLS takes the other; this one can be shut down
        self.name = helo  # what we say EHLO with
        self.host = host
        self.extensions: dict[str, str] = {}
        self.tls = False
        self.dirty = False  # a transaction may be open
        self.alive = True
        self.sent = 0  # transactions
        self.answered = False  # whether the last transaction got any reply
        self._timeouts = timeouts
        self._trace = trace
        self._rest = b""
        self._hide = False  # what is sent now is a secret

    @property
    def loopback(self) -> bool:
        """Whether the other end is this machine."""
        if self.sock is None or self.sock.family == socket.AF_UNIX:
            return True
        return where.local_peer(self.sock)

    def send(self, octets: bytes) -> None:
        """Send octets.  Raises Broken."""
        if self.sock is None:
            raise Broken(f"{self.host}: not connected")
        shown = b"(hidden)" if self._hide else octets[:200].rstrip()
        self._trace(f"-> {shown.decode(errors='replace')}")
        self._sendall(octets, Deadline(self._timeouts.command))

    def close(self) -> None:
        """Hang up."""
        self.alive = False
        sock, self.sock = self.sock, None
        self._whole.close()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()

    def _sever(self) -> None:
        """End whatever wait another thread is in."""
        with contextlib.suppress(OSError):
            self._whole.shutdown(socket.SHUT_RDWR)

    def _sendall(self, octets: bytes, deadline: Deadline) -> bool:
        """Send octets; False if the server hung up but left words to be read."""
        try:
            with deadline.waiting() as seconds:
                sock = self._ready(seconds)
                with self.limit.interruptible(self._sever):
                    sock.sendall(octets)
        except (OSError, Cut) as e:
            if not isinstance(e, TimeoutError | Cut) and self._waiting():
                return False
            raise self._broken(e) from e
        deadline.got(len(octets))
        self.limit.heard()
        return True

    def _ready(self, seconds: float) -> socket.socket:
        """Return the socket, ready to wait so long, or as long as the limit allows.

        Raises OSError and Cut.
        """
        if self.sock is None:
            raise ConnectionResetError("not connected")
        self.sock.settimeout(self.limit.left(seconds))
        return self.sock

    def _waiting(self) -> bool:
        """Whether octets have come that are not read yet."""
        if self._rest or self.sock is None:
            return bool(self._rest)
        try:
            self.sock.settimeout(0)
            self._rest = self.sock.recv(8192)
        except OSError:
            return False
        return bool(self._rest)

    @property
    def quiet(self) -> bool:
        """Whether the server waits for a command: it neither spoke nor hung up."""
        if self.sock is None or self._rest:
            return False
        try:
            self.sock.settimeout(0)
            self._rest = self.sock.recv(8192)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            pass
        return False

    def _broken(self, e: OSError | Cut) -> Broken:
        self.close()
        try:
            self.limit.check()
        except Cut as cut:
            e = cut
        if isinstance(e, Cut):
            return Broken(f"{self.host}: {e}")
        if isinstance(e, TimeoutError):
            return Broken(f"smtp timeout: connection to {self.host} timed out")
        return Broken(f"connection closed to {self.host}: {e.strerror or e}")

    def reply(self, seconds: float) -> Reply:
        """Return the next reply; seconds is for all of it.  Raises Broken.

        A server that says 421 is about to hang up.
        """
        end = time.monotonic() + seconds
        lines: list[str] = []
        while len(lines) < MAX_LINES:
            line = self._line(end)
            self._trace(f"<- {line.decode(errors='replace')}")
            code = line[:3]
            if not code.isdigit() or line[3:4] not in (b"", b" ", b"-"):
                raise self._senseless(f"not a reply: {line[:80]!r}")
            lines.append(_printable(line[4:]))
            if line[3:4] != b"-":
                reply = Reply(int(code), tuple(lines))
                if reply.code == CLOSING:
                    self.alive = False
                return reply
        raise self._senseless("too many lines in a reply")

    def _senseless(self, what: str) -> Broken:
        self.close()
        return Broken(f"{self.host}: {what}")

    def _line(self, end: float) -> bytes:
        while b"\n" not in self._rest:
            if len(self._rest) > MAX_LINE:
                raise self._senseless("line too long in a reply")
            left = end - time.monotonic()
            try:
                if left <= 0:
                    raise TimeoutError
                sock = self._ready(left)
                with self.limit.interruptible(self._sever):
                    more = sock.recv(8192)
                if not more:
                    raise ConnectionResetError("hung up")
            except (OSError, Cut) as e:
                raise self._broken(e) from e
            self.limit.heard()
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line.removesuffix(b"\r")

    # The dialogue.

    def greet(self, *, silent: bool = False) -> None:
        """Take the banner and say EHLO, HELO if need be; raises DeliveryError.

        silent is for servers that say nothing until they are spoken to.
        """
        if silent:
            self.send(b"NOOP\r\n")
        banner = self.reply(self._timeouts.greeting)
        if not banner.ok:
            raise refused(banner, self.host)
        if silent:
            self.reply(self._timeouts.command)
        self.hello()

    def hello(self) -> None:
        """Say EHLO, or HELO to a server that does not know it."""
        self.extensions = {}
        reply = self.command(f"ehlo {self.name}")
        if reply.ok:
            self.extensions = extensions(reply.lines[1:])
        elif reply.permanent:
            reply = self.command(f"helo {self.name}")
        if not reply.ok:
            raise refused(reply, f"{self.host}: {self.name}")

    def secure(self, peer: Peer, trust: Trust) -> None:
        """Begin TLS by STARTTLS, check the peer, and say EHLO again; RFC 3207.

        Raises Untrusted, TlsError, OSError and DeliveryError.
        """
        reply = self.command("STARTTLS")
        if reply.code != 220:
            raise StarttlsRefused(f"{self.host}: starttls: {reply}", code=reply.code)
        if self._rest:
            raise self._senseless("clear text after agreeing to TLS")
        self.wrap(peer, trust)
        self.hello()

    def wrap(self, peer: Peer, trust: Trust) -> None:
        """Do the TLS handshake and check the peer."""
        sock = self._ready(self._timeouts.greeting)
        self.sock = None
        with self.limit.interruptible(self._sever):
            self.sock = dial.wrap(sock, peer, trust)
        self.limit.heard()
        self.tls = True
        self.extensions = {}

    def command(self, line: str, seconds: float = 0.0) -> Reply:
        """Send one command and return the reply."""
        self.send(f"{line}\r\n".encode(errors="surrogateescape"))
        return self.reply(seconds or self._timeouts.command)

    def challenge(self, line: str) -> Reply:
        """Send a line of AUTH, which the trace does not show, and return the reply."""
        self._hide = True
        try:
            return self.command(line)
        finally:
            self._hide = False

    @property
    def chain(self) -> tuple[bytes, ...]:
        """The certificates the server showed, DER; empty without TLS."""
        return dial.chain(self.sock) if isinstance(self.sock, ssl.SSLSocket) else ()

    def has(self, extension: str) -> bool:
        """Whether EHLO offered an extension."""
        return extension.lower() in self.extensions

    @property
    def size(self) -> int:
        """The most octets the server takes; 0 if it does not say.  RFC 1870."""
        text = self.extensions.get("size", "")
        return int(text) if text.isdecimal() and len(text) < 16 else 0

    @property
    def mechanisms(self) -> list[str]:
        """The SASL mechanisms it offers."""
        return self.extensions.get("auth", "").upper().split()

    def transact(
        self,
        mail: str,
        rcpts: Sequence[str],
        data: Iterable[bytes],
        proceed: Callable[[Sequence[Reply]], bool] | None = None,
    ) -> SmtpResult:
        """Carry out one transaction; raises DeliveryError if no recipient was judged.

        mail and rcpts are the arguments, brackets included; data is ready for the
        wire, without its end.  proceed looks at the replies to the recipients and says
        whether to go on; without it, one that is accepted suffices.  At most GROUP
        recipients.
        """
        self.answered = False
        self._reset()
        commands = [f"MAIL FROM:{mail}", *(f"RCPT TO:{rcpt}" for rcpt in rcpts)]
        pipelining = self.has("pipelining")
        early = pipelining and (proceed is None or len(rcpts) == 1)
        self.dirty = True
        replies = self._flight([*commands, "DATA"] if early else commands, pipelining)
        first, judged = replies[0], tuple(replies[1 : len(rcpts) + 1])
        wanted = any(r.ok for r in judged) and (proceed is None or proceed(judged))
        if early:
            go = replies[-1]
        elif first.ok and wanted:
            go = self._go()
        else:
            go = None
        if not first.ok:
            self._retract(go)
            raise refused(first, f"{self.host}: sender")
        if go is None or not wanted:
            self._retract(go)
            return SmtpResult(judged, None)
        if go.code != 354:
            return SmtpResult(judged, go if not go.ok else Reply(451, ("no 354",)))
        if self.sock is None:
            raise Broken(f"connection closed to {self.host}")
        end = self._data(data)
        self.dirty = not end.ok
        self.sent += 1
        return SmtpResult(judged, end)

    def _go(self) -> Reply:
        """Ask to send the data; a hang-up is a reply: those before it stand."""
        if self.sock is None:
            return Reply(CLOSING, (f"4.4.2 connection closed to {self.host}",))
        try:
            return self.command("DATA", self._timeouts.data)
        except Broken as e:
            return Reply(CLOSING, (f"4.4.2 {e}",))

    def _flight(self, commands: list[str], pipelining: bool) -> list[Reply]:
        """Send commands, all at once if the server allows, and collect the replies.

        If the server hangs up, the replies that came are followed by one that says so,
        for each command that has none.  Raises Broken if none came.
        """
        replies: list[Reply] = []
        try:
            if pipelining:
                octets = "".join(f"{line}\r\n" for line in commands)
                self.send(octets.encode(errors="surrogateescape"))
            for line in commands:
                if pipelining:
                    replies.append(self.reply(self._timeouts.command))
                else:
                    replies.append(self.command(line))
                self.answered = True
                if not pipelining and len(replies) == 1 and not replies[0].ok:
                    break
        except Broken as e:
            if not replies:
                raise
            lost = Reply(CLOSING, (f"4.4.2 {e}",))
            last = replies[-1] if replies[-1].code == CLOSING else lost
            replies += [last] * (len(commands) - len(replies))
        return replies

    def _data(self, data: Iterable[bytes]) -> Reply:
        self._trace("-> (message)")
        deadline = Deadline(self._timeouts.block, slowest=SLOWEST)
        with self.limit.paused(), self._closing():
            whole, last = True, b""
            for block in _blocks(data):
                if last and not self._sendall(last, deadline):
                    whole = False
                    break
                last = block
            if whole:
                self._seal()
                whole = self._sendall(last + END, deadline)
            reply = self.reply(self._timeouts.end)
        if not whole and reply.ok:
            raise self._senseless("reply to a message that was not sent to its end")
        return reply

    @contextlib.contextmanager
    def _closing(self) -> Iterator[None]:
        """Hang up if what is to be sent cannot be read: the server waits for more."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _seal(self) -> None:
        """Go beyond the point where the delivery can be cut.  Raises Broken."""
        try:
            self.limit.seal()
        except Cut as e:
            raise self._broken(e) from e

    def _retract(self, go: Reply | None) -> None:
        """End a transaction whose DATA a server took although nobody is to get it.

        Nothing may be sent but the end; RFC 2920 section 3.1.
        """
        if go is not None and go.code == 354:
            self._trace("-> .")
            self._sendall(END, Deadline(self._timeouts.command))
            self.reply(self._timeouts.end)

    def _reset(self) -> None:
        if self.dirty:
            reply = self.command("RSET")
            if not reply.ok:
                self.close()
                raise refused(reply, f"{self.host}: RSET")
            self.dirty = False

    def finish(self) -> None:
        """Say QUIT and hang up, without waiting long for the answer."""
        try:
            if self.alive:
                self.command("QUIT", self._timeouts.quit)
        except DeliveryError:
            pass  # what was accepted is accepted
        finally:
            self.close()


def _blocks(data: Iterable[bytes]) -> Iterator[bytes]:
    for octets in data:
        for at in range(0, len(octets), BLOCK):
            yield octets[at : at + BLOCK]


def extensions(lines: Sequence[str]) -> dict[str, str]:
    """Read what EHLO announced, a keyword and its parameters on each line.

    Old servers write ``AUTH=LOGIN`` besides ``AUTH LOGIN``, or in its place: all
    mechanisms count.  RFC 5321 section 4.1.1.1.
    """
    found: dict[str, str] = {}
    for line in lines:
        keyword, _, rest = line.replace("=", " ", 1).partition(" ")
        name = keyword.lower()
        if "=" in line.split(" ")[0] and name != "auth":
            name, rest = line.partition(" ")[0].lower(), line.partition(" ")[2]
        if name:
            found[name] = f"{found.get(name, '')} {rest.strip()}".strip()
    return found


def _printable(text: bytes) -> str:
    shown = text.decode("utf-8", "replace").strip()
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else "?" for c in shown)
