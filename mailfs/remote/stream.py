"""A connection to a server, in clear or under TLS, that any thread may end.

Dialling and the TLS handshake have a total time, however slowly a server drips.
"""

import contextlib
import errno
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mailfs import where
from mailfs.tls.dial import wrap
from mailfs.tls.service import Peer
from mailfs.tls.trust import Trust

Dial = Callable[[str, int, float], socket.socket]
"""Connect to a host and port; the number is seconds to wait."""
Opened = Callable[["Stream"], None]
"""Take a stream that is being opened, in order to sever it if need be."""


def tcp(host: str, port: int, timeout: float) -> socket.socket:
    """Connect to whichever of a host's addresses answers, within timeout seconds.

    Each address has its share of the time.  Raises OSError.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    end = time.monotonic() + timeout
    error: OSError = OSError(errno.EHOSTUNREACH, "no address")
    for n, (family, kind, proto, _, address) in enumerate(found):
        left = max(0.0, end - time.monotonic()) / (len(found) - n)
        sock = socket.socket(family, kind, proto)
        try:
            sock.settimeout(max(left, 0.1))
            sock.connect(address)
        except OSError as e:
            sock.close()
            error = e
        else:
            return sock
    raise error


def number(e: OSError) -> int:
    """Return the errno of a socket's error; TLS has numbers of its own."""
    if isinstance(e, ssl.SSLError) or not e.errno or e.errno < 0:
        return errno.ECONNRESET
    return e.errno


def dial(server: str, peer: Peer, timeout: float, dialer: Dial = tcp) -> "Stream":
    """Connect to a peer.  Raises OSError that names the server."""
    try:
        sock = dialer(peer.host, peer.port, timeout)
    except OSError as e:
        why = (e.strerror or str(e)).lower()
        raise OSError(e.errno or errno.EIO, f"{server}: {why}") from e
    return Stream(sock)


class Stream:
    """A connected socket; used by one thread, but for sever and finish."""

    def __init__(self, sock: socket.socket) -> None:
        """Take over a connected socket."""
        self.sock = sock
        self.local = where.local_peer(sock)  # whether nobody on the way can listen
        self._lock = threading.Lock()  # of the socket that is shut down
        self._whole: socket.socket | None = None  # the same, while TLS has the first
        self._severed = False
        if sock.family != getattr(socket, "AF_UNIX", None):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The socket, if it is one of TLS."""
        return self.sock if isinstance(self.sock, ssl.SSLSocket) else None

    def start_tls(self, peer: Peer, trust: Trust, seconds: float) -> None:
        """Begin TLS within so many seconds, and check the peer.

        Raises Untrusted, TlsError, and OSError: TimeoutError if it takes too long.
        """
        self.sock.settimeout(seconds)
        with self._within(seconds) as late:
            try:
                self.sock = wrap(self.sock, peer, trust)
            except OSError as e:
                if late.is_set():
                    raise TimeoutError(errno.ETIMEDOUT, "timed out") from e
                raise
        if self._severed:
            self.close()
            raise ConnectionAbortedError(errno.ECONNABORTED, "connection severed")

    @contextmanager
    def _within(self, seconds: float) -> Iterator[threading.Event]:
        """Sever the stream if the block takes longer; the event tells that it did."""
        late = threading.Event()

        def end() -> None:
            late.set()
            self._shut(socket.SHUT_RDWR)

        with self._lock:
            self._whole = self.sock.dup()
        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield late
        finally:
            timer.cancel()
            with self._lock:
                self._whole.close()
                self._whole = None

    def sever(self) -> None:
        """End the connection under whoever waits on it; any thread."""
        self._severed = True
        self._shut(socket.SHUT_RDWR)

    def finish(self) -> None:
        """Send no more, so that the server hangs up; any thread."""
        self._shut(socket.SHUT_WR)

    def _shut(self, how: int) -> None:
        with self._lock, contextlib.suppress(OSError):
            # SSLSocket's own would have its reader take what comes for clear text.
            socket.socket.shutdown(self._whole or self.sock, how)

    def close(self) -> None:
        """Hang up without a word."""
        self._shut(socket.SHUT_RDWR)
        with self._lock, contextlib.suppress(OSError):
            self.sock.close()
