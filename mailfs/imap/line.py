"""The connection itself: a socket, perhaps TLS, perhaps compressed; every wait ends."""

import socket
import ssl
import time
import zlib
from collections.abc import Callable

from mailfs.imap.error import broken
from mailfs.poll import readable
from mailfs.remote.stream import Stream, number
from mailfs.tls.service import Peer
from mailfs.tls.trust import Trust

CHUNK = 1 << 18  # octets read at a time
# Dovecot deflates some 16 MB of mail a second, to two thirds; below a quarter of that
# compressing gains, whatever else the server has to do.
SLOW = 4e6  # octets a second
NEAR = 0.002  # seconds; a round trip within a house, where no line is slow
MIN_SAMPLE = 1 << 18  # octets before the line's speed is worth a word
GRACE = 2  # times the timeout until one response must have ended, however it drips
COMMAND_TIME = 600.0  # seconds of a command; servers copying much say so all the while
LONGEST = 2  # times COMMAND_TIME that a command may take, whatever has come
LONGEST_STREAM = 24  # times likewise where it asks for much: four hours
LEAST_RATE = 1000.0  # octets a second that give an answer more time: 9600 baud
MAX_ANSWER = 64 << 20  # octets of all that comes until one command is answered
MAX_STREAM = 1 << 30  # octets likewise of rows and headers of many messages
RAW_DEFLATE = -15  # RFC 4978 section 3: no zlib header

Clock = Callable[[], float]


