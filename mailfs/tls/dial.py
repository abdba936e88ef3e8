"""Connections over TLS whose peer has been checked before the first octet of ours.

TLS 1.2 at least, the host named in the handshake (SNI).  The handshake itself refuses
no certificate: Trust.check does, right after it, and then the connection is closed.
"""

import errno
import os
import socket
import ssl
from typing import Any

from mailfs.errors import MailfsError
from mailfs.tls.service import Peer
from mailfs.tls.service import peer as find_peer
from mailfs.tls.starttls import starttls
from mailfs.tls.trust import Trust


class TlsError(MailfsError):
    """TLS could not be agreed upon; no certificate was judged."""


class Context(ssl.SSLContext):
    """A context that checks one peer, for libraries that wrap their sockets themselves.

    imapclient, poplib and smtplib take it as ``ssl_context`` or ``context``.
    """

    peer: Peer
    trust: Trust | None  # None looks at the certificate and goes no further

    def wrap_socket(  # type: ignore[override]  # fewer choices, on purpose
        self, sock: socket.socket, server_hostname: str | None = None, **_: Any
    ) -> ssl.SSLSocket:
        """Return the socket wrapped and its peer checked; if not, sock is closed.

        sock is connected and blocking, with or without a timeout.  Raises Untrusted,
        TlsError, and OSError if the connection breaks.
        """
        wrapped = self._handshake(sock)
        try:
            if self.trust is not None:
                self.trust.check(chain(wrapped), self.peer)
        except BaseException:
            wrapped.close()
            raise
        return wrapped

    def _handshake(self, sock: socket.socket) -> ssl.SSLSocket:
        try:
            _connected(sock)
            return super().wrap_socket(sock, server_hostname=self.peer.host)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as e:
            raise ConnectionResetError("connection closed in the TLS handshake") from e
        except ssl.SSLError as e:
            why = (e.reason or "handshake failed").lower().replace("_", " ")
            raise TlsError(f"{self.peer.host}: tls: {why}") from e
        except ValueError as e:  # no name for SNI, or a socket that cannot wait
            raise TlsError(f"{self.peer.host}: tls: {e}") from e
        finally:
            sock.close()  # wrapping has taken its descriptor over, or has failed

    def wrap_bio(self, *_: Any, **__: Any) -> ssl.SSLObject:
        """Refuse: a handshake done later, elsewhere, would escape the check."""
        raise TlsError(f"{self.peer.host}: tls: only a socket can be checked")


def _connected(sock: socket.socket) -> None:
    """Raise ConnectionResetError if the peer has reset the connection already.

    ssl would find that only after it has taken the descriptor, and leave it open.
    """
    try:
        sock.getpeername()
    except OSError as e:
        text = os.strerror(errno.ECONNRESET)
        raise ConnectionResetError(errno.ECONNRESET, text) from e


def context(peer: Peer, trust: Trust | None) -> Context:
    """Return a context good for connections to one peer."""
    ctx = Context(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False  # Trust.check does; a listed certificate may name nobody
    ctx.verify_mode = ssl.CERT_NONE
    ctx.minimum_version = ssl.TLSVersion.TLSv1_2
    ctx.options |= ssl.OP_NO_RENEGOTIATION  # the peer we checked stays the peer
    ctx.peer = peer
    ctx.trust = trust
    return ctx


def wrap(sock: socket.socket, peer: Peer, trust: Trust) -> ssl.SSLSocket:
    """Begin TLS on a connected socket, as after STARTTLS, and check the peer.

    The caller has read nothing beyond the server's consent.  Raises as
    Context.wrap_socket does; sock is closed then.
    """
    return context(peer, trust).wrap_socket(sock)


def connect(
    host: str, port: int, service: str, trust: Trust, timeout: float | None = None
) -> ssl.SSLSocket:
    """Dial a service, negotiate STARTTLS if it is of that kind, and check the peer.

    port 0 is the service's own; timeout, in seconds, holds for each step and stays
    with the socket.  Raises Untrusted, TlsError, StarttlsError, UsageError for an
    unknown service, and OSError if the server cannot be reached.
    """
    peer = find_peer(service, host, port)
    return wrap(_plain(peer, timeout), peer, trust)


def look(peer: Peer, timeout: float | None = None) -> tuple[bytes, ...]:
    """Return the chain of DER certificates a peer shows, trusting none; then hang up.

    Raises as connect does, but never Untrusted.
    """
    with context(peer, None).wrap_socket(_plain(peer, timeout)) as sock:
        return chain(sock)


def _plain(peer: Peer, timeout: float | None) -> socket.socket:
    sock = socket.create_connection((peer.host, peer.port), timeout)
    try:
        starttls(sock, peer.service.start)
    except BaseException:
        sock.close()
        raise
    return sock


def chain(sock: ssl.SSLSocket) -> tuple[bytes, ...]:
    """Return the DER certificates the peer sent, its own first; empty if none.

    Raises OSError or ValueError if the handshake has not been done.
    """
    own = sock.getpeercert(binary_form=True)
    if not own:
        return ()
    if hasattr(sock, "get_unverified_chain"):  # Python 3.13
        return tuple(sock.get_unverified_chain())
    inner: Any = getattr(sock, "_sslobj", None)
    if not hasattr(inner, "get_unverified_chain"):
        return (own,)  # the authorities may then refuse it for want of an issuer
    import _ssl

    return tuple(
        c.public_bytes(_ssl.ENCODING_DER) for c in inner.get_unverified_chain()
    )
