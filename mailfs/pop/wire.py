"""Commands and answers of POP3, with bounds, sent ahead where allowed; RFC 1939."""

import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import NoReturn

from mailfs import where
from mailfs.pop.error import PopError, broken, refusal
from mailfs.pop.reader import Pop3Reader
from mailfs.tls.dial import wrap
from mailfs.tls.service import Peer
from mailfs.tls.trust import Trust

AHEAD = 64  # commands sent before their answers; a few hundred octets
MAX_TEXT = 64 << 20  # octets of a listing; a million messages come to half of it


class Pop3Wire:
    """One connection, spoken on by one thread at a time.

    Errors are OSError for a broken line and PopError for -ERR.  After an OSError, or
    when an answer was not read to its end, the connection is of no more use.
    """

    def __init__(self, sock: socket.socket, server: str, timeout: float) -> None:
        """Take over a connected socket; the greeting is not read.

        timeout: seconds for a whole answer, see Deadline.
        """
        self.server = server
        self.sock: socket.socket | None = sock  # None: closed
        self.timeout = timeout
        self.local = where.local_peer(sock)
        self.pipelining = False
        self.bare = False  # the server ends its lines with a bare LF
        self._reader = Pop3Reader(sock, server, timeout)
        sock.settimeout(timeout)
        if sock.family != getattr(socket, "AF_UNIX", None):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The TLS connection, if it is one."""
        return self.sock if isinstance(self.sock, ssl.SSLSocket) else None

    @property
    def received(self) -> int:
        """Octets that have come."""
        return self._reader.received

    def start_tls(self, peer: Peer, trust: Trust) -> None:
        """Begin TLS and check the peer.  Raises Untrusted, TlsError and OSError."""
        if self._reader.pending:
            # It was said in clear, by anybody, and must not count as said in TLS.
            raise PopError(self.server, "server sent clear text after agreeing to TLS")
        assert self.sock is not None
        self.sock.settimeout(self.timeout)
        received = self._reader.received
        try:
            self.sock = wrap(self.sock, peer, trust)
        except TimeoutError as e:
            raise TimeoutError(f"{self.server}: tls: timed out") from e
        except OSError as e:
            raise broken(self.server, f"tls: {(e.strerror or str(e)).lower()}") from e
        self._reader = Pop3Reader(self.sock, self.server, self.timeout)
        self._reader.received = received

    def hurry(self, seconds: float) -> None:
        """Wait no longer than this for each answer from here on."""
        self.timeout = self._reader.timeout = seconds

    def put(self, *lines: bytes) -> None:
        """Send lines, in one piece."""
        if any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines):
            raise PopError(self.server, "line end or NUL in a command")
        assert self.sock is not None
        try:
            self.sock.settimeout(self.timeout)
            self.sock.sendall(b"".join(line + b"\r\n" for line in lines))
        except TimeoutError as e:
            raise TimeoutError(f"{self.server}: timed out") from e
        except OSError as e:
            raise broken(self.server, (e.strerror or str(e)).lower()) from e

    def answer(self, *, last: bool = False) -> bytes:
        """Read the next status line: +OK, -ERR, or + of SASL, in upper case.

        last: the server hangs up after it, perhaps without the line's end.
        """
        line = self._reader.line(last=last).lstrip(b" \t")
        if line[:1] not in (b"+", b"-"):
            raise broken(self.server, "out of sync with pop3 server")
        self.bare = line.endswith(b"\n") and not line.endswith(b"\r\n")
        for status in (b"+OK", b"-ERR"):
            if line[: len(status)].upper() == status:
                line = status + line[len(status) :]
        return line.removesuffix(b"\n").removesuffix(b"\r")

    def refuse(self, line: bytes, *, words: bool = False) -> NoReturn:
        """Raise the error that a line other than +OK means."""
        raise refusal(self.server, line, words=words)

    def texts(self, *, alone: bool = True, whole: bool = True) -> Iterator[bytes]:
        """Give the text that follows a status line, in pieces; see Pop3Reader.text."""
        return self._reader.text(bare=self.bare, alone=alone, whole=whole)

    def text(self) -> bytes:
        """Read a text that is a listing."""
        out = bytearray()
        for piece in self.texts(whole=False):
            out += piece
            if len(out) > MAX_TEXT:
                raise broken(self.server, "listing too long")
        return bytes(out)

    def ask(self, commands: Sequence[bytes]) -> Iterator[bytes]:
        """Send commands and give the status line of each, in their order.

        Several are sent ahead where the server allows it.  The text that follows an
        answer must be read before the next is asked for.
        """
        ahead = AHEAD if self.pipelining else 1
        sent = 0
        for done in range(len(commands)):
            if sent - done <= ahead // 2:
                end = min(done + ahead, len(commands))
                self.put(*commands[sent:end])
                sent = end
            yield self.answer(last=commands[done] == b"QUIT")

    def close(self) -> None:
        """Hang up."""
        sock, self.sock = self.sock, None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
