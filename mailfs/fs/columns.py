"""Directory entries of many messages at once, a column of octets at a time.

Entries whose names are as long as each other are as long as each other.  So many of
them are one array of octets, and each octet of each field is a slice of it with the
entry's length for a stride.  The result is what packing one by one gives, octet for
octet, in a tenth of the time.
"""

import sys
from array import array
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from mailfs.fs.node import MAX_NUMBER, MAX_TIME
from mailfs.mailbox.kinds import Flag
from mailfs.p9.fcall import DMDIR, ENTRY, QTDIR, owners
from mailfs.p9.file import Records

ROWS = 4096  # entries packed together; they take a millisecond

# Where fields of an entry begin: size[2] type[2] dev[4] qid.type[1] vers[4] path[8]
# mode[4] atime[4] mtime[4] length[8] and the name's size[2]; stat(5).
_VERS, _PATH, _ATIME, _MTIME, _NAME = 9, 13, 25, 29, 43
_NUMBER = _PATH + 2  # of the message, six bits up
_SHOWN = bytes(bits & ~Flag.RECENT.value for bits in range(256))
_ODD = bytes(octet | 1 for octet in range(256))  # a version is never 0


class Columns(NamedTuple):
    """What a view tells of its messages, a row each."""

    numbers: "array[int]"  # 'I'
    idents: "array[int]"  # 'Q'
    flags: bytearray
    dates: "array[int]"  # 'q'

    def some(self, rows: Sequence[int]) -> "Columns":
        """Take some of the rows, in that order."""
        if isinstance(rows, range) and rows.step == 1:
            part = slice(rows.start, rows.stop)
            return Columns(
                self.numbers[part],
                self.idents[part],
                self.flags[part],
                self.dates[part],
            )
        numbers, idents, flags, dates = self
        return Columns(
            array("I", [numbers[row] for row in rows]),
            array("Q", [idents[row] for row in rows]),
            bytearray([flags[row] for row in rows]),
            array("q", [dates[row] for row in rows]),
        )


def packed(
    columns: Columns, order: Sequence[int], first: int, base: int, user: str
) -> Iterator[Records]:
    """Pack the entries of rows, in that order.

    Flag.RECENT counts for numbers from first on.  base is the qid.path of message 0.
    """
    for at in range(0, len(order), ROWS):
        some = columns.some(order[at : at + ROWS])
        numbers = some.numbers
        # A range is the order of numbers that ascend in the view.
        ascend = isinstance(order, range) and order.step == 1
        span = (numbers[0], numbers[-1]) if ascend else (min(numbers), max(numbers))
        _forget_recent(some, first, span)
        for start, end, width in _runs(numbers, span):
            yield _pack(some.some(range(start, end)), width, base, user)


def _forget_recent(columns: Columns, first: int, span: tuple[int, int]) -> None:
    """Take Flag.RECENT from numbers below first; span has the least and the largest."""
    numbers, flags = columns.numbers, columns.flags
    if first > span[1]:
        flags[:] = flags.translate(_SHOWN)
    elif first > span[0]:
        flags[:] = bytes(
            bits if number >= first else _SHOWN[bits]
            for number, bits in zip(numbers, flags, strict=True)
        )


def _runs(
    numbers: "array[int]", span: tuple[int, int]
) -> Iterator[tuple[int, int, int]]:
    """Give (start, end, digits) of numbers in a row that have as many digits."""
    width = len(str(span[1]))
    if len(str(span[0])) == width:
        yield 0, len(numbers), width
        return
    start = 0
    for digits, run in groupby(len(str(number)) for number in numbers):
        end = start + sum(1 for _ in run)
        yield start, end, digits
        start = end


def _pack(columns: Columns, width: int, base: int, user: str) -> Records:
    """Pack entries whose names have width digits."""
    numbers, idents, flags, dates = columns
    count, owner = len(numbers), owners(user, user, user)
    size = ENTRY.size + width + len(owner)
    mode = DMDIR | 0o555
    one = ENTRY.pack(size - 2, 0, 0, QTDIR, 0, base, mode, 0, 0, 0, width)
    out = bytearray(one + bytes(width) + owner) * count
    _lay_versions(out, size, idents, flags)
    shifted = _octets(array("I", [(n & MAX_NUMBER) << 6 for n in numbers]))
    times = _octets(dates)
    if any(times[i::8].count(0) < count for i in range(4, 8)):
        dates = array("q", [min(max(date, 0), MAX_TIME) for date in dates])
        times = _octets(dates)
    for i in range(4):
        out[_NUMBER + i :: size] = shifted[i::4]
        out[_ATIME + i :: size] = out[_MTIME + i :: size] = times[i::8]
    names = "".join(map(str, numbers)).encode()
    for i in range(width):
        out[_NAME + i :: size] = names[i::width]
    return Records(bytes(out), size)


def _lay_versions(
    out: bytearray, size: int, idents: "array[int]", flags: bytearray
) -> None:
    """Lay the versions: both halves of the identity, and the flags eight bits up."""
    count, octets = len(idents), _octets(idents)
    for i in range(4):
        column = int.from_bytes(octets[i::8], "little")
        column ^= int.from_bytes(octets[i + 4 :: 8], "little")
        if i == 1:
            column ^= int.from_bytes(flags, "little")
        laid = column.to_bytes(count, "little")
        out[_VERS + i :: size] = laid if i else laid.translate(_ODD)


def _octets(column: "array[int]") -> bytes:
    """Give a column's octets in the order of the wire."""
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column.tobytes()
