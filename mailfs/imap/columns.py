"""Many messages as columns: uid, size, date, flags; 100,000 rows at a time.

Servers answer each row of one FETCH in the same form.  The form of the first row
becomes one regular expression, and whole blocks of lines go through it at once; rows
of another form are read one by one.
"""

import re
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from mailfs.imap.fetched import Fetched, fetched
from mailfs.imap.grammar import flags as flag
from mailfs.imap.grammar.date import Dates
from mailfs.imap.grammar.flags import Flags
from mailfs.imap.grammar.ranges import MAX_UID
from mailfs.imap.grammar.tokens import Malformed
from mailfs.imap.reader import tidied
from mailfs.imap.wire import ImapWire

ITEMS = b"UID FLAGS INTERNALDATE RFC822.SIZE"
MAX_ROWS = 1_000_000  # of one answer; 40 MB of columns
MAX_MORE = 10_000  # rows beyond those that EXISTS told; some servers count late
MAX_SET_TEXT = 1000  # octets of a set of flags that is remembered
MAX_REJECTED = 100  # rows of which is remembered why they were refused
MAX_SIZE = (1 << 63) - 1  # octets
MAX_FLAG_SETS = 10_000  # different sets of flags remembered
_FORMS = {
    b"UID": rb"([0-9]{1,10})",
    b"FLAGS": rb'\(([^()"{}\r\n]*)\)',
    b"INTERNALDATE": rb'"([^"\\\r\n]{26})"',
    b"RFC822.SIZE": rb"([0-9]{1,18})",
    b"MODSEQ": rb"\(([0-9]{1,18})\)",
}


class _Sets(dict[bytes, Flags]):
    """Flags by their text, each parsed once."""

    def __missing__(self, text: bytes) -> Flags:
        found = flag.parse(text.split())
        if len(self) < MAX_FLAG_SETS and len(text) <= MAX_SET_TEXT:
            self[text] = found
            return found
        return Flags(found.system)  # rows of ever new keywords would fill the memory


@dataclass(slots=True)
class FetchedColumns:
    """Rows in the order the server sent them, which is by uid on all we know.

    dates are seconds since the epoch, 0 for what is no date.
    """

    uids: "array[int]" = field(default_factory=lambda: array("Q"))
    sizes: "array[int]" = field(default_factory=lambda: array("Q"))
    dates: "array[int]" = field(default_factory=lambda: array("q"))
    flags: list[Flags] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.uids)

    def keep(self, rows: Iterable[int]) -> "FetchedColumns":
        """Return some of the rows."""
        out = FetchedColumns()
        for i in rows:
            out.uids.append(self.uids[i])
            out.sizes.append(self.sizes[i])
            out.dates.append(self.dates[i])
            out.flags.append(self.flags[i])
        return out

    def tidy(self, least: int = 1) -> "FetchedColumns":
        """Return the rows by uid, each once, the last word of it, from least on.

        ``n:*`` gives the last message even if its uid is below n.
        """
        uids = self.uids
        sane = not uids or least <= uids[0] <= uids[-1] <= MAX_UID
        if sane and all(a < b for a, b in pairwise(uids)):
            return self
        last = {uid: row for row, uid in enumerate(uids) if least <= uid <= MAX_UID}
        return self.keep(last[uid] for uid in sorted(last))


Meet = Callable[[Sequence[int], Sequence[int]], None]
Answered = Callable[[Sequence[int], Sequence[Flags]], None]


