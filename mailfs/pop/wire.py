"""Commands and answers: poplib with bounds, commands sent ahead, and checked TLS."""

import contextlib
import poplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import NoReturn

from mailfs.pop.error import PopError, broken, refusal
from mailfs.pop.reader import Pop3Reader
from mailfs.tls.dial import context
from mailfs.tls.service import Peer
from mailfs.tls.trust import Trust

AHEAD = 64  # commands sent before their answers; a few hundred octets
MAX_TEXT = 64 << 20  # octets of a listing; a million messages come to half of it


class Pop3Wire(poplib.POP3):
    """One connection, spoken on by one thread at a time.

    Errors are OSError for a broken line and PopError for -ERR.  After an OSError, or
    when an answer was not read to its end, the connection is of no more use.
    """

    def __init__(self, sock: socket.socket, server: str, timeout: float) -> None:
        """Take over a connected socket; the greeting is not read."""
        # poplib's own would dial, and read with neither bound nor look ahead.
        self.server = server
        self.sock: socket.socket | None = sock  # type: ignore[assignment]  # None: closed
        self._reader = Pop3Reader(sock, server)
        self._debugging = 0
        self.pipelining = False
        self.bare = False  # the server ends its lines with a bare LF
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
        received = self._reader.received
        try:
            self.sock = context(peer, trust).wrap_socket(self.sock)
        except TimeoutError as e:
            raise TimeoutError(f"{self.server}: tls: timed out") from e
        except OSError as e:
            raise broken(self.server, f"tls: {(e.strerror or str(e)).lower()}") from e
        self._reader = Pop3Reader(self.sock, self.server)
        self._reader.received = received

    # What poplib's commands are made of.

    def _putline(self, line: bytes) -> None:
        self.put(line)

    def _putcmd(self, line: str) -> None:
        self.put(line.encode())

    def _getline(self) -> tuple[bytes, int]:
        line = self._reader.line()
        return line.removesuffix(b"\n").removesuffix(b"\r"), len(line)

    def _getresp(self) -> bytes:
        line = self.answer()
        if not line.startswith(b"+"):
            self.refuse(line)
        return line

    def _getlongresp(self) -> tuple[bytes, list[bytes], int]:
        first = self._getresp()
        text = self.text()
        return first, text.splitlines(), len(text)

    # What it lacks.

    def put(self, *lines: bytes) -> None:
        """Send lines, in one piece."""
        if any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines):
            raise PopError(self.server, "line end or NUL in a command")
        assert self.sock is not None
        try:
            self.sock.sendall(b"".join(line + b"\r\n" for line in lines))
        except TimeoutError as e:
            raise TimeoutError(f"{self.server}: timed out") from e
        except OSError as e:
            raise broken(self.server, (e.strerror or str(e)).lower()) from e

    def answer(self) -> bytes:
        """Return the next status line: +OK, -ERR, or + of SASL."""
        line = self._reader.line()
        if line[:1] not in (b"+", b"-"):
            raise broken(self.server, "out of sync with pop3 server")
        self.bare = not line.endswith(b"\r\n")
        return line.removesuffix(b"\n").removesuffix(b"\r")

    def refuse(self, line: bytes, *, words: bool = False) -> NoReturn:
        """Raise what a line that is not +OK means."""
        raise refusal(self.server, line, words=words)

    def texts(self, *, alone: bool = True) -> Iterator[bytes]:
        """Give the text that follows a status line, in pieces; see Reader.text."""
        return self._reader.text(bare=self.bare, alone=alone)

    def text(self) -> bytes:
        """Return a text that is a listing."""
        out = bytearray()
        for piece in self.texts():
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
            yield self.answer()

    def close(self) -> None:
        """Hang up."""
        sock, self.sock = self.sock, None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
