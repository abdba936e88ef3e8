"""Flags of messages in an mbox file, which are kept beside it.

A message is known again after another program rewrote the file: its identity is a
digest of the From_ line, the header without the lines mail programs change, and the
length of the body, with a number that tells octet-identical copies apart by order.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b

from mailfs.disk.replace import pread_all
from mailfs.mailbox.drivers.mbox.file import Columns
from mailfs.mailbox.drivers.mbox.scan import LOOK, header_end, status_flags
from mailfs.mailbox.flagfile import FlagEntry
from mailfs.mailbox.kinds import Flag
from mailfs.mailbox.octets import Octets, all_of
from mailfs.msg import header

# Header lines that say something of the store, not of the message.
VOLATILE = (
    b"status:",
    b"x-status:",
    b"x-keywords:",
    b"x-uid:",
    b"x-imap:",
    b"x-imapbase:",
    b"x-mozilla-status:",
    b"x-mozilla-status2:",
    b"x-mozilla-keys:",
    b"content-length:",
    b"lines:",
)
_STATUS = (
    ("A", Flag.ANSWERED),
    ("F", Flag.FLAGGED),
    ("T", Flag.DRAFT),
    ("D", Flag.DELETED),
)
_FIRST = 4096  # octets read at first: most headers end there
_TAIL = 16  # octets at the end in which newlines do not count to the body


def hint_of(weak: int) -> int:
    """Make the flags file's weak identity: that of the From_ line."""
    return weak & 0xFFFFFFFF


def digest(fd: int, start: int, size: int) -> tuple[str, int]:
    """Return the digest of the message at start and the Flag bits it says it has."""
    data = pread_all(fd, min(_FIRST, size), start)
    line = data.find(b"\n") + 1
    end = header_end(data, line, len(data))
    if end == len(data) < size:
        data = pread_all(fd, min(LOOK, size), start)
        end = header_end(data, line, len(data))
    tail = pread_all(fd, min(_TAIL, size), start + size - min(_TAIL, size))
    body = size - end - (len(tail) - len(tail.rstrip(b"\r\n")))
    d = blake2b(digest_size=16)
    keep = True
    for text in data[:end].splitlines(keepends=True):
        if text[:1] not in (b" ", b"\t"):  # else it continues the line before
            keep = not text.lower().startswith(VOLATILE)
        if keep:
            d.update(text)
    d.update(b"%d" % max(body, 0))
    return d.hexdigest(), status_flags(data[line - 1 : end])


def stamped(message: Octets, flags: Flag) -> Iterator[bytes]:
    """Give a message with the Status lines that say those flags, if it has any."""
    lines = []
    if flags & Flag.SEEN:
        lines.append(b"Status: RO\n")
    said = "".join(letter for letter, flag in _STATUS if flags & flag)
    if said:
        lines.append(f"X-Status: {said}\n".encode())
    if not lines:
        yield from all_of(message)
        return
    end, gap = _header_of(message)
    yield from all_of(message, 0, end)
    yield b"".join(lines) + gap
    yield from all_of(message, end)


def _header_of(message: Octets) -> tuple[int, bytes]:
    """Find a header's end, and the octets that a line behind it needs first."""
    want = LOOK
    while True:
        data = message.read(0, want)
        head = header.scan(data)
        if head.body < len(data) or want >= len(message):
            break
        want *= 8
    gap = b"" if head.end > head.start or data.startswith(b"\n") else b"\n"
    return head.end, gap


class Identities:
    """The identities of messages of one file, computed only where they matter."""

    def __init__(self, fd: int, columns: Columns) -> None:
        self._fd = fd
        self._columns = columns

    def of(
        self, weaks: Iterable[int], known: Iterable[FlagEntry] = ()
    ) -> Iterator[tuple[int, str]]:
        """Yield (row, identity) of each message with such a hint, of its From_ line.

        Those are all that can have an identity in common.  Entries spare reading the
        headers of messages that have not changed since.
        """
        wanted = set(weaks)
        if not wanted:
            return
        digests = {(e.hint, e.ident): e.identity.partition(".")[0] for e in known}
        copies: Counter[str] = Counter()
        c = self._columns
        for row, weak in enumerate(map(hint_of, c.weaks)):
            if weak not in wanted:
                continue
            found = digests.get((weak, c.idents[row]))
            if found is None:
                found, _ = digest(self._fd, c.keys[row], c.sizes[row])
            yield row, f"{found}.{copies[found]}"
            copies[found] += 1

    def said(self, row: int) -> int:
        """Return the Flag bits that the message itself has."""
        return digest(self._fd, self._columns.keys[row], self._columns.sizes[row])[1]


def overlay(
    fd: int,
    columns: Columns,
    entries: Mapping[str, FlagEntry],
    rows: range,
    *,
    fresh: bool,
) -> bytearray:
    """Return the flags column with the entries' flags on those rows.

    fresh says that the column has what the messages themselves say.
    """
    flags = bytearray(columns.flags)
    hints = {e.hint for e in entries.values()}
    if not hints:
        return flags
    if rows.start:
        hints &= set(map(hint_of, columns.weaks[rows.start : rows.stop]))
    names = Identities(fd, columns)
    for row, name in names.of(hints, entries.values()):
        entry = entries.get(name)
        if entry is not None and row in rows:
            flags[row] = entry.merged(flags[row] if fresh else names.said(row))
    return flags


def changed(
    fd: int,
    columns: Columns,
    changes: Sequence[tuple[int, int]],
    entries: Mapping[str, FlagEntry],
) -> list[FlagEntry]:
    """Return the entries that record (row, flags) changes."""
    wanted = dict(changes)
    weaks = {hint_of(columns.weaks[row]) for row in wanted}
    names = Identities(fd, columns)
    return [
        FlagEntry(
            name,
            hint_of(columns.weaks[row]),
            columns.idents[row],
            Flag(names.said(row)),
            Flag(wanted[row]) & ~Flag.RECENT,
        )
        for row, name in names.of(weaks, entries.values())
        if row in wanted
    ]


def renumbered(
    fd: int, columns: Columns, gone: set[int], entries: Mapping[str, FlagEntry]
) -> list[FlagEntry]:
    """Return entries for copies whose number changes when the rows gone are removed."""
    hints = {e.hint for e in entries.values()}
    hints &= {hint_of(columns.weaks[row]) for row in gone}
    names = Identities(fd, columns)
    dead: Counter[str] = Counter()
    moved = []
    for row, name in names.of(hints, entries.values()):
        text, _, number = name.partition(".")
        if row in gone:
            dead[text] += 1
        elif dead[text]:
            said = names.said(row)
            entry = entries.get(name)
            moved.append(
                FlagEntry(
                    f"{text}.{int(number) - dead[text]}",
                    hint_of(columns.weaks[row]),
                    columns.idents[row],
                    entry.seen if entry else Flag(said),
                    entry.flags if entry else Flag(said),
                )
            )
    return moved