class Reading:
    """Fills columns from the answers of one command.

    required are the attributes without which a FETCH is no answer to it; meet is told
    the sequence numbers and uids of rows, and answered their uids and flags, before
    anything that comes after them.  exists is how many rows there should be.
    """

    def __init__(
        self,
        required: tuple[bytes, ...],
        meet: Meet,
        answered: Answered,
        exists: int = MAX_ROWS,
    ) -> None:
        self._most = min(exists + MAX_MORE, MAX_ROWS)
        self._required = frozenset(required)
        self._meet = meet
        self._answered = answered
        self.columns = FetchedColumns()
        self.rejected: dict[int, str] = {}  # message number: why it is no row
        self._sets = _Sets()
        self._dates = Dates()
        self._form: re.Pattern[bytes] | None = None
        self._order: list[bytes] = []

    def run(self, wire: ImapWire, tag: bytes) -> None:
        """Read until the command is answered; all else goes where it belongs."""
        reader = wire.reader
        while not wire.answered(tag):
            if len(self.columns) > self._most:
                raise reader.refuse("too many messages")
            block = reader.lines()
            if self._form is not None:
                rows = self._form.findall(block)
                if len(rows) == block.count(b"\n"):
                    self._add(rows)
                    continue
            self._by_line(wire, tag, block)

    def _by_line(self, wire: ImapWire, tag: bytes, block: bytes) -> None:
        at = 0
        while at < len(block):
            end = block.index(b"\n", at) + 1
            line = block[at:end]
            m = self._form.fullmatch(line) if self._form else None
            if m is not None:
                self._add([m.groups()])
            else:
                text = line.rstrip(b"\r\n")
                if text.endswith(b"}") or wire.answered(tag):
                    wire.reader.unread(block[at:])
                    if not wire.answered(tag):
                        self._other(wire, wire.response())
                    return
                self._other(wire, tidied(text))
            at = end

    def _other(self, wire: ImapWire, raw: bytes) -> None:
        """Take one response that fits no form, or teaches one."""
        row = fetched(raw)
        if row is None or not self._required <= row.items.keys():
            wire.take(raw)
            return
        try:
            self._slow(row)
        except Malformed as e:
            self._reject(row.number, str(e))
            wire.take(raw)
            return
        if self._form is None and set(row.items) <= set(_FORMS):
            self._order = list(row.items)
            body = b" ".join(re.escape(n) + b" " + _FORMS[n] for n in self._order)
            form = rb"(?m)^\* ([0-9]{1,10}) FETCH \(" + body + rb"\)\r?\n"
            self._form = re.compile(form)

    def _slow(self, row: Fetched) -> None:
        """Add one row, whatever its form."""
        columns = self.columns
        flags = row.flags or Flags()
        if (uid := row.uid) is None:
            raise Malformed("uid 0")
        try:
            size = row.int(b"RFC822.SIZE", MAX_SIZE) or 0
        except Malformed:  # NIL, or negative: it can be read all the same
            size = 0
        self._meet((row.number,), (uid,))
        columns.uids.append(uid)
        columns.sizes.append(size)
        date = (row.value(b"INTERNALDATE") or b"").strip(b'"')
        columns.dates.append(self._dates.parse(date.rjust(26)))
        columns.flags.append(flags)
        if b"FLAGS" in row.items:
            self._answered((uid,), (flags,))

    def _reject(self, number: int, why: str) -> None:
        if len(self.rejected) < MAX_REJECTED:
            self.rejected[number] = why

    def _add(self, rows: "list[tuple[bytes, ...]]") -> None:
        """Add rows that matched the form, column by column."""
        columns = self.columns
        order = [b"", *self._order]
        cells = dict(zip(order, zip(*rows, strict=True), strict=True))
        count = len(rows)
        uids = [*map(int, cells[b"UID"])]
        if not 0 < min(uids) <= max(uids) <= MAX_UID:
            good = []
            for row, uid in zip(rows, uids, strict=True):
                if 0 < uid <= MAX_UID:
                    good.append(row)
                else:
                    self._reject(int(row[0]), f"uid {uid}")
            if good:
                self._add(good)
            return
        self._meet([*map(int, cells[b""])], uids)
        columns.uids.extend(uids)
        if b"RFC822.SIZE" in cells:
            columns.sizes.extend(map(int, cells[b"RFC822.SIZE"]))
        else:
            columns.sizes.extend([0] * count)
        if b"FLAGS" in cells:
            flags = [*map(self._sets.__getitem__, cells[b"FLAGS"])]
            self._answered(uids, flags)
            columns.flags += flags
        else:
            columns.flags += [Flags()] * count
        if b"INTERNALDATE" in cells:
            columns.dates.extend(map(self._dates.parse, cells[b"INTERNALDATE"]))
        else:
            columns.dates.extend([0] * count)
