"""Headers and structures of many messages, as raw slices, newest first."""

import re
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

from mailfs.imap.error import ImapError
from mailfs.imap.fetched import fetched
from mailfs.imap.grammar.ranges import Ranges
from mailfs.imap.grammar.tokens import Malformed, string
from mailfs.imap.window import Batching
from mailfs.imap.wire import ImapWire

WINDOW = Batching(first=100, largest=2000)
SINGLES = 16  # commands for one message each under way at once
MAX_LEFT_OUT = 200  # messages of a set that are asked for singly; more have gone

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
    """Make the FETCH item: some fields, or with none given the whole header."""
    body = b"BODY.PEEK[HEADER]"
    if fields:
        names = " ".join(name.upper() for name in fields).encode("ascii")
        body = b"BODY.PEEK[HEADER.FIELDS (" + names + b")]"
    return b"(UID " + (b"BODYSTRUCTURE " if structure else b"") + body + b")"


class HeadFetch:
    """The headers of some messages, asked for on one wire; iterate once.

    Each message that is there is given once.  A set that the server refuses, and a
    message that it leaves out, are asked for message by message, at last without the
    structure, so that one it cannot read takes no other with it.

    missing  uids that were asked for by themselves and not told
    """

    def __init__(
        self,
        wire: ImapWire,
        uids: Ranges,
        fields: Sequence[str],
        *,
        structure: bool,
        window: Batching = WINDOW,
    ) -> None:
        """Ask nothing yet; fields are names, none of them for the whole header."""
        self.missing: list[int] = []
        self._wire = wire
        self._uids = uids
        self._fields = fields
        self._structure = structure
        self._window = window
        self._seen: set[int] = set()
        self._under_way = Ranges()  # what is being answered
        self._half: int | None = None  # the uid of a response without a header

    @property
    def suspect(self) -> int | None:
        """The message that the server was at when the connection broke, probably."""
        if self._half is not None and self._half not in self._seen:
            return self._half
        left = (uid for uid in self._under_way if uid not in self._seen)
        return next(left, None)

    def __iter__(self) -> Iterator[FetchedHead]:
        what = items(self._fields, structure=self._structure)
        left = yield from self._run(self._window.cut(self._uids, newest=True), what)
        left = yield from self._run(map(_only, left), what, SINGLES)
        if self._structure:
            what = items(self._fields, structure=False)
            left = yield from self._run(map(_only, left), what, SINGLES)
        self.missing = left

    def _run(
        self, sets: Iterator[Ranges], what: bytes, most: int = 0
    ) -> Generator[FetchedHead, None, list[int]]:
        """Ask for sets, most commands at once; the uids that were not told."""
        wire, left = self._wire, list[int]()
        flights: deque[tuple[bytes, Ranges]] = deque()
        wire.line.begin_flow()
        try:
            while True:
                while len(flights) < (most or self._window.flights) and (
                    part := next(sets, None)
                ):
                    tag = wire.send(b"UID FETCH ", str(part).encode(), b" ", what)
                    flights.append((tag, part))
                if not flights:
                    return left
                tag, self._under_way = flights.popleft()
                yield from self._answers(tag)
                agreed = _agreed(wire, tag)
                lacking = [uid for uid in self._under_way if uid not in self._seen]
                if not agreed or len(lacking) <= MAX_LEFT_OUT:
                    left += lacking
        finally:
            wire.line.end_flow()
            wire.forget(tag for tag, _ in flights)

    def _answers(self, tag: bytes) -> Iterator[FetchedHead]:
        """Read until a command is answered."""
        wire, reader = self._wire, self._wire.reader
        while not wire.answered(tag):
            while (found := reader.framed(_USUAL)) is not None:
                m, header = found
                yield from self._give(FetchedHead(int(m[1]), header, m[2] or b""))
            head = self._other(reader.response())
            if head is not None:
                yield from self._give(head)

    def _give(self, head: FetchedHead) -> Iterator[FetchedHead]:
        if head.uid in self._uids and head.uid not in self._seen:
            self._seen.add(head.uid)
            yield head

    def _other(self, raw: bytes) -> FetchedHead | None:
        """Take a response in an unusual form, or none of ours."""
        row = fetched(raw)
        if row is None:
            self._wire.take(raw)
            return None
        if b"FLAGS" in row.items:
            self._wire.take(raw)
        name = next((n for n in row.items if n.startswith(b"BODY[HEADER")), None)
        try:
            if name is None or row.uid is None:
                self._half = row.uid
                return None
            header = string(raw, *row.items[name])
            if header is None:  # NIL: the server has none to give
                return None
            return FetchedHead(row.uid, header, row.value(b"BODYSTRUCTURE") or b"")
        except Malformed:
            return None


def _only(uid: int) -> Ranges:
    return Ranges.of([uid])


def _agreed(wire: ImapWire, tag: bytes) -> bool:
    """Whether a command succeeded; a refusal that passes is raised."""
    try:
        wire.finish(tag)
    except ImapError as e:
        if e.backoff or (not e.permanent and not e.code):
            raise
        return False
    return True
