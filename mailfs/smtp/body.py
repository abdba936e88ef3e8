"""The body of a message in wire form, a piece at a time; RFC 5321, RFC 6376."""

import base64
import hashlib
import re
from collections.abc import Iterator
from functools import cached_property

from mailfs.smtp import wire
from mailfs.smtp.downgrade import MAX_LINE
from mailfs.smtp.source import MessageSource, pieces

_LONG = re.compile(rb"[^\n]{%d}" % (MAX_LINE + 1))
_BLANKS = re.compile(rb"[ \t]+")
_TRAILING = re.compile(rb"[ \t]+(?=\r\n)")


class WireBody:
    """What a source has from an offset on, with every line ending in CRLF."""

    def __init__(self, source: MessageSource, start: int) -> None:
        self._source = source
        self._start = start

    @cached_property
    def _measures(self) -> tuple[int, bool, bool]:
        """Its octets in wire form, whether it is ASCII, whether a line is too long."""
        size, ascii_, long, run = 0, True, False, 0
        held = b""  # a CR that may be half a line's end
        for piece in pieces(self._source, self._start):
            text = held + piece
            held = b"\r" if text.endswith(b"\r") else b""
            text = wire.newlines(text[: len(text) - len(held)])
            ascii_ = ascii_ and text.isascii()
            first, last = text.find(b"\n"), text.rfind(b"\n")
            long = long or run + (first if first >= 0 else len(text)) > MAX_LINE
            long = long or _LONG.search(text) is not None
            run = run + len(text) if last < 0 else len(text) - last - 1
            size += len(text) + text.count(b"\n")
        if held or run:
            size += 2
        return size, ascii_, long

    @property
    def size(self) -> int:
        """Its octets in wire form, dots not doubled."""
        return self._measures[0]

    @property
    def ascii(self) -> bool:
        """Whether all of it is ASCII."""
        return self._measures[1]

    def fits(self, *, eight: bool) -> bool:
        """Whether a server takes it as it is; eight says it has 8BITMIME."""
        _, ascii_, long = self._measures
        return not long and (eight or ascii_)

    def pieces(self) -> Iterator[bytes]:
        """Yield it; each piece ends with a line, if lines are not overlong."""
        held = b""
        for piece in pieces(self._source, self._start):
            held += piece
            # A CR at the very end may be half a line's end.
            at = max(held.rfind(b"\n"), held.rfind(b"\r", 0, len(held) - 1)) + 1
            if at:
                yield wire.lines(held[:at])
                held = held[at:]
        if held:
            yield wire.lines(held)

    def digest(self) -> str:
        """Compute the base64 SHA-256 of its canonical form; RFC 6376 section 3.4.4."""
        digest, empty, any_text = hashlib.sha256(), 0, False
        for piece in self.pieces():
            text = _BLANKS.sub(b" ", _TRAILING.sub(b"", piece))
            kept = text.rstrip(b"\r\n")
            if kept:
                digest.update(b"\r\n" * empty + kept)
                empty, any_text = 0, True
            empty += (len(text) - len(kept)) // 2
        if any_text:
            digest.update(b"\r\n")
        return base64.b64encode(digest.digest()).decode("ascii")
