"""Octets of messages, streamed; no answer is ever taken for another's.

Every piece is known by its own uid and offset.  What was not asked for is passed by,
however well it is formed.
"""

import re
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

from mailfs.imap.error import ImapError
from mailfs.imap.fetched import fetched
from mailfs.imap.grammar.ranges import Ranges
from mailfs.imap.grammar.tokens import Malformed, string
from mailfs.imap.reader import PIECE
from mailfs.imap.window import MAX_SET
from mailfs.imap.wire import ImapWire

FLIGHTS = 32  # commands under way at once
MAX_ASKED = 1000  # messages asked for and not come; all have to come before a new word
MAX_HELD = 4 << 20  # octets kept in memory until their uid is told; more go to a file
_SECTION = re.compile(rb"(?i)[( ]BODY\[\](?:<([0-9]{1,18})>)? ~?\Z")
# As most servers answer; whatever differs is read attribute by attribute.
_USUAL = re.compile(
    rb"\* [0-9]{1,10} FETCH \(UID ([0-9]{1,10}) BODY\[\](?:<([0-9]{1,18})>)? "
    rb"\{([0-9]{1,9})\}\r\n"
)
_NAME = re.compile(rb"BODY\[\](?:<([0-9]{1,18})>)?\Z")


class BodyRequest(NamedTuple):
    """Octets [start, start + length) of a message; length None is to its end."""

    uid: int
    start: int = 0
    length: int | None = None


class FetchedPiece(NamedTuple):
    """Octets of a message from start on; whole if the message ends after them."""

    uid: int
    start: int
    octets: bytes
    whole: bool


class _Job(NamedTuple):
    uids: Ranges
    start: int
    length: int | None

    def command(self) -> tuple[bytes, ...]:
        section = b"BODY.PEEK[]"
        if self.length is not None:
            section += b"<%d.%d>" % (self.start, self.length)
        return b"UID FETCH ", str(self.uids).encode(), b" (UID " + section + b")"


MAX_LENGTH = (1 << 32) - 1  # nz-number of RFC 9051


