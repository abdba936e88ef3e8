"""Headers and structures of many messages, as raw slices, newest first."""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mailfs.imap.error import ImapError
from mailfs.imap.fetched import fetched
from mailfs.imap.grammar.ranges import Ranges
from mailfs.imap.grammar.tokens import Malformed, string
from mailfs.imap.window import Batching
from mailfs.imap.wire import ImapWire

WINDOW = Batching(first=100, largest=2000)

# As servers answer what we ask for; whatever differs is read attribute by attribute.
_USUAL = re.compile(
    rb"\* [0-9]{1,10} FETCH \(UID ([0-9]{1,10})(?: BODYSTRUCTURE (\([^\r\n]*\)))? "
    rb"BODY\[HEADER(?:\.FIELDS \([^)\]\r\n]*\))?\] \{([0-9]{1,6})\}\r\n"
)


class FetchedHead(NamedTuple):
    """A message's header fields, the blank line included, and its BODYSTRUCTURE."""

    uid: int
    header: bytes
    structure: bytes  # as structure.parse takes it; empty if it was not asked for


def items(fields: Sequence[str], *, structure: bool) -> bytes:
    """Return what to ask for: some fields, or with none given all of the header."""
    body = b"BODY.PEEK[HEADER]"
    if fields:
        names = " ".join(name.upper() for name in fields).encode("ascii")
        body = b"BODY.PEEK[HEADER.FIELDS (" + names + b")]"
    return b"(UID " + (b"BODYSTRUCTURE " if structure else b"") + body + b")"


def heads(
    wire: ImapWire,
    uids: Ranges,
    fields: Sequence[str],
    *,
    structure: bool,
    window: Batching = WINDOW,
) -> Iterator[FetchedHead]:
    """Give the header of each message that is there; none is given twice.

    A command the server refuses is asked again message by message, so that one it
    cannot read takes no other with it.
    """
    what = items(fields, structure=structure)
    sets = window.cut(uids, newest=True)
    flights: deque[tuple[bytes, Ranges]] = deque()
    again: list[Ranges] = []
    seen: set[int] = set()
    wire.line.begin_flow()
    try:
        while True:
            while len(flights) < window.flights and (part := next(sets, None)):
                tag = wire.send(b"UID FETCH ", str(part).encode(), b" ", what)
                flights.append((tag, part))
            if not flights:
                break
            tag, part = flights.popleft()
            for head in _answers(wire, tag):
                if head.uid in uids and head.uid not in seen:
                    seen.add(head.uid)
                    yield head
            if not _agreed(wire, tag):
                again.append(part)
    finally:
        wire.line.end_flow()
        wire.forget(tag for tag, _ in flights)
    yield from _singly(wire, again, seen, what)


def _singly(
    wire: ImapWire, refused: Sequence[Ranges], seen: set[int], what: bytes
) -> Iterator[FetchedHead]:
    for part in refused:
        for uid in part:
            if uid in seen:
                continue
            tag = wire.send(b"UID FETCH ", b"%d" % uid, b" ", what)
            yield from (head for head in _answers(wire, tag) if head.uid == uid)
            _agreed(wire, tag)


def _agreed(wire: ImapWire, tag: bytes) -> bool:
    """Whether a command succeeded; a refusal that passes is raised."""
    try:
        wire.finish(tag)
    except ImapError as e:
        if e.backoff or (not e.permanent and not e.code):
            raise
        return False
    return True


def _answers(wire: ImapWire, tag: bytes) -> Iterator[FetchedHead]:
    """Read until a command is answered."""
    reader = wire.reader
    while not wire.answered(tag):
        while (found := reader.framed(_USUAL)) is not None:
            m, header = found
            yield FetchedHead(int(m[1]), header, m[2] or b"")
        head = _other(wire, reader.response())
        if head is not None:
            yield head


def _other(wire: ImapWire, raw: bytes) -> FetchedHead | None:
    """Take a response in an unusual form, or none of ours."""
    row = fetched(raw)
    if row is None:
        wire.take(raw)
        return None
    if b"FLAGS" in row.items:
        wire.take(raw)
    name = next((n for n in row.items if n.startswith(b"BODY[HEADER")), None)
    try:
        if name is None or row.uid is None:
            return None
        header = string(raw, *row.items[name])
        if header is None:  # NIL: the server has none to give
            return None
        return FetchedHead(row.uid, header, row.value(b"BODYSTRUCTURE") or b"")
    except Malformed:
        return None
