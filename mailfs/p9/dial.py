"""Sockets for both ends of a line: dial one, or announce an address; dial(2).

A Unix socket has its mode, its owner's alone unless told otherwise, from the moment it
exists, and what a dead server left behind is removed, but never the socket of a living
one.  For tls the socket is as for tcp: the handshake is somebody else's.
"""

import errno
import os
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from mailfs.errors import MailfsError, reason
from mailfs.where import DialString

T = TypeVar("T")

BACKLOG = 128  # connections that may wait to be accepted
KEEP_IDLE = 60  # seconds of silence before a TCP peer is asked whether it lives
KEEP_INTERVAL = 15  # seconds between such questions
KEEP_COUNT = 4  # questions without an answer before it is taken for dead
WAIT = 2.0  # seconds in which a server that was just started makes its socket
STARTS = 60.0  # seconds it is waited for while it tells that it is on its way
LOOK = 0.02  # seconds between two looks for it
STARTING = "~starting"  # what the name of its socket is followed by then

_ABSENT = (errno.ENOENT, errno.ECONNREFUSED)


class NoServer(MailfsError):
    """Nobody listens on a Unix socket, or it does not exist."""


def dial(
    address: DialString, timeout: float | None = None, wait: float = 0.0
) -> socket.socket:
    """Connect a socket to an address; timeout is seconds for each try.

    wait is seconds in which a Unix socket may come into being; longer if its server is
    Starting.  Raises NoServer if it does not, else MailfsError, with the address in it.
    """
    began = time.monotonic()
    try:
        if address.net == "unix":
            while True:
                try:
                    return _dial_unix(address.host, timeout)
                except OSError as e:
                    if e.errno not in _ABSENT:
                        raise
                    if not _worth(address.host, time.monotonic() - began, wait):
                        raise NoServer(str(_failure(address, e))) from e
                time.sleep(LOOK)
        if address.net == "tcp":
            sock = socket.create_connection((address.host, address.port), timeout)
            keep_alive(sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
    except OSError as e:
        raise _failure(address, e) from e
    raise MailfsError(f"{address}: cannot be dialled")


def dial_soon(address: DialString, timeout: float | None = None) -> socket.socket:
    """Connect as dial does, to a server that may just have been started."""
    return dial(address, timeout, WAIT)


def _worth(path: str, waited: float, wait: float) -> bool:
    """Whether a socket is worth waiting for any longer; times are in seconds."""
    if waited < wait:
        return True
    return wait > 0 and waited < STARTS and _is_starting(path)


def _is_starting(path: str) -> bool:
    import fcntl

    try:
        fd = os.open(path + STARTING, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


class Starting:
    """Tells clients of Unix sockets that a server is on its way: a file, locked.

    It ends with the process, or with over.
    """

    def __init__(self, addresses: Iterable[DialString]) -> None:
        import fcntl

        self._held: list[tuple[str, int]] = []
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        for address in addresses:
            path = address.host + STARTING
            if address.net != "unix":
                continue
            with suppress(OSError):  # then nobody waits, and that is all
                fd = os.open(path, flags, 0o600)
                self._held.append((path, fd))
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __enter__(self) -> "Starting":
        return self

    def __exit__(self, *error: object) -> None:
        self.over()

    def over(self) -> None:
        """Tell no longer."""
        held, self._held = self._held, []
        for path, fd in held:
            with suppress(OSError):
                os.unlink(path)
            os.close(fd)


def _dial_unix(path: str, timeout: float | None) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(timeout)
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def keep_alive(sock: socket.socket) -> None:
    """Have the system find out when a TCP peer has died."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEP_IDLE),
        ("TCP_KEEPINTVL", KEEP_INTERVAL),
        ("TCP_KEEPCNT", KEEP_COUNT),
    ):
        if hasattr(socket, name):  # not every system has all three
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Announced:
    """Listening sockets at one address."""

    def __init__(self, address: DialString, sockets: list[socket.socket]) -> None:
        self.address = address
        self.sockets = sockets
        self._inode = _inode(address.host) if address.net == "unix" else None

    def withdraw(self) -> None:
        """Remove the name of a Unix socket, unless it is another server's by now.

        To be called before the socket is closed: until then the name cannot be taken
        for a dead one, nor its inode be used again.
        """
        if self._inode is not None and _inode(self.address.host) == self._inode:
            with suppress(OSError):
                os.unlink(self.address.host)

    def close(self) -> None:
        """Stop listening."""
        self.withdraw()
        self._inode = None
        for sock in self.sockets:
            sock.close()


def announce(address: DialString, mode: int = 0o600) -> Announced:
    """Return listening sockets for address; ``*`` means every address there is.

    With port 0 the system chooses, and the result's address tells.  mode is a Unix
    socket's.  Raises MailfsError with the address in it.
    """
    try:
        if address.net == "unix":
            return Announced(address, [_announce_unix(address.host, mode)])
        if address.net in ("tcp", "tls"):
            return _announce_tcp(address)
    except OSError as e:
        raise _failure(address, e) from e
    raise MailfsError(f"{address}: cannot be announced")


def _announce_unix(path: str, mode: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        with _alone(os.path.dirname(path) or "."):
            if os.path.lexists(path) and not _is_dead(path):
                raise OSError(  # noqa: TRY301  # as bind would
                    errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path
                )
            # Whoever sees the name may dial it at once: it is made when we listen.
            early = path + "~"
            with suppress(FileNotFoundError):
                os.unlink(early)
            mask = os.umask(0o777 & ~mode)
            try:
                sock.bind(early)
            finally:
                os.umask(mask)
            sock.listen(BACKLOG)
            os.rename(early, path)
    except BaseException:
        sock.close()
        raise
    return sock


@contextmanager
def _alone(directory: str) -> Iterator[None]:
    """Keep out other servers that look whether a socket here is dead."""
    import fcntl

    fd = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _is_dead(path: str) -> bool:
    """Whether path is a socket that nobody listens on."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        return False


def _announce_tcp(address: DialString) -> Announced:
    host = None if address.host == "*" else address.host
    found = socket.getaddrinfo(
        host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    port = address.port
    try:
        for family, kind, proto, _, name in dict.fromkeys(found):
            sock = socket.socket(family, kind, proto)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((name[0], port, *name[2:]))
            sock.listen(BACKLOG)
            port = sock.getsockname()[1]
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return Announced(DialString(address.net, address.host, port), sockets)


def _inode(path: str) -> tuple[int, int] | None:
    try:
        st = os.lstat(path)
    except OSError:
        return None
    return st.st_dev, st.st_ino


def failing(address: DialString, job: Callable[[], T]) -> T:
    """Do job; say what went wrong as dial does."""
    try:
        return job()
    except OSError as e:
        raise _failure(address, e) from e


def _failure(address: DialString, error: OSError) -> MailfsError:
    if error.errno == errno.EADDRINUSE:
        return MailfsError(f"{address}: address in use")
    return MailfsError(f"{address}: {reason(error)}")
