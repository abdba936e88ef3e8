"""Finding the messages of an mbox file, in blocks, without parsing them.

A message starts at a line that mailfs.msg.fromline takes for a separator and ends
where the next one starts.  In a file whose first line is ``From `` without a date, as
Thunderbird writes it, further such lines begin messages too, if an empty line comes
before and a header field after; what length a message says it has (mboxcl) is not
believed.  A byte order mark in front of the file is not of the first message.

Only the start of a message is looked at: HEAD octets for its identity, LOOK for its
Status lines.
"""

import errno
import os
import re
import subprocess
import sys
import zlib
from array import array
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from mailfs.mailbox.kinds import Flag
from mailfs.msg import date, fromline

HEAD = 1024  # octets of a message that its identity is computed from
LOOK = 64 << 10  # octets from a message's start in which its header must end
BLOCK = 4 << 20  # octets decided at a time
PARALLEL = 64 << 20  # octets from which on more than one process pays

LINE = 4096  # octets; a From_ line is shorter, or it is none
_SEPARATOR = re.compile(rb"\nFrom (?=([^\n]{0,4090}\n))")  # of at most LINE octets
BOM = b"\xef\xbb\xbf"
_BARE = re.compile(rb"From [ \t]*[^ \t\r\n]{0,998}[ \t]*\r?\n")
_FIELD = re.compile(rb"[!-9;-~]{1,998}[ \t]*:")
_DATE = re.compile(rb"\nDate:([^\n]*)", re.IGNORECASE)
# As programs write them; a search that ignores case would double the time of a scan.
_NAMING = (b"\nMessage-ID:", b"\nMessage-Id:", b"\nMessage-id:", b"\nDate:")
_STATUS = re.compile(rb"\n(?:X-)?Status:([^\n]*)")
_LETTERS = {
    ord("R"): int(Flag.SEEN),
    ord("A"): int(Flag.ANSWERED),
    ord("F"): int(Flag.FLAGGED),
    ord("D"): int(Flag.DELETED),
    ord("T"): int(Flag.DRAFT),
}
_RECENT = int(Flag.RECENT)
_OLD = 0x100  # not a Flag: no longer recent
UNDATED = -(1 << 62)  # until the header has been looked at
_FIELDS = ("starts", "heads", "weaks", "dates")


@dataclass(slots=True)
class Rows:
    """Columns of the messages found, one item a message.

    starts  octet offset of the From_ line
    heads   crc32 of the first HEAD octets, or of the message if it is shorter
    weaks   crc32 of the From_ line, never 0, and of Message-ID and Date above it
    dates   of the From_ line, else of the header, else 0: seconds since the epoch
    flags   as the Status lines have them
    """

    starts: "array[int]" = field(default_factory=lambda: array("Q"))
    heads: "array[int]" = field(default_factory=lambda: array("Q"))
    weaks: "array[int]" = field(default_factory=lambda: array("Q"))
    dates: "array[int]" = field(default_factory=lambda: array("q"))
    flags: bytearray = field(default_factory=bytearray)

    def extend(self, other: "Rows") -> None:
        """Append the rows of other."""
        for name in (*_FIELDS, "flags"):
            getattr(self, name).extend(getattr(other, name))

    def pack(self) -> bytes:
        """Return the columns as octets, for another process of this machine."""
        columns = [getattr(self, name).tobytes() for name in _FIELDS]
        return b"".join([*columns, bytes(self.flags)])

    @classmethod
    def unpack(cls, data: bytes) -> "Rows":
        """Read back what pack gave."""
        rows = cls()
        n, odd = divmod(len(data), 8 * len(_FIELDS) + 1)
        if odd:
            raise OSError(errno.EIO, "scanning process ended early")
        for i, name in enumerate(_FIELDS):
            getattr(rows, name).frombytes(data[8 * n * i : 8 * n * (i + 1)])
        rows.flags += data[8 * n * len(_FIELDS) :]
        return rows


def status_flags(header: bytes | bytearray) -> int:
    """Return the Flag bits in the Status and X-Status lines of a header.

    A message that no program has called old or read is RECENT; mail(1) of BSD.
    """
    bits = _RECENT
    for m in _STATUS.finditer(header):
        said = _letters(m[1])
        bits = (bits | said) & ~_RECENT if said & _OLD else bits | said
    return bits & 0xFF


@lru_cache(maxsize=256)
def _letters(value: bytes) -> int:
    # Plain integers: operations on IntFlag would double the time of a scan.
    bits = 0
    for letter in value:
        bits |= _LETTERS.get(letter, 0) | (_OLD if letter in b"RO" else 0)
    return bits


def header_end(data: bytes | bytearray, start: int, stop: int) -> int:
    """Return the offset in data behind a header's last line, at most stop."""
    crlf = start > 1 and data[start - 2] == 13
    end = data.find(b"\n\r\n" if crlf else b"\n\n", max(start - 1, 0), stop)
    return stop if end < 0 else end + 1


def is_bare(line: bytes | bytearray) -> bool:
    """Whether a line is a From_ line without a date."""
    return _BARE.fullmatch(line) is not None


def undated(fd: int) -> bool:
    """Whether a file's messages begin with From_ lines that need have no date."""
    data = os.pread(fd, 2 * LINE, 0).removeprefix(BOM)
    line, newline, rest = data.partition(b"\n")
    bare = is_bare(line + newline) and fromline.epoch(line + newline) is None
    return bare and _FIELD.match(rest) is not None


