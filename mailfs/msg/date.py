"""Dates of mail: RFC 5322 with its obsolete forms, ctime(2), and what else is met.

Zones are seconds east of Greenwich.  A date without one is local time, and what
local means is an argument: a function from an epoch to its zone.  Nothing raises.
"""

import re
import time
from collections.abc import Callable
from datetime import date
from typing import NamedTuple

Local = Callable[[int], int]

DAY = 86400  # seconds
FIRST = -62135596800  # seconds; 1 January of year 1
LAST = 253402300799  # seconds; 31 December 9999
MAX_TEXT = 256  # characters of a date that are looked at; RFC 5322's have 37
MAX_ZONE = 24 * 3600  # seconds; beyond it a numeric zone is taken for UTC

MONTHS = (
    *("jan", "feb", "mar", "apr", "may", "jun"),
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_UNIX_DAY = date(1970, 1, 1).toordinal()

# Hours east.  The first line is RFC 5322 section 4.3, which has the letters mean UTC;
# the rest are names that senders use for one zone only.
ZONES = {
    name: int(hours * 3600)
    for hours, names in (
        (0, "ut utc gmt wet a b c d e f g h i k l m n o p q r s t u v w x y z"),
        (-5, "est"), (-4, "edt"), (-6, "cst"), (-5, "cdt"),
        (-7, "mst"), (-6, "mdt"), (-8, "pst"), (-7, "pdt"),
        (-9, "akst"), (-8, "akdt"), (-10, "hst"), (-4, "ast"), (-3, "adt brt art"),
        (-3.5, "nst"), (-2.5, "ndt"),
        (1, "bst cet met mez west"), (2, "cest mest mesz eet sast"), (3, "eest msk"),
        (4, "msd"), (5.5, "ist"), (7, "ict wib"), (8, "hkt sgt awst"), (9, "jst kst"),
        (9.5, "acst"), (10, "aest"), (10.5, "acdt"), (11, "aedt"),
        (12, "nzst"), (13, "nzdt"),
    )
    for name in names.split()
}  # fmt: skip


class Date(NamedTuple):
    """A moment: seconds since the epoch, and the zone it was told in."""

    epoch: int
    zone: int


def localtime(epoch: int) -> int:
    """Return the zone of this machine at an epoch."""
    return time.localtime(min(max(epoch, FIRST), LAST)).tm_gmtoff


def utc(epoch: int) -> int:
    """Return the zone of Greenwich: none."""
    return 0


_RFC = re.compile(
    r"\s{0,9}(?:[A-Za-z]{3,9}[.,]?\s{0,9})?(\d\d?)\s{1,9}([A-Za-z]{3})[a-z]{0,6}[.,]?"
    r"\s{1,9}(\d{2,4})\s{1,9}(\d\d?):(\d\d)(?::(\d\d))?\s{0,9}"
    r"(?:([+-]\d{4})(?!\d)|([A-Za-z]{1,5})(?=\s{0,9}(?:[(]|$))|(?=[(]|$))",
    re.A,
)
_TOKEN = re.compile(
    r"""
    (?P<comment>[(][^()]*[)]?)
    |(?P<ymd>(\d{4})[-/](\d\d?)[-/](\d\d?))
    |(?P<dmy>(\d\d?)-([a-z]{3,9})-(\d{2,4}))
    |(?P<mdy>([a-z]{3,9}|\d\d?)/(\d\d?)/(\d{2,4}))
    |(?P<clock>(\d\d?):(\d\d)(?::(\d\d))?(?:[.]\d+)?)
    |(?P<zone>(?:gmt|utc?)?([+-])(\d\d?):?(\d\d)?(?!\d))
    |(?P<number>(\d+))
    |(?P<word>([a-z]+))
    """,
    re.X | re.I | re.A,
)


def parse(text: str | bytes, local: Local = localtime) -> Date | None:
    """Return the moment a text names, or None if it names none.

    Taken are RFC 5322 dates, ctime(2) with a zone before or after the year or none,
    ISO 8601, and day, month, year, time and zone in any order; trailing text is
    ignored, a missing time is midnight.  Two-digit years are those of RFC 5322
    section 4.3; a zone whose name is unknown is UTC.
    """
    if isinstance(text, bytes):
        text = text[:MAX_TEXT].decode("latin-1")
    m = _RFC.match(text)
    if m is None or (m[8] and m[8].lower() not in ZONES):
        return _Words(text[:MAX_TEXT]).date(local)
    day, month, year, hour, minute, second, zone, name = m.groups()
    shown = seconds(
        _year(year), _month(month), int(day), int(hour), int(minute), int(second or 0)
    )
    if shown is None:
        return None
    if zone is None and name is None:
        return _here(shown, local)
    east = numeric(zone) if zone else ZONES[name.lower()]
    return Date(shown - east, east)


def numeric(zone: str | bytes) -> int:
    """Return the seconds east that ``+hhmm`` or ``-hhmm`` means, 0 if over a day."""
    value = abs(int(zone))
    east = value // 100 * 3600 + value % 100 * 60
    if east > MAX_ZONE:
        return 0
    return east if int(zone) > 0 else -east


def seconds(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0
) -> int | None:
    """Return seconds from the epoch to that time in UTC, or None if there is none.

    Second 60 is allowed, for leap seconds.
    """
    if hour > 23 or minute > 59 or second > 60:
        return None
    try:
        days = date(year, month, day).toordinal() - _UNIX_DAY
    except ValueError:
        return None
    return days * DAY + hour * 3600 + minute * 60 + second


def epoch(shown: int, local: Local) -> int:
    """Return the epoch at which local clocks show a time, given as if it were UTC."""
    return shown - local(shown - local(shown))


def _here(shown: int, local: Local) -> Date:
    when = epoch(shown, local)
    return Date(when, shown - when)


def unixdate(epoch: int, local: Local = localtime) -> str:
    """Return ``Tue Mar 28 21:58:10 -0600 2006``, the day padded with a space."""
    t, zone = _broken(epoch, local)
    return (
        f"{WEEKDAYS[t.tm_wday].title()} {MONTHS[t.tm_mon - 1].title()} {t.tm_mday:2d} "
        f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} {zone} {t.tm_year:04d}"
    )


