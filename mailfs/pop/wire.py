"""Commands and answers of POP3, with bounds, sent ahead where allowed; RFC 1939."""

import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import NoReturn

from mailfs.pop.error import PopError, broken, refusal
from mailfs.pop.reader import Pop3Reader
from mailfs.remote.stream import Stream, number
from mailfs.tls.service import Peer
from mailfs.tls.trust import Trust

AHEAD = 64  # commands sent before their answers; a few hundred octets
MAX_TEXT = 1 << 16  # octets of a list of capabilities; the longest known have 500


class Pop3Wire:
    """One connection, spoken on by one thread at a time.

    Errors are OSError for a broken line and PopError for -ERR.  After an OSError, or
    when an answer was not read to its end, the connection is of no more use.
    """

    def __init__(
        self, sock: socket.socket | Stream, server: str, timeout: float
    ) -> None:
        """Take over a connected socket; the greeting is not read.

        timeout: seconds for a whole answer, see Deadline.
        """
        self.server = server
        self.stream = sock if isinstance(sock, Stream) else Stream(sock)
        self.alive = True  # until we hang up
        self.timeout = timeout
        self.pipelining = False
        self.bare = False  # the server ends its lines with a bare LF
        self._reader = Pop3Reader(self.stream.sock, server, timeout)

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The TLS connection, if it is one."""
        return self.stream.tls

    @property
    def received(self) -> int:
        """Octets that have come."""
        return self._reader.received

    def start_tls(self, peer: Peer, trust: Trust) -> None:
        """Begin TLS and check the peer.  Raises Untrusted, TlsError and OSError."""
        if self._reader.pending:
            # It was said in clear, by anybody, and must not count as said in TLS.
            raise PopError(self.server, "server sent clear text after agreeing to TLS")
        received = self._reader.received
        try:
            self.stream.start_tls(peer, trust, self.timeout)
        except TimeoutError as e:
            raise TimeoutError(f"{self.server}: tls: timed out") from e
        except OSError as e:
            why = f"tls: {(e.strerror or str(e)).lower()}"
            raise broken(self.server, why, number(e)) from e
        self._reader = Pop3Reader(self.stream.sock, self.server, self.timeout)
        self._reader.received = received

    def hurry(self, seconds: float) -> None:
        """Wait no longer than this for each answer from here on."""
        self.timeout = self._reader.timeout = seconds

    def put(self, *lines: bytes) -> None:
        """Send lines, in one piece."""
        if any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines):
            raise PopError(self.server, "line end or NUL in a command")
        try:
            self.stream.sock.settimeout(self.timeout)
            self.stream.sock.sendall(b"".join(line + b"\r\n" for line in lines))
        except TimeoutError as e:
            raise TimeoutError(f"{self.server}: timed out") from e
        except OSError as e:
            why = (e.strerror or str(e)).lower()
            raise broken(self.server, why, number(e)) from e

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

    def text(self, most: int = MAX_TEXT) -> bytes:
        """Read a text that is a listing, of at most so many octets."""
        out = bytearray()
        for piece in self.texts(whole=False):
            out += piece
            if len(out) > most:
                self.close()
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
        self.alive = False
        self.stream.close()