class Transport:
    """Octets to and from one server.  Errors are OSError and name the server.

    timeout is how many seconds the server may say nothing while we wait for it, total
    how many a command may take; each gets more for what has come, at LEAST_RATE, but
    a command no more than LONGEST or LONGEST_STREAM times its total.
    """

    def __init__(
        self,
        sock: socket.socket | Stream,
        server: str,
        timeout: float,
        clock: Clock = time.monotonic,
        total: float = COMMAND_TIME,
    ) -> None:
        self.stream = sock if isinstance(sock, Stream) else Stream(sock)
        self._total = total
        self._most = MAX_ANSWER
        self._longest = LONGEST
        self.failure = ""  # why we hung up, if the server left us no choice
        self.server = server
        self.timeout = timeout
        self.clock = clock
        self._inflate: zlib._Decompress | None = None
        self._deflate: zlib._Compress | None = None
        self.received = self.sent = 0  # octets on the wire
        self._flow = 0  # octets of those that came without a pause
        self._flow_seconds = 0.0
        self.renew()

    @property
    def _sock(self) -> socket.socket:
        return self.stream.sock

    def send(self, octets: bytes) -> None:
        """Send all of it."""
        if self._deflate is not None:
            octets = self._deflate.compress(octets)
            octets += self._deflate.flush(zlib.Z_SYNC_FLUSH)
        try:
            self._sock.settimeout(self.timeout)
            self._sock.sendall(octets)
        except TimeoutError as e:
            raise TimeoutError(f"{self.server}: timed out") from e
        except OSError as e:
            raise broken(self.server, _why(e), number(e)) from e
        self.sent += len(octets)

    def limit(self, total: float) -> None:
        """Let a command take so many seconds, COMMAND_TIME unless told."""
        self._total = total

    def renew(self) -> None:
        """Begin to count octets and seconds for another command."""
        self._began, self._came = self.clock(), 0
        self.mark()

    def mark(self) -> None:
        """Begin to count seconds for another response."""
        self._since, self._since_came = self.clock(), self._came

    def receive(self) -> bytes:
        """Return the next octets, at least one."""
        inflate = self._inflate
        octets = self._octets() if inflate is None else self._inflated(inflate)
        self._came += len(octets)
        if self._came > self._most:
            raise self.fail("answer too long")
        return octets

    def fail(self, why: str) -> OSError:
        """Hang up, and return the error for a server that cannot be listened to."""
        self.failure = why
        self.close()
        return broken(self.server, why)

    def _patience(self, now: float) -> float:
        """Compute the seconds left to wait."""
        response = GRACE * self.timeout + (self._came - self._since_came) / LEAST_RATE
        earned = self._total + self._came / LEAST_RATE
        whole = min(earned, self._longest * self._total)
        return min(self._since + response, self._began + whole) - now

    def _octets(self) -> bytes:
        began = self.clock()
        patience = self._patience(began)
        if patience <= 0:
            raise self.fail("answers too slowly")
        try:
            self._sock.settimeout(min(self.timeout, patience))
            data = self._sock.recv(CHUNK)
        except TimeoutError as e:
            if patience < self.timeout:
                raise self.fail("answers too slowly") from e
            raise TimeoutError(f"{self.server}: timed out") from e
        except OSError as e:
            raise broken(self.server, _why(e), number(e)) from e
        if not data:
            raise broken(self.server, "server hung up")
        self.received += len(data)
        if self._flow:
            self._flow_seconds += self.clock() - began
            self._flow += len(data)
        return data

    def _inflated(self, inflate: "zlib._Decompress") -> bytes:
        try:
            while True:
                data = inflate.unconsumed_tail or self._octets()
                if out := inflate.decompress(data, 1 << 20):
                    return out
                if inflate.eof:
                    raise broken(self.server, "server hung up")
        except zlib.error as e:
            raise broken(self.server, "malformed compressed data") from e

    def pending(self) -> bool:
        """Whether receive would return without waiting for the server."""
        if self._inflate is not None and self._inflate.unconsumed_tail:
            return True
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return True
        return bool(readable([self._sock.fileno()], 0))

    def wait(self, seconds: float, wake: int | None = None) -> bool:
        """Wait until receive has something; False after seconds or if wake is ready."""
        if self.pending():
            return True
        watched = [self._sock.fileno()]
        if wake is not None:
            watched.append(wake)
        return watched[0] in readable(watched, seconds)

    def begin_flow(self) -> None:
        """Count what comes from here on as a stream: the server was asked for much."""
        self._flow = 1
        self._most, self._longest = MAX_STREAM, LONGEST_STREAM

    def end_flow(self) -> None:
        """Stop counting."""
        self._most, self._longest = MAX_ANSWER, LONGEST
        if self._flow < MIN_SAMPLE:
            self._flow_seconds = 0.0
        elif self._flow_seconds > 0:
            self.rate = self._flow / self._flow_seconds
            self._flow_seconds = 0.0
        self._flow = 0

    rate = 0.0  # octets a second at which the last stream came; 0 if unknown
    trip = 0.0  # seconds it took to connect: about a round trip

    @property
    def slow(self) -> bool:
        """Whether the line, rather than the server, is what we wait for."""
        return 0 < self.rate < SLOW and self.trip > NEAR

    def start_tls(self, peer: Peer, trust: Trust) -> None:
        """Begin TLS and check the peer.  Raises Untrusted, TlsError, OSError."""
        try:
            self.stream.start_tls(peer, trust, GRACE * self.timeout)
        except TimeoutError as e:
            raise TimeoutError(f"{self.server}: timed out") from e
        except OSError as e:
            raise broken(self.server, _why(e), number(e)) from e

    def start_compress(self, rest: bytes) -> bytes:
        """Compress from here on; rest is what has been read already.  RFC 4978.

        Returns rest as it should be read.
        """
        self._inflate = zlib.decompressobj(RAW_DEFLATE)
        self._deflate = zlib.compressobj(
            zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, RAW_DEFLATE
        )
        try:
            return self._inflate.decompress(rest, 1 << 20) if rest else b""
        except zlib.error as e:
            raise broken(self.server, "malformed compressed data") from e

    @property
    def compressed(self) -> bool:
        """Whether COMPRESS is in force."""
        return self._deflate is not None

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The socket, if it is one of TLS."""
        return self.stream.tls

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 once closed."""
        return self._sock.fileno()

    def close(self) -> None:
        """Hang up without a word."""
        self.stream.close()


def _why(e: OSError) -> str:
    return (e.strerror or str(e) or "connection lost").lower()