def rfc822(epoch: int, local: Local = localtime) -> str:
    """Return ``Tue, 28 Mar 2006 21:58:10 -0600``; RFC 5322 section 3.3."""
    t, zone = _broken(epoch, local)
    return (
        f"{WEEKDAYS[t.tm_wday].title()}, {t.tm_mday} {MONTHS[t.tm_mon - 1].title()} "
        f"{t.tm_year:04d} {t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} {zone}"
    )


def _broken(epoch: int, local: Local) -> tuple[time.struct_time, str]:
    """Return local time and zone of an epoch, moved into the years 1 to 9999."""
    epoch = min(max(epoch, FIRST + DAY), LAST - DAY)
    east = local(epoch)
    sign = "-" if east < 0 else "+"
    hours, minutes = divmod(abs(east) // 60, 60)
    return time.gmtime(epoch + east), f"{sign}{hours:02d}{minutes:02d}"


def _year(digits: str) -> int:
    """Return the year that two, three or four digits mean; RFC 5322 section 4.3."""
    year = int(digits)
    if len(digits) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(digits) == 3 else year


def _month(name: str) -> int:
    """Return 1 to 12 for a month's name or its beginning, 0 for another word."""
    name = name.lower()
    return MONTHS.index(name[:3]) + 1 if name[:3] in MONTHS else 0


class _Words:
    """A date found word by word; of two that say the same thing the first holds."""

    def __init__(self, text: str) -> None:
        self.day = self.month = self.year = -1
        self.clock: tuple[int, int, int] | None = None
        self.half = ""  # am or pm
        self.zone: int | None = None
        for token in _TOKEN.finditer(text):
            take = getattr(self, f"_{token.lastgroup}")
            take(*[g for g in token.groups() if g is not None][1:])

    def date(self, local: Local) -> Date | None:
        """Make the date, or None if day, month or year is missing."""
        hour, minute, second = self.clock or (0, 0, 0)
        if self.half and 1 <= hour <= 12:
            hour = hour % 12 + (12 if self.half == "pm" else 0)
        shown = seconds(self.year, self.month, self.day, hour, minute, second)
        if shown is None:
            return None
        if self.zone is None:
            return _here(shown, local)
        return Date(shown - self.zone, self.zone)

    def _calendar(self, year: str, month: int, day: str) -> None:
        if self.day < 0 and self.month < 0 and self.year < 0:
            self.year, self.month, self.day = _year(year), month, int(day)

    def _comment(self) -> None:
        pass

    def _ymd(self, year: str, month: str, day: str) -> None:
        self._calendar(year, int(month), day)

    def _dmy(self, day: str, month: str, year: str) -> None:
        self._calendar(year, _month(month), day)

    def _mdy(self, month: str, day: str, year: str) -> None:
        number = int(month) if month.isdecimal() else _month(month)
        self._calendar(year, number, day)

    def _clock(self, hour: str, minute: str, second: str = "0") -> None:
        if self.clock is None:
            self.clock = int(hour), int(minute), int(second)

    def _zone(self, sign: str, hours: str, minutes: str = "0") -> None:
        if self.zone is not None or self.clock is None:
            return
        east = int(hours) * 3600 + int(minutes) * 60
        if east > MAX_ZONE:
            east = 0
        self.zone = -east if sign == "-" else east

    def _number(self, digits: str) -> None:
        if len(digits) < 3 and self.day < 0:
            self.day = int(digits)
        elif len(digits) < 5 and self.year < 0 and (len(digits) > 3 or self.month > 0):
            self.year = _year(digits)

    def _word(self, word: str) -> None:
        word = word.lower()
        if self.month < 0 and len(word) > 2 and _month(word):
            self.month = _month(word)
        elif word in ("am", "pm"):
            self.half = self.half or word
        elif word == "dst" and self.zone is not None:
            self.zone += 3600
        elif self.clock and self.zone is None:
            # "at" and "on" are no zones, nor is a weekday after the time.
            named = word in ZONES or (len(word) > 2 and word[:3] not in WEEKDAYS)
            self.zone = ZONES.get(word, 0) if named else None
