"""A message as it comes after DATA; RFC 5321 sections 4.1.1.4 and 4.5.2.

Lines end with CR LF and nothing else: a bare CR, a bare LF or a NUL would be a line end
to some server and none to another, which lets one message be taken for two.  Pure.
"""

import re

from mailfs.errors import MailfsError

MAX_LINE = 64 << 10  # octets of a line; RFC 5321 has 1,000, real mail has more
_END = re.compile(rb"^\.\n", re.MULTILINE)
_DOT = re.compile(rb"^\.", re.MULTILINE)


class BadText(MailfsError):
    """Octets that no message can have; the connection is of no more use."""


class Text:
    """Octets from the wire to octets of the message, with LF and without dots."""

    def __init__(self, limit: int, *, normalize: bool = False) -> None:
        """Take up to limit octets of message; what comes beyond is dropped.

        normalize takes a bare LF for CR LF, for old devices of one's own.
        """
        self._limit = limit
        self._normalize = normalize
        self._held = b""  # of a line that is not complete
        self.size = 0  # octets of the message so far, as they came
        self.ended = False
        self.rest = b""  # what came after the end

    @property
    def over(self) -> bool:
        """Whether the message is longer than it may be."""
        return self.size > self._limit

    def feed(self, octets: bytes) -> bytes:
        """Take octets and return those of the message that are complete.

        Raises BadText.  After the end nothing more may be fed.
        """
        octets = self._held + octets
        if self._normalize:
            octets = re.sub(rb"(?<!\r)\n", b"\r\n", octets)
        at = octets.rfind(b"\r\n") + 2
        if at < 2:
            return self._wait(octets, b"")
        lines = octets[:at].replace(b"\r\n", b"\n")
        end = _END.search(lines)
        if end is not None:
            # In front of the end, each LF was CR LF.
            taken = end.end() + lines.count(b"\n", 0, end.end())
            self.rest, self._held = octets[taken:], b""
            self.ended = True
            lines = lines[: end.start()]
            _check(lines, octets[:taken])
        else:
            _check(lines, octets[:at])
            self._wait(octets[at:], b"")
        self.size += len(lines) + lines.count(b"\n")
        return b"" if self.over else _DOT.sub(b"", lines)

    def _wait(self, octets: bytes, done: bytes) -> bytes:
        if len(octets) > MAX_LINE:
            raise BadText(f"line over {MAX_LINE} octets")
        _bare(octets.removesuffix(b"\r"))
        self._held = octets
        return done


def _check(lines: bytes, octets: bytes) -> None:
    """Refuse what is in complete lines and must not be."""
    if b"\n" in octets.replace(b"\r\n", b""):
        raise BadText("bare LF")
    if any(len(line) > MAX_LINE for line in lines.split(b"\n")):
        raise BadText(f"line over {MAX_LINE} octets")
    _bare(lines.replace(b"\n", b""))


def _bare(octets: bytes) -> None:
    for octet, what in ((b"\r", "bare CR"), (b"\n", "bare LF"), (b"\0", "NUL")):
        if octet in octets:
            raise BadText(what)
