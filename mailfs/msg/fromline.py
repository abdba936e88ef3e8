"""From_ lines: what begins each message of a mailbox file; mbox(6), RFC 4155.

A line that starts with ``From `` begins a message only if it names a sensible date,
as in 9front: text quoted in a message does not.  The date may lack seconds, have a
zone or two before or after the year, and be followed by anything (``remote from x``);
the sender may have spaces (``user at example.com``) or be missing.
"""

import re
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from mailfs.msg import charset, date
from mailfs.msg.date import DAY, Local, localtime
from mailfs.msg.header import Octets
from mailfs.msg.word import printable

MAX_SENDER = 998  # octets; RFC 5322 section 2.1.1 bounds the whole line so
_QUOTED = b"\nFrom "
# Seconds since the epoch: its first day in any zone.  Programs that know no date write
# that, upas/fs too, though 9front's takes no line before 1,000,000 for a message's.
OLDEST = -86400

# Sender, date, and the date's month, day, hour, minute, second, zones and year.  The
# sender is tried without blanks first: that decides nearly all lines in one go.
SEPARATOR = re.compile(
    rb"From (?:(\S{0,998})[ \t]{1,9}|([^\n]{0,998}?)(?<=[ \t]))"
    rb"((?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6},?[ \t]{1,9}"
    rb"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}[ \t]{1,9}"
    rb"(\d\d?),?[ \t]{1,9}(\d\d?):(\d\d)(?::(\d\d))?"
    rb"((?:[ \t]{1,9}(?:[A-Za-z]{1,5}|[+-]\d{4})){0,2})[ \t]{1,9}(\d{4})"
    rb"(?:[ \t]{1,9}([+-]\d{4}|[A-Z]{2,5})(?=\s|\Z))?)(?=\s|\Z)"
)
_OTHER = re.compile(
    rb"From (\S{1,998})[ \t]{1,9}"
    rb"((?:[A-Z][a-z]{2,8},?[ \t]{1,9})?\d\d?[ \t-][A-Z][a-z]{2,8}[ \t-]\d{2,4}"
    rb"[ \t]{1,9}\d\d?:\d\d[^\n]{0,64})"
)


class FromLine(NamedTuple):
    """A From_ line's sender, the text of its date, and that in seconds."""

    sender: str
    date: str
    epoch: int


def parse(line: bytes, local: Local = localtime) -> FromLine | None:
    """Take a From_ line apart, or return None if it begins no message."""
    m = SEPARATOR.match(line) or _OTHER.match(line)
    if m is None:
        return None
    when = _epoch(m, local)
    if when is None:
        return None
    sender = m[1] if m[1] is not None else m[2].strip(b" \t")
    text = m[3] if m.re is SEPARATOR else m[2].rstrip()
    if not line.isascii():
        return FromLine(_text(sender), _text(text), when)
    return FromLine(_plain(sender), _plain(text), when)


def epoch(octets: Octets, start: int = 0, local: Local = localtime) -> int | None:
    """Return the date of the From_ line at start, or None if none begins there."""
    m = SEPARATOR.match(octets, start) or _OTHER.match(octets, start)
    return None if m is None else _epoch(m, local)


def _epoch(m: re.Match[bytes], local: Local) -> int | None:
    if m.re is _OTHER:
        found = date.parse(m[2], local)
        when = None if found is None else found.epoch
    else:
        when = _ctime(m, local)
    return None if when is None or when < OLDEST else max(when, 0)


def _ctime(m: re.Match[bytes], local: Local) -> int | None:
    month, day, hour, minute, second, zones, year, zone = m.groups()[3:]
    midnight = _midnight(year, month, day)
    seconds = int(hour) * 3600 + int(minute) * 60 + int(second or 0)
    if midnight is None or seconds > DAY:
        return None
    shown = midnight + seconds
    zone = zones.strip(b" \t") or zone
    if not zone:
        east = _all_day(midnight, local, time.tzname)
        return date.epoch(shown, local) if east is None else shown - east
    if zone[0] in b"+-" and len(zone) == 5:
        return shown - date.numeric(zone)
    found = date.parse(m[3], local)
    return None if found is None else found.epoch


# Neighbours in a mailbox file are mostly of one day, so these two are asked the same
# thing again and again.
@lru_cache(maxsize=1024)
def _midnight(year: bytes, month: bytes, day: bytes) -> int | None:
    number = date.MONTHS.index(month.lower().decode()) + 1
    return date.seconds(int(year), number, int(day))


@lru_cache(maxsize=1024)
def _all_day(midnight: int, local: Local, zones: tuple[str, str]) -> int | None:
    """Return the zone of a local day, or None if clocks change in it.

    zones is in the key only, for the case that the machine's own zone changes.
    """
    east = local(midnight - local(midnight))
    return east if local(midnight - east + DAY) == east else None


def make(addr: str, epoch: int, local: Local = localtime) -> bytes:
    """Return the From_ line for an envelope sender, newline included."""
    word = "".join(printable(addr).split()) or "???"
    return f"From {word[:256]} {date.unixdate(epoch, local)}\n".encode()


def quote(body: bytes) -> bytes:
    """Return text in which no line begins a message: a space before each ``From ``.

    This is the quoting of upas; nothing undoes it when reading.
    """
    body = body.replace(b"\nFrom ", b"\n From ")
    return b" " + body if body.startswith(b"From ") else body


def quoted(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Give text that comes in pieces as quote would."""
    held = b"\n"  # as if a line ended in front
    first = 1
    for piece in pieces:
        text = (held + piece).replace(_QUOTED, b"\n From ")
        cut = len(text) - _begun(text)
        if cut > first:
            yield text[first:cut]
            first = 0
            held = text[cut:]
        else:
            held = text
    if len(held) > first:
        yield held[first:]


def _begun(text: bytes) -> int:
    """Count the octets at the end that may begin a quoted line."""
    longest = range(min(len(_QUOTED) - 1, len(text)), 0, -1)
    return next((n for n in longest if _QUOTED.startswith(text[-n:])), 0)


def _plain(octets: bytes) -> str:
    return printable(octets.decode("ascii"))


def _text(octets: bytes) -> str:
    return printable(charset.decode(octets))