def scan(fd: int, start: int, end: int, size: int, *, block: int = BLOCK) -> Rows:
    """Find the messages that start in octets [start, end) of a file of size octets.

    What lies behind end, up to size, is looked at to see where the last one ends.
    """
    rows = Rows()
    bare = undated(fd)
    marked = os.pread(fd, len(BOM), 0) == BOM
    buffer = bytearray(block + LOOK + LINE + 1)
    buffer[0] = ord("\n")  # which the file's first line lacks
    while start < end:
        base = start - 1  # with the newline before a separator at start
        first = 1 if base < 0 else 0
        n = first + _fill(fd, memoryview(buffer)[first:], base + first, size)
        if marked and base < len(
            BOM
        ):  # the mark ends no line, but what follows begins one
            buffer[len(BOM) - 1 - base] = ord("\n")
        last = base + n >= size or n < len(buffer)
        decided = min(end, base + n if last else base + n - LOOK - LINE)
        _window(rows, buffer, n, base, decided, fd if bare else -1)
        if last:
            break
        start = decided
    return rows


def _fill(fd: int, view: memoryview, offset: int, size: int) -> int:
    """Read into view from offset, up to its end or size; return the octets read."""
    view = view[: max(size - offset, 0)]
    n = 0
    while n < len(view):
        got = os.preadv(fd, [view[n:]], offset + n)
        if got == 0:
            break
        n += got
    return n


def _window(
    rows: Rows, buffer: bytearray, n: int, base: int, decided: int, undated: int
) -> None:
    """Add the messages that start before file octet decided.

    The window is buffer[:n], from file octet base: the newline before where the
    window before ended.  undated is the file, if From_ lines need have no date there,
    else -1.
    """
    at = line = 0  # where the last message starts in the window; octets of its From_
    for m in _SEPARATOR.finditer(buffer, 0, n):
        text = b"From " + m[1]
        epoch = fromline.epoch(text)
        here = m.start() + 1
        if epoch is None:
            if undated < 0 or not _begins(undated, base + here, text):
                continue
            epoch = UNDATED
        if line:
            _finish(rows, buffer, at, line, here)
        if base + here >= decided:
            return
        at, line = here, len(text)
        rows.starts.append(base + at)
        rows.weaks.append(zlib.crc32(text) or 1)  # its lower half
        rows.dates.append(epoch)
    if line:
        _finish(rows, buffer, at, line, n)


def _begins(fd: int, at: int, line: bytes) -> bool:
    """Whether a From_ line without a date, at that offset, begins a message."""
    if not is_bare(line):
        return False
    if at not in (0, len(BOM)):
        before = os.pread(fd, 3, max(at - 3, 0))
        if not before.endswith((b"\n\n", b"\n\r\n")):
            return False
    return _FIELD.match(os.pread(fd, LINE, at + len(line))) is not None


def _finish(rows: Rows, buffer: bytearray, at: int, line: int, stop: int) -> None:
    """Add what is known of a message only when its end is, at stop or behind."""
    stop = min(stop, at + LOOK)
    rows.heads.append(zlib.crc32(buffer[at : min(at + HEAD, stop)]))
    body = at + line
    end = header_end(buffer, body, stop)
    rows.weaks[-1] |= _named(buffer, body, end) << 32
    if rows.dates[-1] == UNDATED:
        rows.dates[-1] = _dated(buffer[body - 1 : end])
    if buffer.find(b"Status:", body, end) < 0:  # most often: spare a copy
        rows.flags.append(_RECENT)
    else:
        rows.flags.append(status_flags(buffer[body - 1 : end]))


def _named(buffer: bytearray, body: int, end: int) -> int:
    """Return crc32 of the Message-ID and Date in a header; 0 if it has neither."""
    found = 0
    for name in _NAMING:
        at = buffer.find(name, body - 1, end)
        if at >= 0:
            stop = buffer.find(b"\n", at + 1, end)
            value = buffer[at + 1 : stop if stop >= 0 else end].rstrip(b"\r")
            found = zlib.crc32(value, found)
    return found


def _dated(header: bytearray) -> int:
    """Return the date that a header says, in seconds since the epoch; 0 for none."""
    m = _DATE.search(header)
    when = None if m is None else date.parse(bytes(m[1].strip()))
    return 0 if when is None else when.epoch


def scan_all(fd: int, start: int, size: int) -> Rows:
    """Find the messages from start to the end; with every processor if it is much.

    From PARALLEL octets on it only waits for other processes.
    """
    if size - start < PARALLEL:
        return scan(fd, start, size, size)
    shares = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    cuts = [start + (size - start) * i // shares for i in range(shares + 1)]
    rows = Rows()
    with ExitStack() as stack:
        # All of it in helpers: a thread that scanned would hold up the others.
        helpers = [
            stack.enter_context(_helper(fd, low, high, size))
            for low, high in pairwise(cuts)
        ]
        for helper in helpers:
            assert helper.stdout is not None
            data = helper.stdout.read()
            if helper.wait() != 0:
                raise OSError(errno.EIO, "scanning process failed")
            rows.extend(Rows.unpack(data))
    return rows


def _helper(fd: int, start: int, end: int, size: int) -> "subprocess.Popen[bytes]":
    """Start a process that scans; a fork would copy a server with its threads."""
    code = f"from {__name__} import worker; worker({fd}, {start}, {end}, {size})"
    path = str(Path(__file__).parents[3])
    return subprocess.Popen(  # noqa: S603  # our own interpreter, numbers of our own
        [sys.executable, "-P", "-c", code],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        pass_fds=[fd],
        env={**os.environ, "PYTHONPATH": path},
    )


def worker(fd: int, start: int, end: int, size: int) -> None:
    """Scan in a process of its own and write the packed rows to standard output."""
    sys.stdout.buffer.write(scan(fd, start, end, size).pack())
