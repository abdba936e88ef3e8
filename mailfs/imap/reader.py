"""Octets cut into responses; the bounds on what a server may make us hold."""

import re
from collections.abc import Iterator

from mailfs.imap.error import ImapError
from mailfs.imap.line import Transport

MAX_LINE = 4 << 20  # octets of a line; SEARCH names half a million uids in it
MAX_INLINE = 1 << 20  # octets of a literal kept inside a response; longer is passed by
MAX_RESPONSE = 8 << 20  # octets of a response with all its literals
MAX_LITERAL = 1 << 30  # octets of a literal we are willing to read to its end
PIECE = 1 << 20  # octets of a literal handed out at a time

_LITERAL = re.compile(rb"~?\{([0-9]{1,18})\+?\}\Z")
# Words for people follow here, and they may end in anything (RFC 9051 section 7.1).
_TEXT = re.compile(rb"(?i)(?:\S+[ \t]+(?:OK|NO|BAD|BYE|PREAUTH)\b|\+)")
# Blanks that some gateways double (DavMail) before and after a number.
_BLANKS = re.compile(rb"(?:\*|[A-Za-z0-9]+)[ \t]+(?:([0-9]{1,20})[ \t]+)?(?=\S)")


def tidied(line: bytes) -> bytes:
    """Return a response's first line with one blank where one belongs."""
    m = _BLANKS.match(line)
    if m is None:
        return line
    tag = m[0].split(None, 1)[0]
    head = tag + b" " if m[1] is None else tag + b" " + m[1] + b" "
    return line if m[0] == head else head + line[m.end() :]


class ImapReader:
    """Reads responses from a line; a literal's header never fools it."""

    def __init__(self, line: Transport) -> None:
        self.line = line
        self._buffer = b""
        self._at = 0

    @property
    def buffered(self) -> bool:
        """Whether octets have been read that nobody has looked at."""
        return self._at < len(self._buffer)

    def rest(self) -> bytes:
        """Take what has been read ahead."""
        rest, self._buffer, self._at = self._buffer[self._at :], b"", 0
        return rest

    def unread(self, octets: bytes) -> None:
        """Give octets back, to be read next."""
        self._buffer = octets + self._buffer[self._at :]
        self._at = 0

    def _fill(self) -> None:
        more = self.line.receive()
        if self._at == len(self._buffer):
            self._buffer = more
        else:
            self._buffer = self._buffer[self._at :] + more
        self._at = 0

    def text(self) -> bytes:
        """Return the octets up to a line's end, without it."""
        end = self._buffer.find(b"\n", self._at)
        if end < 0:
            end = self._long()
        text = self._buffer[self._at : end]
        self._at = end + 1
        return text.rstrip(b"\r")

    def _long(self) -> int:
        """Read until a line is complete; where it ends in the buffer."""
        self.line.mark()
        parts = [self._buffer[self._at :]]
        size = len(parts[0])
        while b"\n" not in parts[-1]:
            if size > MAX_LINE:
                raise self.refuse("line too long")
            parts.append(self.line.receive())
            size += len(parts[-1])
        self._buffer = b"".join(parts)
        self._at = 0
        return self._buffer.find(b"\n")

    def part(self) -> tuple[bytes, int | None]:
        """Return the first line of a response, and the size of the literal it ends in.

        The literal's header is still part of the line.
        """
        text = tidied(self.text())
        if not text.endswith(b"}") or _TEXT.match(text):
            return text, None
        return text, self.size(text)

    def size(self, text: bytes) -> int | None:
        """Return the size of the literal that a line announces, None if it does not."""
        m = _LITERAL.search(text)
        if m is None:
            return None
        size = int(m[1])
        if size > MAX_LITERAL:
            raise self.refuse("literal too large")
        return size

    def finish(self, text: bytes, size: int | None) -> bytes:
        """Return the whole response that a part begins, line ends inside literals kept.

        A literal over MAX_INLINE is read and forgotten; "" stands in its place.
        """
        if size is None:
            return text
        parts = []
        total = 0
        while size is not None:
            total += len(text)
            if size > MAX_INLINE:
                parts.append(text[: text.rindex(b"{")].removesuffix(b"~") + b'""')
                for _ in self.pieces(size):
                    pass
            else:
                parts += [text, b"\r\n", self.exactly(size)]
                total += size
            if total > MAX_RESPONSE:
                raise self.refuse("response too long")
            text = self.text()
            size = self.size(text) if text.endswith(b"}") else None
        return b"".join([*parts, text])

    def response(self) -> bytes:
        """Return one response, without its last line end."""
        return self.finish(*self.part())

    def exactly(self, size: int) -> bytes:
        """Return so many octets; the caller has seen to it that they are not many."""
        end = self._at + size
        if end <= len(self._buffer):
            octets = self._buffer[self._at : end]
            self._at = end
            return octets
        self.line.mark()
        parts = [self._buffer[self._at :]]
        self._at = len(self._buffer)
        left = size - len(parts[0])
        while left:
            self._fill()
            self._at = min(left, len(self._buffer))
            parts.append(self._buffer[: self._at])
            left -= self._at
        return b"".join(parts)

    def pieces(self, size: int) -> Iterator[bytes]:
        """Give so many octets, PIECE and less at once, more as they come."""
        if size <= PIECE:
            yield self.exactly(size)
            return
        self.line.mark()
        while size:
            if self._at == len(self._buffer):
                self._fill()
            end = min(len(self._buffer), self._at + min(size, PIECE))
            piece = self._buffer[self._at : end]
            self._at = end
            size -= len(piece)
            yield piece

    def framed(self, form: re.Pattern[bytes]) -> tuple[re.Match[bytes], bytes] | None:
        """Take a FETCH that ends in one literal, if it is of a form and at hand whole.

        form matches from its beginning to the line end before the literal, whose size
        is the last group.  None, and nothing taken, if it does not; this is only the
        quick way for what part and the others can read as well.
        """
        buffer = self._buffer
        m = form.match(buffer, self._at)
        if m is None:
            return None
        start = m.end()
        end = start + int(m[m.re.groups])
        if buffer[end : end + 3] != b")\r\n":
            return None
        self._at = end + 3
        return m, buffer[start:end]

    def lines(self) -> bytes:
        """Return all complete lines that are at hand, at least one, with their ends."""
        end = self._buffer.rfind(b"\n", self._at)
        if end < 0:
            self._long()
            end = self._buffer.rfind(b"\n")
        lines = self._buffer[self._at : end + 1]
        self._at = end + 1
        return lines

    def refuse(self, why: str) -> ImapError:
        """Hang up, and return the error for what no server should send."""
        # Nobody knows any more what the next octets belong to.
        self.line.fail(f"protocol error: {why}")
        return ImapError(self.line.server, self.line.failure, permanent=False)
