"""The MIME structure of a message as offsets into its octets; RFC 2045, 2046.

One pass finds the boundary lines of all levels; the body of a message that is no
multipart is not looked at.  Any octets give some tree, bounded in depth and number.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from mailfs.msg import coding, param, window
from mailfs.msg.header import FIRST, MAX_BLOCK, Header, settled
from mailfs.msg.window import MAX_LINE, Source, Window
from mailfs.msg.word import words

MAX_DEPTH = 100  # levels of parts; a multipart below is a leaf
MAX_PARTS = 65_535  # of one message; what follows belongs to the last
MAX_INSETS = 3  # encoded messages within one another; RFC 2046 allows none
MAX_INSET = 64 << 20  # octets of an encoded message; it is decoded in memory


@dataclass(slots=True)
class Part:
    """One entity: a message, a part of a multipart, or the message in a part.

    Offsets are octets of the source: start of the header, body after its empty line,
    end.  Those of the children of an inset count in the decoded body of the inset.
    """

    start: int
    body: int
    end: int
    type: str = "text/plain"
    charset: str = ""  # as labelled, in lower case
    encoding: str = ""  # the transfer encoding, in lower case; never one of a multipart
    disposition: str = ""  # inline, file or empty
    filename: str = ""
    description: str = ""
    message: bool = False  # a whole message, not a part with MIME fields only
    inset: bool = False  # an encoded message: the child lies in the decoded body
    parts: "list[Part]" = field(default_factory=list)

    def walk(self) -> "Iterator[Part]":
        """Yield this part and all below it, each before its children."""
        rest = [self]
        while rest:
            part = rest.pop()
            yield part
            rest.extend(reversed(part.parts))


# A line that may be a boundary, after the newline before it.
_DASHES = rb"--([^\n]{0,%d})(?:\n|\Z)" % MAX_LINE
_BOUNDARY = re.compile(rb"\n" + _DASHES)
_EVENT = re.compile(rb"\n(?:\r?\n|" + _DASHES + rb")")
_START = re.compile(rb"\r?\n|" + _DASHES)

# Media types that are a whole message: RFC 2046 section 5.2.1, RFC 6532 section 3.7.
_MESSAGES = ("message/rfc822", "message/global")


def parse(
    source: Source | bytearray,
    start: int = 0,
    end: int | None = None,
    header: Header | None = None,
) -> Part:
    """Return the structure of the message at [start, end) of source.

    header is its header, if somebody has scanned it.
    """
    if end is None:
        end = len(source)
    return _Parser(source, end, 0).parse(start, header)


class _Parser:
    """Parts that are open, outermost first, and the boundaries that are awaited."""

    def __init__(
        self, source: Source | bytearray, end: int, insets: int, count: int = 0
    ) -> None:
        self.window = Window(source, end)
        self.hint = ""  # the charset that a part named first
        self.insets = insets  # encoded messages around this source
        self.count = count  # parts of the message so far
        self.open: list[Part] = []
        self.boundaries: list[bytes | None] = []  # of each open part
        self.awaited: dict[bytes, list[int]] = {}  # boundary to indices in open
        self.common: bytes | None = None  # the beginning of all of them, if known

    def parse(self, start: int, header: Header | None = None) -> Part:
        """Return the message that begins at start."""
        top = self._begin(start, param.DEFAULT, header)
        at = self.open[-1].body - 1
        while self.awaited and self.count < MAX_PARTS:
            m = self._line(at)
            if m is None:
                break
            base = self.window.base
            line, following = base + m.start() + 1, base + m.end()
            at = following - 1
            level, last = self._meaning(m[1])
            if level < 0:
                continue
            self._end(level + 1, line)
            if last:
                self._forget(level)
            elif self.count < MAX_PARTS:  # ending a part may have found more in it
                digest = self.open[level].type == "multipart/digest"
                self._begin(following, _MESSAGES[0] if digest else param.DEFAULT)
                at = self.open[-1].body - 1
        self._end(0, self.window.end)
        return top

    def _line(self, at: int) -> re.Match[bytes] | None:
        """Find the next line that may be a boundary.

        What all awaited ones begin with is searched for: mail has many lines that
        start with two dashes.
        """
        if self.common is None:
            self.common = b"\n--" + _common(self.awaited)
        while True:
            at = self.window.find(self.common, at)
            if at < 0:
                return None
            m = self.window.match(_BOUNDARY, at)
            if m is not None:
                return m
            at += 1  # a line too long to be one

    def _meaning(self, text: bytes) -> tuple[int, bool]:
        """Find the open part that a line ``--text`` delimits, and if for the last time.

        -1 if none.  An inner part's boundary goes before an outer one's.
        """
        text = text.rstrip(b" \t\r")
        level = self.awaited.get(text, (-1,))[-1]
        if text.endswith(b"--"):
            closed = self.awaited.get(text[:-2], (-1,))[-1]
            if closed > level:
                return closed, True
        return level, False

    def _begin(self, start: int, default: str, header: Header | None = None) -> Part:
        """Open the part at start, and if it wraps a message, that, and so on."""
        message = not self.open
        first: Part | None = None
        while True:
            header = header or self._header(start)
            part = _part(header, default, self.hint)
            self.hint = self.hint or part.charset
            part.message = message
            first = first or part
            if self.open:
                self.open[-1].parts.append(part)
            self.open.append(part)
            self.boundaries.append(None)
            self.count += 1
            if len(self.open) >= MAX_DEPTH or self.count >= MAX_PARTS:
                return first
            if part.type.startswith("multipart/"):
                self._await(param.boundary(header.raw(b"content-type")))
                return first
            if part.type not in _MESSAGES:
                return first
            if coding.kind(part.encoding):
                part.inset = self.insets < MAX_INSETS
                return first
            start, default, header, message = part.body, param.DEFAULT, None, True

    def _await(self, boundary: bytes | None) -> None:
        """Await the boundary of the innermost part."""
        if boundary is not None and len(boundary) < MAX_LINE:
            self.boundaries[-1] = boundary
            self.awaited.setdefault(boundary, []).append(len(self.open) - 1)
            self.common = None

    def _end(self, level: int, at: int) -> None:
        """End the open parts from level on; at is the octet after their last."""
        while len(self.open) > level:
            self._forget(len(self.open) - 1)
            part = self.open.pop()
            self.boundaries.pop()
            part.end = at
            part.body = min(part.body, at)
            if part.start == at and self.open:  # two boundary lines in a row
                self.open[-1].parts.pop()
            elif part.inset:
                self._open_inset(part)

    def _forget(self, level: int) -> None:
        """Await the boundary of an open part no longer."""
        boundary = self.boundaries[level]
        if boundary is not None:
            self.boundaries[level] = None
            self.common = None
            levels = self.awaited[boundary]
            levels.pop()
            if not levels:
                del self.awaited[boundary]

    def _open_inset(self, part: Part) -> None:
        """Find the message in an encoded part, in its decoded body."""
        part.inset = False
        if part.end - part.body > MAX_INSET:
            return
        decoder = coding.Decoder(part.encoding)
        pieces = []
        for at in range(part.body, part.end, window.WINDOW):
            piece = self.window.read(at, min(at + window.WINDOW, part.end))
            pieces.append(decoder.feed(piece))
        body = b"".join([*pieces, decoder.feed(b"", final=True)])
        if not body:
            return
        inner = _Parser(body, len(body), self.insets + 1, self.count)
        part.parts.append(inner.parse(0))
        part.inset = True
        self.count = inner.count

    def _header(self, start: int) -> Header:
        """Return the header of the part at start; a boundary line ends it too."""
        view = self.window
        m = view.match(_START, start)
        if m is not None:
            if m[1] is None:
                return Header(b"", start, start, view.base + m.end())
            if self._meaning(m[1])[0] >= 0:
                return Header(b"", start, start, start)
        if view.match(FIRST, start) is None:
            return Header(b"", start, start, start)
        at = start
        while True:
            m = view.search(_EVENT, at)
            if m is None:
                stop = body = view.end
                break
            stop = view.base + m.start() + 1
            at = view.base + m.end() - 1
            if m[1] is None:
                body = at + 1
                break
            if self._meaning(m[1])[0] >= 0:
                body = stop
                break
        block = view.read(start, min(stop, start + MAX_BLOCK))
        return settled(block, start, stop, body)


def _common(texts: Collection[bytes]) -> bytes:
    """Find the common beginning of texts; there must be one."""
    first, last = min(texts), max(texts)
    for i, (a, b) in enumerate(zip(first, last, strict=False)):
        if a != b:
            return first[:i]
    return first


def _part(header: Header, default: str, hint: str) -> Part:
    """Return the leaf that a header describes, its end not yet known.

    hint is the charset of octets that no part labels: that of the message's text.
    """
    raw = header.raw(b"content-type")
    kind, params = (default, {}) if raw is None else param.media(raw, hint)
    part = Part(header.start, header.body, header.body, kind)
    if params:
        part.charset = params.get("charset", "").lower()
    if not kind.startswith("multipart/"):
        part.encoding = param.encoding(header.raw(b"content-transfer-encoding"))
    part.disposition, part.filename = placing(header, params, hint)
    description = header.raw(b"content-description")
    if description is not None:
        part.description = words(description, params.get("charset") or hint)
    return part


_PLACES = {"inline": "inline", "attachment": "file"}


def placing(
    header: Header, params: param.Params, hint: str | None = None
) -> tuple[str, str]:
    """Return disposition (inline, file or empty) and file name of an entity.

    params are those of its Content-Type; hint is the charset of unlabelled octets
    where they name none.
    """
    raw = header.raw(b"content-disposition")
    if raw is None:
        return "", param.filename({}, params) if "name" in params else ""
    place, more = param.disposition(raw, params.get("charset") or hint)
    return _PLACES.get(place, ""), param.filename(more, params)


_MESSAGE, _INSET = 1, 2  # bits of the flags in a dump
_FIELDS = 11  # values of one part in a dump


def dump(part: Part) -> bytes:
    """Return a part tree as octets for load(): JSON, parts flat, parents first."""
    flat: list[int | str] = []
    for p in part.walk():
        flat += (
            p.start,
            p.body - p.start,
            p.end - p.body,
            _MESSAGE * p.message | _INSET * p.inset,
            len(p.parts),
            p.type,
            p.charset,
            p.encoding,
            p.disposition,
            p.filename,
            p.description,
        )
    return json.dumps(flat, ensure_ascii=False, separators=(",", ":")).encode()


def load(octets: bytes) -> Part:
    """Undo dump().  Raises ValueError for octets that dump() never makes."""
    flat = json.loads(octets)
    if not isinstance(flat, list) or not flat or len(flat) % _FIELDS:
        raise ValueError("not a part tree")
    top: Part | None = None
    parents: list[tuple[Part, int]] = []  # and how many children are still to come
    for at in range(0, len(flat), _FIELDS):
        start, head, size, flags, children, kind, *texts = flat[at : at + _FIELDS]
        part = Part(start, start + head, start + head + size, kind, *texts)
        part.message = bool(flags & _MESSAGE)
        part.inset = bool(flags & _INSET)
        if top is None:
            top = part
        else:
            while parents and not parents[-1][1]:
                parents.pop()
            if not parents:
                raise ValueError("not one part tree")
            parent, missing = parents.pop()
            parent.parts.append(part)
            parents.append((parent, missing - 1))
        parents.append((part, children))
    assert top is not None
    return top
