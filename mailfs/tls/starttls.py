"""The few lines a server wants to hear before TLS begins in mid-connection.

RFC 9051 section 6.2.1 (IMAP), RFC 2595 section 4 (POP3), RFC 3207 (SMTP).  What a
stranger may have slipped in after the server's consent is refused, not read later.
"""

import socket

from mailfs.errors import MailfsError
from mailfs.tls.service import TlsStart

MAX_LINE = 8192  # octets; IMAP greetings with capabilities are the longest
MAX_LINES = 100  # of one reply; capabilities, one a line


class StarttlsError(MailfsError):
    """The server will not begin TLS, or answered out of turn."""


class _Lines:
    """Lines from a socket; nothing is read ahead unnoticed."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.rest = b""

    def read(self) -> bytes:
        """Return one line without its end; CRLF or LF."""
        while b"\n" not in self.rest:
            if len(self.rest) > MAX_LINE:
                raise StarttlsError("line too long from server")
            more = self.sock.recv(4096)
            if not more:
                raise StarttlsError("server hung up before TLS")
            self.rest += more
        line, _, self.rest = self.rest.partition(b"\n")
        return line.removesuffix(b"\r")

    def send(self, line: bytes) -> None:
        """Send one line."""
        self.sock.sendall(line + b"\r\n")

    def end(self) -> None:
        """Raise if the server said more in clear than it was asked."""
        if self.rest:
            raise StarttlsError("server sent clear text after agreeing to TLS")


def starttls(sock: socket.socket, start: TlsStart) -> None:
    """Bring a fresh connection to the point where the TLS handshake begins.

    Raises StarttlsError, and OSError from the socket.
    """
    lines = _Lines(sock)
    if start is TlsStart.IMAP:
        _imap(lines)
    elif start is TlsStart.POP3:
        _pop3(lines)
    elif start is TlsStart.SMTP:
        _smtp(lines, sock)
    lines.end()


def _imap(lines: _Lines) -> None:
    greeting = lines.read()
    if not greeting.upper().startswith(b"* OK"):  # PREAUTH allows no STARTTLS
        raise StarttlsError(f"unexpected greeting: {_shown(greeting)}")
    lines.send(b"a STARTTLS")
    for _ in range(MAX_LINES):
        reply = lines.read()
        if reply.startswith(b"a "):
            if not reply.upper().startswith(b"A OK"):
                raise StarttlsError(f"starttls refused: {_shown(reply)}")
            return
    raise StarttlsError("too many lines from server")


def _pop3(lines: _Lines) -> None:
    for command, what in ((b"", "unexpected greeting"), (b"STLS", "stls refused")):
        if command:
            lines.send(command)
        reply = lines.read()
        if not reply.startswith(b"+OK"):
            raise StarttlsError(f"{what}: {_shown(reply)}")


def _smtp(lines: _Lines, sock: socket.socket) -> None:
    _smtp_reply(lines, b"220", "unexpected greeting")
    lines.send(b"EHLO " + _literal(sock))
    offers = _smtp_reply(lines, b"250", "ehlo refused")
    if not any(o.upper().split()[:1] == [b"STARTTLS"] for o in offers):
        raise StarttlsError("server does not offer starttls")
    lines.send(b"STARTTLS")
    _smtp_reply(lines, b"220", "starttls refused")


def _smtp_reply(lines: _Lines, code: bytes, what: str) -> list[bytes]:
    """Return the text of each line of a reply; RFC 5321 section 4.2.1."""
    texts = []
    for _ in range(MAX_LINES):
        line = lines.read()
        if not line.startswith(code):
            raise StarttlsError(f"{what}: {_shown(line)}")
        texts.append(line[4:])
        if line[3:4] != b"-":
            return texts
    raise StarttlsError("too many lines from server")


def _literal(sock: socket.socket) -> bytes:
    """Return our address as an RFC 5321 section 4.1.3 literal; we may have no name."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return b"localhost"
    host = sock.getsockname()[0].partition("%")[0]
    return (f"[IPv6:{host}]" if ":" in host else f"[{host}]").encode()


def _shown(line: bytes) -> str:
    text = line[:120].decode("ascii", "replace")
    return "".join(c if c.isprintable() else "?" for c in text) or "empty line"
