"""Lines and texts from a POP3 server; RFC 1939 section 3.

A text ends with a line that is one dot, and a dot at the beginning of any other line
is doubled.  Lines end with CRLF; a bare LF within a message begins no line, or what
one message says could be taken for the next answer.  Servers that end their own lines
with a bare LF are believed to do so in texts too.
"""

import errno
import math
import socket
from collections.abc import Iterator

from mailfs.poll import readable
from mailfs.pop.error import Ambiguous, HungUp, broken
from mailfs.remote.deadline import Deadline
from mailfs.remote.stream import number

MAX_LINE = 8192  # octets; RFC 2449 allows 512, RFC 5034 more for SASL
TIMEOUT = 60.0  # seconds for an answer; RFC 1939 lets servers think for long
CHUNK = 1 << 18  # octets read at a time
PIECE = 1 << 16  # octets of a text given at a time, about
QUIET = 2.0  # seconds of silence after what is probably a text's end
_END = b"\n.\r\n"  # the end of a text whose last line ends with a bare LF


class Pop3Reader:
    """What comes from a socket.  Errors are OSError and name the server."""

    def __init__(
        self, sock: socket.socket, server: str, timeout: float = TIMEOUT
    ) -> None:
        """Read from a socket; timeout: seconds for a whole line or text."""
        self._sock = sock
        self._server = server
        self.timeout = timeout
        self._buffer = b""
        self.received = 0  # octets

    @property
    def pending(self) -> bool:
        """Whether something has come that nobody asked for yet."""
        return bool(self._buffer)

    def _more(self, deadline: Deadline, *, end: bool = False) -> bytes:
        """Receive some octets; none if the server has hung up and end allows it."""
        try:
            with deadline.waiting() as seconds:
                self._sock.settimeout(seconds)
                data = self._sock.recv(CHUNK)
        except TimeoutError as e:
            raise TimeoutError(f"{self._server}: timed out") from e
        except OSError as e:
            why = (e.strerror or str(e)).lower()
            raise broken(self._server, why, number(e)) from e
        if not data and not end:
            raise HungUp(errno.ECONNRESET, f"{self._server}: server hung up")
        self.received += len(data)
        deadline.got(len(data))
        return data

    def line(self, *, last: bool = False) -> bytes:
        """Read the next line with its end.

        A refusal, or with last any line, may lack its end if the server hangs up.
        """
        deadline = Deadline(self.timeout, slowest=math.inf)
        parts = [self._buffer]
        size = len(self._buffer)
        while b"\n" not in parts[-1]:
            if size > MAX_LINE:
                break
            end = bool(size) and (last or b"".join(parts).startswith(b"-"))
            parts.append(self._more(deadline, end=end))
            size += len(parts[-1])
            if not parts[-1]:
                break
        line, lf, self._buffer = b"".join(parts).partition(b"\n")
        if len(line) > MAX_LINE:
            raise broken(self._server, "line too long from server")
        return line + lf

    def text(
        self, *, bare: bool = False, alone: bool = True, whole: bool = True
    ) -> Iterator[bytes]:
        """Give the text that follows, dots undone, in pieces.

        bare says that the server ends lines with LF; alone, that no other command has
        been sent, so that silence means the end; whole, that not even the last line
        end may lack, for a dot might have been doubled.  Raises Ambiguous if only
        silence could tell.  Must be read to its end.
        """
        deadline = Deadline(self.timeout)
        found = _Text(bare=bare)
        data, self._buffer = self._buffer, b""
        kept: list[bytes] = []
        size = 0
        while True:
            if data:
                octets = found.feed(data)
                kept.append(octets)
                size += len(octets)
            if found.doubtful and not alone:
                raise Ambiguous(f"{self._server}: message with bare line ends")
            if found.rest is not None:
                break
            if found.ended and self._silent():
                kept.append(found.finish())
                break
            if size >= PIECE:
                yield b"".join(kept)
                kept.clear()
                size = 0
            data = self._more(deadline, end=not whole and found.dotted)
            if not data:
                kept.append(found.finish_dotted())
                break
        self._buffer = found.rest or b""
        last = b"".join(kept)
        if last:
            yield last

    def _silent(self) -> bool:
        """Whether nothing more comes for a while."""
        pending = getattr(self._sock, "pending", None)  # TLS may hold octets back
        if pending is not None and pending():
            return False
        return not readable([self._sock.fileno()], QUIET)


class _Text:
    """One text: undoes the dots and finds the end, however it is cut."""

    def __init__(self, *, bare: bool) -> None:
        self._eol = b"\n" if bare else b"\r\n"
        self._held = self._eol  # the status line's, which is not part of the text
        self._skip = len(self._eol)
        self.rest: bytes | None = None  # what follows the text, once it has ended
        self.doubtful = False  # a line after a bare LF looks like the end
        self.ended = False  # and so far it would be

    def feed(self, data: bytes) -> bytes:
        """Take what came, give what is certain."""
        text = self._held + data
        eol = self._eol
        mark = eol + b"."
        out: list[bytes] = []
        at = 0
        while (dot := text.find(mark, at)) >= 0:
            after = dot + len(mark)
            ends = _ends(text[after : after + 2], eol)
            if ends is None:
                break  # it depends on what comes
            out.append(text[at : dot + len(eol)])
            if ends:
                self._doubt(text[:after])
                self._held = b""
                self.rest = text[after + ends :]
                return self._cut(out)
            at = after
        # Hold back what the search might have to see again.
        keep = min(len(_END), len(text) - at) if dot < 0 else len(text) - dot
        out.append(text[at : len(text) - keep])
        self._held = text[len(text) - keep :]
        self._doubt(text)
        self.ended = self.doubtful and self._held == _END
        return self._cut(out)

    def _doubt(self, text: bytes) -> None:
        """Look for what might be the end, had the line before ended properly."""
        if self._eol == b"\n":
            return
        at = text.find(_END)
        while at >= 0:
            if text[at - 1 : at] != b"\r":
                self.doubtful = True
                break
            at = text.find(_END, at + 1)

    @property
    def dotted(self) -> bool:
        """Whether the line so far is a lone dot, so that but its end lacks."""
        return self._held.rstrip(b"\r") == self._eol + b"."

    def finish_dotted(self) -> bytes:
        """Give the octets left when the server hung up behind the lone dot."""
        self.rest = b""
        return self._cut([self._eol])

    def finish(self) -> bytes:
        """Give what is left, the end having been decided upon."""
        self.rest = b""
        return self._cut([self._held[:1]])

    def _cut(self, out: list[bytes]) -> bytes:
        """Join, less the line end that came before the text."""
        octets = b"".join(out)
        skip = min(self._skip, len(octets))
        self._skip -= skip
        return octets[skip:]


def _ends(after: bytes, eol: bytes) -> int | None:
    """Tell how many octets end the line of a lone dot; 0: it is not one; None: wait.

    after are up to two octets that follow the dot.
    """
    if after.startswith(b"\r\n"):
        return 2
    if eol == b"\n" and after.startswith(b"\n"):
        return 1
    return None if after in (b"", b"\r") else 0
