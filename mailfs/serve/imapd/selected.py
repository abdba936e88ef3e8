"""The messages of an open folder as one client counts them; RFC 9051 section 2.3.1.2.

A client's sequence numbers change only when it is told so.  What has gone from the
folder stays here, with the view that last had it, until EXPUNGE may be sent.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mailfs.imap.grammar.ranges import MAX_UID, Ranges
from mailfs.mailbox.kinds import Flag
from mailfs.mailbox.view import View, difference
from mailfs.serve.imapd import render
from mailfs.serve.imapd.sets import SequenceSet, within


class BadNumber(Exception):
    """A sequence number that no message has."""


_NOT_RECENT = ~Flag.RECENT.value
_SYSTEM = "\\Answered \\Flagged \\Deleted \\Seen \\Draft"


@dataclass(slots=True)
class Told:
    """How a client wants to be told of changes."""

    modseq: bool = False  # CONDSTORE
    vanished: bool = False  # QRESYNC
    uid: bool = False  # the command that is answered has UID
    recent: bool = True  # rev1 only


@dataclass(slots=True)
class Selected:
    """An open folder.

    uids    of the messages the client knows, ascending: sequence number n is uids[n-1]
    ghosts  of those the ones that have gone, and the view that last had each
    """

    name: str
    readonly: bool
    validity: int
    view: View
    base: int
    modseqs: dict[int, int]
    uids: "array[int]" = field(default_factory=lambda: array("I"))
    ghosts: dict[int, View] = field(default_factory=dict)
    held: dict[int, View] = field(default_factory=dict)  # of what will be ghosts
    recent: set[int] = field(default_factory=set)
    saved: Ranges = field(default_factory=Ranges)  # the result of SEARCH, as uids
    named: set[str] = field(default_factory=set)  # keywords told in FLAGS
    _indexed: View | None = None  # the view that _rows are of
    _rows: dict[int, int] = field(default_factory=dict)
    hushed: dict[int, tuple[int, tuple[str, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.uids = array("I", self.view)
        self.named = set(self.words)

    @property
    def words(self) -> set[str]:
        """The keywords that messages of the folder have."""
        return {word for row in self.view.keywords.values() for word in row}

    def flag_lines(self) -> Iterator[bytes]:
        """Give the responses that tell which flags there are, and which last."""
        flags = " ".join([_SYSTEM, *sorted(self.named)])
        lasting = "" if self.readonly else f"{flags} \\*"
        yield f"* FLAGS ({flags})\r\n".encode()
        yield f"* OK [PERMANENTFLAGS ({lasting})] these last\r\n".encode()

    @property
    def count(self) -> int:
        """How many messages the client knows."""
        return len(self.uids)

    @property
    def highest(self) -> int:
        """The mod-sequence up to which the client has been told; RFC 7162."""
        return max(self.view.generation, self.base, 1)

    def modseq(self, uid: int) -> int:
        """Return a message's mod-sequence."""
        return self.modseqs.get(uid, self.base)

    def sequence(self, uid: int) -> int:
        """Return the sequence number of a message the client knows."""
        return bisect_left(self.uids, uid) + 1

    def knows(self, uid: int) -> bool:
        """Whether the client knows a message."""
        at = bisect_left(self.uids, uid)
        return at < len(self.uids) and self.uids[at] == uid

    def view_of(self, uid: int) -> View:
        """Return the view that has a message, or last had it."""
        return self.ghosts.get(uid) or self.held.get(uid, self.view)

    def row(self, uid: int) -> int | None:
        """Return a message's row in the view that has it, or last had it."""
        if uid in self.ghosts or uid in self.held:
            return self.view_of(uid).row(uid)
        if self._indexed is not self.view:
            self._indexed = self.view
            self._rows = {n: row for row, n in enumerate(self.view.numbers)}
        return self._rows.get(uid)

    def flags(self, uid: int) -> tuple[int, tuple[str, ...]]:
        """Return a message's Flag bits and keywords, as last known."""
        view = self.view_of(uid)
        row = self.row(uid)
        bits = 0 if row is None else view.listing.flags[row]
        return bits & _NOT_RECENT, view.keywords.get(uid, ())

    def shown(self, uid: int) -> str:
        """Return a message's flags as FETCH shows them."""
        return render.flags(*self.flags(uid), recent=uid in self.recent)

    def pick(self, numbers: SequenceSet, *, uid: bool) -> list[int]:
        """Return the uids of the messages that a set means, ascending.

        Raises BadNumber for a sequence number that no message has.
        """
        if numbers.saved:
            return list(within(self.saved, self.uids))
        if uid:
            last = self.uids[-1] if self.uids else 0
            return list(within(numbers.ranges(last), self.uids))
        if not self.count and numbers.open_ended:
            return []
        if numbers.most() > self.count:
            raise BadNumber
        found = numbers.ranges(self.count)
        return [uid for a, b in found.pairs for uid in self.uids[a - 1 : b]]

    def hush(self, uids: Iterable[int], view: View) -> None:
        """Note flags that the client knows without being told: it has set them."""
        for uid in uids:
            row = view.row(uid)
            if row is not None:
                bits = view.listing.flags[row] & ~Flag.RECENT
                self.hushed[uid] = (bits, view.keywords.get(uid, ()))

    def take(
        self, view: View, modseqs: Mapping[int, int], told: Told, *, expunge: bool
    ) -> Iterator[bytes]:
        """Take over a newer view; give what the client is told of it.

        expunge: it is told what has gone; else that waits.
        """
        if view is self.view:
            self.hushed.clear()
            if expunge:
                yield from self.expunge(told)
            return
        change = difference(self.view, view)
        for uid in change.gone:
            self.ghosts.setdefault(uid, self.held.pop(uid, self.view))
        self.modseqs.update(modseqs)
        self.view = view
        if expunge:
            yield from self.expunge(told)
        fresh_words = self.words - self.named
        if fresh_words:
            self.named |= fresh_words
            yield from self.flag_lines()
        if change.new:
            fresh = [uid for uid in change.new if not self.knows(uid)]
            self.uids.extend(fresh)
            yield b"* %d EXISTS\r\n" % self.count
            if told.recent:
                yield b"* %d RECENT\r\n" % len(self.recent)
        for uid in change.modified:
            hushed = self.hushed.get(uid)
            if hushed is None or hushed != self.flags(uid):
                yield self.fetched(uid, told)
        self.hushed.clear()

    def fetched(self, uid: int, told: Told, *, flags: bool = True) -> bytes:
        """Return a FETCH that tells a message's flags, or only its mod-sequence."""
        items = []
        if told.uid or told.vanished:
            items.append(f"UID {uid}")
        if flags:
            items.append(f"FLAGS {self.shown(uid)}")
        if told.modseq:
            items.append(f"MODSEQ ({self.modseq(uid)})")
        return f"* {self.sequence(uid)} FETCH ({' '.join(items)})\r\n".encode()

    def expunge(self, told: Told) -> Iterator[bytes]:
        """Give what tells the client of messages that have gone."""
        if not self.ghosts:
            return
        gone = sorted(self.ghosts)
        if told.vanished:
            yield f"* VANISHED {render.numbers(gone)}\r\n".encode()
        for uid in reversed(gone):
            at = bisect_left(self.uids, uid)
            del self.uids[at]
            self.modseqs.pop(uid, None)
            self.recent.discard(uid)
            if not told.vanished:
                yield b"* %d EXPUNGE\r\n" % (at + 1)
        self.ghosts.clear()
        self.saved -= Ranges.of(gone)

    def unseen(self) -> int:
        """Return the sequence number of the first message not seen, 0 for none."""
        listing = self.view.listing
        seen = Flag.SEEN.value
        for at, uid in enumerate(self.uids, 1):
            row = self.row(uid)
            if row is not None and not listing.flags[row] & seen:
                return at
        return 0


def vanished(known: Ranges, uids: Sequence[int]) -> Ranges:
    """Return the uids of a set that no message has."""
    return known - Ranges.of(uids)


EVERY = Ranges([(1, MAX_UID)])
