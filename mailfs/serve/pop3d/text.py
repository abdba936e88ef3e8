"""A message on its way to a POP3 client: dots stuffed, an end; RFC 1939 section 3."""

import re

_DOT = re.compile(rb"(?<=\n)\.")


class Outgoing:
    """A text sent in pieces, wherever they are cut; lines end with CR LF."""

    def __init__(self, lines: int | None = None) -> None:
        """Begin; lines: how many of the body are wanted, None for all of it."""
        self.ended = False  # whether no more pieces are wanted
        self._last = b"\n"  # the last octet, for a dot that begins a piece
        self._lines = lines
        self._head = lines is not None  # whether the empty line is still to come
        self._line = b""  # of the header, while it is incomplete

    def piece(self, octets: bytes) -> bytes:
        """Stuff a piece; what is beyond the lines wanted is cut off."""
        if self.ended or not octets:
            return b""
        if self._lines is not None:
            octets = self._wanted(octets)
        stuffed = _DOT.sub(b"..", octets)
        if self._last == b"\n" and octets.startswith(b"."):
            stuffed = b"." + stuffed
        self._last = octets[-1:] or self._last
        return stuffed

    def _wanted(self, octets: bytes) -> bytes:
        """Cut a piece of TOP: the header, its end, and so many lines."""
        at = self._body(octets) if self._head else 0
        if at < 0:
            return octets
        assert self._lines is not None
        while self._lines > 0:
            end = octets.find(b"\n", at)
            if end < 0:
                return octets
            at = end + 1
            self._lines -= 1
        self.ended = True
        return octets[:at]

    def _body(self, octets: bytes) -> int:
        """Find where the body begins in a piece; -1 if not in this one."""
        at = 0
        while True:
            end = octets.find(b"\n", at)
            if end < 0:
                self._line += octets[at : at + 2]  # enough to tell an empty line
                return -1
            line = self._line + octets[at:end]
            self._line = b""
            at = end + 1
            if line in (b"", b"\r"):
                self._head = False
                return at

    def end(self) -> bytes:
        """End the text, in a line of its own."""
        return b".\r\n" if self._last == b"\n" else b"\r\n.\r\n"
