"""A header block: where it is in the octets, and its fields; RFC 5322 section 2.2.

A block ends at the first empty line, as in upas/fs, not at the first line that is no
field.  So lines without a colon (a mangled fold, a stray From_ line) are skipped,
with their continuation, and cost none of the fields after them.  But a line that is no
field, and after which no field of a header comes, is the body's first: the empty line
was forgotten.  So is the line of the boundary that the block itself names.  If already
the first line is no field and no From_ line, quoted or not, there is no header.
"""

import re
from mmap import mmap

from mailfs.msg import param
from mailfs.msg.word import unfold

Octets = bytes | bytearray | mmap

MAX_FIELDS = 10_000  # of one header that are looked at; real ones have under 500
MAX_BLOCK = 16 << 20  # octets of one header that are looked at

_EMPTY = re.compile(rb"\n\r?\n")
_NEWLINE = re.compile(rb"\r?\n")
_FIELDS = re.compile(rb"\n(?![ \t])")
FIRST = re.compile(rb"[!-9;-~]{1,998}+[ \t]{0,998}+:|>?From ")  # line one of a header
_NAME = re.compile(rb"([!-9;-~]++)[ \t]*+:")


# A line, after the first, that is no field, no continuation and no From_ line.
_ODD = re.compile(rb"\n(?![ \t\n]|\r\n|\Z|[!-9;-~]{1,998}+[ \t]*+:|>?From )")
# Fields that say a header goes on: those that mail has, not any word before a colon.
_MEANT = re.compile(
    rb"\n(?:(?:x|list|resent|arc|dkim|content|auto|delivered|envelope|original|errors"
    rb"|disposition|authentication|received|archived|feedback|require|return)-[!-9;-~]*+"
    rb"|from|to|cc|bcc|sender|reply-to|date|subject|message-id|in-reply-to|references"
    rb"|received|mime-version|comments|keywords|importance|priority|precedence|status"
    rb"|organization|organisation|user-agent|lines|newsgroups|path|followup-to|sensitivity"
    rb"|domainkey-signature|thread-topic|thread-index|accept-language|autocrypt|openpgp"
    rb"|encoding|approved|distribution|expires|supersedes|face|mail-followup-to"
    rb"|mailing-list|apparently-to|in-reply-to|dl-expansion-history)[ \t]*+:",
    re.IGNORECASE,
)


class Header:
    """One header block of a larger octets object.

    start and end are the offsets of the block, newline of the last line included;
    body is the offset after the empty line, or end if there is none.  Field names
    are matched in any case and given to the methods in lower case.  lines are the
    fields as they stand, and what is no field, without the newline after each.
    """

    __slots__ = ("_first", "_more", "body", "end", "lines", "start")

    def __init__(self, block: bytes, start: int, end: int, body: int) -> None:
        """Take the block that lies at [start, end)."""
        self.start = start
        self.end = end
        self.body = body
        lines = _FIELDS.split(block.removesuffix(b"\n"), MAX_FIELDS) if block else []
        if len(lines) > MAX_FIELDS:
            del lines[MAX_FIELDS:]
        self.lines = lines
        first: dict[bytes, bytes] = {}  # body by name, for nearly every name has one
        more: dict[bytes, list[bytes]] = {}
        for line in lines:
            name, colon, text = line.partition(b":")
            name = name.lower().rstrip()  # blanks are obsolete; RFC 5322 section 4.5
            if name not in first:
                if colon:
                    first[name] = text
            elif colon:
                more.setdefault(name, []).append(text)
        self._first = first
        self._more = more

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """The fields in order: name and body as they stand, without last newline."""
        out = []
        for line in self.lines:
            name = _NAME.match(line)
            if name is not None:
                out.append((name[1], line[name.end() :]))
        return out

    def raw(self, name: bytes) -> bytes | None:
        """Return the first body of that name as one line, or None if there is none."""
        body = self._first.get(name)
        return None if body is None else unfold(body)

    def all(self, name: bytes) -> list[bytes]:
        """Return all bodies of that name, each as one line."""
        return [unfold(body) for body in self.folded(name)]

    def folded(self, name: bytes) -> list[bytes]:
        """Return all bodies of that name as they stand."""
        body = self._first.get(name)
        if body is None:
            return []
        return [body, *self._more[name]] if name in self._more else [body]


def scan(octets: Octets, start: int = 0, end: int | None = None) -> Header:
    """Find and parse the header block that begins at start and may reach to end."""
    if end is None:
        end = len(octets)
    empty = _NEWLINE.match(octets, start, end)
    if empty is not None:
        return Header(b"", start, start, empty.end())
    if FIRST.match(octets, start, end) is None:
        return Header(b"", start, start, start)
    empty = _EMPTY.search(octets, start, end)
    stop, body = (end, end) if empty is None else (empty.start() + 1, empty.end())
    block = bytes(octets[start : min(stop, start + MAX_BLOCK)])
    return settled(block, start, stop, body)


def settled(block: bytes, start: int, end: int, body: int) -> Header:
    """Return the header of a block that an empty line, or nothing, ends.

    Where the empty line was forgotten the block is cut before its first line of body.
    """
    at = _forgotten(block)
    if at is None:
        return Header(block, start, end, body)
    return Header(block[:at], start, start + at, start + at)


def _forgotten(block: bytes) -> int | None:
    """Find the start of the body in a block; None if it is header to the end."""
    own = block.find(b"\n--")
    if own >= 0:
        head = Header(block[: own + 1], 0, own + 1, own + 1)
        name = param.boundary(head.raw(b"content-type"))
        while own >= 0:
            line = block[own + 3 : block.find(b"\n", own + 1) % (len(block) + 1)]
            if name is not None and line.rstrip().removesuffix(b"--") == name:
                return own + 1
            own = block.find(b"\n--", own + 1)
    odd = _ODD.search(block)
    while odd is not None:
        meant = _MEANT.search(block, odd.start())
        if meant is None:
            return odd.start() + 1
        odd = _ODD.search(block, meant.start())
    return None
