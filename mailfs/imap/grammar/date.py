"""INTERNALDATE, both ways; date-time of RFC 9051 section 9."""

import calendar
import re
import time

_MONTHS = tuple(
    "JanFebMarAprMayJunJulAugSepOctNovDec"[i : i + 3] for i in range(0, 36, 3)
)
_NUMBER = {name.upper().encode(): n for n, name in enumerate(_MONTHS, 1)}
_DATE = re.compile(
    rb"([ 0-3]?[0-9])-([A-Za-z]{3})-([0-9]{4}) "
    rb"([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"
)
MAX_CACHED = 20_000  # days and zones; 50 years of days


class Dates:
    """Reads many dates, most of which share their day and zone with another."""

    def __init__(self) -> None:
        self._days: dict[bytes, int] = {}

    def parse(self, text: bytes) -> int:
        """Return seconds since the epoch of ``17-Jul-1996 02:44:25 -0700``, quotes off.

        0 if it is no date: some servers send dates that do not exist.
        """
        key = text[:12] + text[20:]
        midnight = self._days.get(key)
        if midnight is None:
            if (midnight := _midnight(text)) is None:
                return 0
            if len(self._days) < MAX_CACHED:
                self._days[key] = midnight
        try:
            return (
                midnight
                + int(text[12:14]) * 3600
                + int(text[15:17]) * 60
                + int(text[18:20])
            )
        except ValueError:
            return 0


def _midnight(text: bytes) -> int | None:
    """Return the epoch second at which the day of a date began in its zone."""
    m = _DATE.fullmatch(text)
    if m is None or (month := _NUMBER.get(m[2].upper())) is None:
        return None
    day = int(m[1])
    if not 0 < day <= calendar.monthrange(max(1, int(m[3])), month)[1]:
        return None
    zone = int(m[8]) * 3600 + int(m[9]) * 60
    midnight = calendar.timegm((int(m[3]), month, day, 0, 0, 0))
    return midnight - (zone if m[7] == b"+" else -zone)


def parse(text: bytes) -> int:
    """Return seconds since the epoch of one date, 0 if it is none."""
    return Dates().parse(text.rjust(26))  # the day may lack its blank


def show(date: int) -> str:
    """Return a date as APPEND takes it, in UTC."""
    t = time.gmtime(date)
    return (
        f"{t.tm_mday:2d}-{_MONTHS[t.tm_mon - 1]}-{t.tm_year:04d} "
        f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} +0000"
    )


def moment(text: bytes) -> int | None:
    """Return seconds since the epoch of a date-time as APPEND has it, None if none."""
    text = text.rjust(26)
    midnight = _midnight(text)
    if midnight is None:
        return None
    hour, minute, second = int(text[12:14]), int(text[15:17]), int(text[18:20])
    if hour > 23 or minute > 59 or second > 60:
        return None
    return midnight + hour * 3600 + minute * 60 + second


def day(number: bytes, month: bytes, year: bytes) -> int | None:
    """Return the days since the epoch of ``1-Feb-1994``, taken apart; None if none."""
    at = _NUMBER.get(month.upper())
    if at is None or not int(year) > 0:
        return None
    if not 0 < int(number) <= calendar.monthrange(int(year), at)[1]:
        return None
    return calendar.timegm((int(year), at, int(number), 0, 0, 0)) // 86400