def _jobs(requests: Sequence[BodyRequest]) -> Iterator[_Job]:
    """Put together what one command can ask for, in the order of the requests."""
    groups: dict[tuple[int, int | None], list[int]] = {}
    for uid, start, length in requests:
        to_end = MAX_LENGTH if start and length is None else length
        groups.setdefault((start, to_end), []).append(uid)
    for (start, to_end), uids in groups.items():
        for some in Ranges.of(uids).split(MAX_ASKED // 4):
            for part in some.chunks(MAX_SET):
                yield _Job(part, start, to_end)


class BodyFetch:
    """One batch of requests on one wire."""

    def __init__(self, wire: ImapWire, requests: Sequence[BodyRequest]) -> None:
        self._wire = wire
        self._jobs = deque(_jobs(requests))
        self._wanted: dict[tuple[int, int], list[int | None]] = {}
        for job in self._jobs:
            for uid in job.uids:
                self._wanted.setdefault((uid, job.start), []).append(job.length)
        self._answered: set[tuple[int, int]] = set()
        self._failure: ImapError | None = None

    def run(self) -> Iterator[FetchedPiece]:
        """Give what comes.

        A message that is gone, or that the server cannot read, is passed over; if
        nothing at all came, the server's refusal is raised.
        """
        wire = self._wire
        flights: deque[tuple[bytes, _Job]] = deque()
        wire.line.begin_flow()
        try:
            while self._jobs or flights:
                while self._jobs and self._room(flights):
                    job = self._jobs.popleft()
                    flights.append((wire.send(*job.command()), job))
                tag, job = flights.popleft()
                while not wire.answered(tag):
                    yield from self._next()
                self._judge(tag, job)
        finally:
            wire.line.end_flow()
            wire.forget(tag for tag, _ in flights)
        if self._failure is not None and not self._answered:
            raise self._failure

    def _room(self, flights: "deque[tuple[bytes, _Job]]") -> bool:
        """Whether one more command may be sent."""
        if len(flights) >= FLIGHTS:
            return False
        asked = sum(len(job.uids) for _, job in flights)
        return not asked or asked + len(self._jobs[0].uids) <= MAX_ASKED

    def _judge(self, tag: bytes, job: _Job) -> None:
        """After a refusal, ask once more for each message by itself."""
        try:
            self._wire.finish(tag)
        except ImapError as e:
            if e.backoff:
                raise
            self._failure = self._failure or e
            if len(job.uids) > 1:
                for uid in job.uids:
                    if (uid, job.start) not in self._answered:
                        self._jobs.append(job._replace(uids=Ranges.of([uid])))

    def _next(self) -> Iterator[FetchedPiece]:
        """Take one response, and give the pieces in it."""
        reader = self._wire.reader
        while (found := reader.framed(_USUAL)) is not None:
            head, octets = found
            origin = None if head[2] is None else int(head[2])
            yield from self._give(int(head[1]), origin, iter([octets]), len(octets))
        text, size = reader.part()
        if size is None or not text.startswith(b"* "):
            yield from self._short(reader.finish(text, size))
            return
        raw = b""
        held: list[tuple[int | None, IO[bytes], int]] = []
        complete = False
        try:
            while size is not None:
                before = text[: text.rindex(b"{")]
                raw += before.removesuffix(b"~")
                m = _SECTION.search(before)
                if m is None:
                    raw += b"NIL"
                    for _ in reader.pieces(size):
                        pass
                else:
                    uid = _uid(raw)
                    origin = None if m[1] is None else int(m[1])
                    raw += b"NIL"
                    if uid is None:
                        held.append((origin, self._hold(size), size))
                    else:
                        yield from self._give(uid, origin, reader.pieces(size), size)
                text = reader.text()
                size = reader.size(text) if text.endswith(b"}") else None
            raw += text
            complete = True
        finally:
            if not complete:  # given up in the middle: what follows cannot be told
                self._wire.close()
        yield from self._late(raw, held)

    def _hold(self, size: int) -> IO[bytes]:
        spool = tempfile.SpooledTemporaryFile(MAX_HELD)  # noqa: SIM115
        for piece in self._wire.reader.pieces(size):
            spool.write(piece)
        spool.seek(0)
        return spool

    def _late(
        self, raw: bytes, held: list[tuple[int | None, IO[bytes], int]]
    ) -> Iterator[FetchedPiece]:
        """Give what had to wait for its uid."""
        self._news(raw)
        uid = _uid(raw)
        for origin, spool, size in held:
            with spool:
                if uid is not None:
                    pieces = iter(lambda spool=spool: spool.read(PIECE), b"")  # type: ignore[misc]
                    yield from self._give(uid, origin, pieces, size)

    def _short(self, raw: bytes) -> Iterator[FetchedPiece]:
        """Take a response without literals: a short body may come quoted."""
        row = fetched(raw)
        if row is None:
            self._wire.take(raw)
            return
        self._news(raw)
        uid = _uid(raw)
        for name, where in row.items.items():
            m = _NAME.match(name)
            if m is None or uid is None:
                continue
            try:
                octets = string(raw, *where)
            except Malformed:
                continue
            if octets is not None:  # NIL: the server has no octets to give
                origin = None if m[1] is None else int(m[1])
                yield from self._give(uid, origin, iter([octets]), len(octets))

    def _news(self, raw: bytes) -> None:
        """Pass on flags that came along."""
        row = fetched(raw)
        if row is not None and b"FLAGS" in row.items:
            self._wire.take(raw)

    def _give(
        self, uid: int, origin: int | None, pieces: Iterator[bytes], size: int
    ) -> Iterator[FetchedPiece]:
        """Give the octets of one answer, if they are one."""
        start, ends = self._match(uid, origin, size)
        if start is None:
            for _ in pieces:
                pass
            return
        at = start
        left = size
        for piece in pieces if size else (b"",):
            left -= len(piece)
            yield FetchedPiece(uid, at, piece, ends and not left)
            at += len(piece)
        self._answered.add((uid, start))

    def _match(
        self, uid: int, origin: int | None, size: int
    ) -> tuple[int | None, bool]:
        """Find the offset of an answer, and whether the message ends with it.

        An answer that nobody asked for begins nowhere.
        """
        counts = self._wanted.get((uid, origin or 0))
        if counts is None:
            return None, False
        limits = [count for count in counts if count is not None]
        if origin is None:
            if None in counts:
                return 0, True
            # No origin means the whole message; but a server that forgets the origin
            # would look the same, unless there is more than it was asked for.
            return 0, size > max(limits)
        fitting = [count for count in limits if size <= count]
        if not fitting:
            return None, False
        return origin, all(size < count for count in fitting)


def _uid(raw: bytes) -> int | None:
    """Return the uid that a response, or the beginning of one, names."""
    row = fetched(raw if raw.endswith(b")") else raw + b"NIL)")
    try:
        return None if row is None else row.uid
    except Malformed:
        return None
