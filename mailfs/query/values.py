"""Dates and sizes of a query: ``2026-01..2026-03``, ``7d``, ``>1M``.

A day is the user's own: from midnight to midnight of local time.
"""

import math
import re
import time
from collections.abc import Callable

from mailfs.query.tree import Arrived, Sized

MAX_AGO = 10_000  # days, weeks, months, years or hours before now; others mean nothing
DAY = 86400  # seconds

_DAY = re.compile(r"(\d{4})(?:-(\d\d?)(?:-(\d\d?))?)?\Z")
_AGO = re.compile(r"(\d{1,5})([hdwmy])\Z")
_SIZE = re.compile(r"(\d{1,15})([kmgt]?)b?\Z")
_DAYS = {"h": 1 / 24, "d": 1, "w": 7, "m": 30.4375, "y": 365.25}
_FACTORS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}

Midnight = Callable[[int, int, int], float]
"""Return when a day of a year and month begins, in seconds since the epoch; the day
may be beyond the month's last.  Raises OverflowError or ValueError."""


def midnight(year: int, month: int, day: int) -> float:
    """Compute the local start of a day, in seconds since the epoch."""
    return time.mktime((year, month, day, 0, 0, 0, 0, 0, -1))


def dates(text: str, now: float, begins: Midnight = midnight) -> Arrived | None:
    """Read a date, a span of time before now, or a range of them; None if it is none.

    now is in seconds since the epoch.
    """
    first, dots, last = text.partition("..")
    try:
        if not dots:
            return _one(text, now, begins)
        since = _one(first, now, begins) if first else Arrived(-math.inf, 0)
        before = _one(last, now, begins) if last else Arrived(0, math.inf)
    except (OverflowError, ValueError):
        return None
    if since is None or before is None or not (first or last):
        return None
    # A span counts back from now, so it is a moment: 30d..7d ends a week ago.
    end = before.since if last and _AGO.match(last) else before.before
    return Arrived(since.since, end)


def _one(text: str, now: float, begins: Midnight) -> Arrived | None:
    if text in ("today", "yesterday"):
        day = time.localtime(now - DAY * (text == "yesterday"))
        return _day(begins, day.tm_year, day.tm_mon, day.tm_mday)
    if (ago := _AGO.match(text)) is not None:
        count = int(ago[1])
        if count > MAX_AGO:
            return None
        return Arrived(now - count * _DAYS[ago[2]] * DAY, math.inf)
    named = _DAY.match(text)
    if named is None:
        return None
    year, month, day_of = (int(one) if one else 0 for one in named.groups())
    if month > 12 or day_of > 31 or (named[2] and not month):
        return None
    if day_of or named[3]:
        return _day(begins, year, month, day_of) if day_of else None
    if month:
        after = (year + month // 12, month % 12 + 1)
        return Arrived(begins(year, month, 1), begins(*after, 1))
    return Arrived(begins(year, 1, 1), begins(year + 1, 1, 1))


def _day(begins: Midnight, year: int, month: int, day: int) -> Arrived:
    return Arrived(begins(year, month, day), begins(year, month, day + 1))


def sizes(text: str) -> Sized | None:
    """Read a size in octets, or a range of them; None if it is none.

    k, M, G and T are powers of 1024; a size alone is the least.
    """
    text = text.lower()
    first, dots, last = text.partition("..")
    if dots:
        least = _octets(first) if first else 0
        most = _octets(last) if last else math.inf
        if least is None or most is None or not (first or last):
            return None
        return Sized(least, most)
    sign = text[:1] if text[:1] in ("<", ">") else ""
    equal = text[len(sign) :].startswith("=") if sign else False
    octets = _octets(text[len(sign) + equal :])
    if octets is None:
        return None
    if sign == "<":
        return Sized(0, octets if equal else octets - 1)
    return Sized(octets + (sign == ">" and not equal), math.inf)


def _octets(text: str) -> int | None:
    m = _SIZE.match(text)
    return None if m is None else int(m[1]) << _FACTORS[m[2]]
