"""The clock: against the files we wrote, and against what others say the time is."""

import email.utils
import re
import time
from collections.abc import Iterator
from pathlib import Path

from mailfs.doctor.finding import Finding, bad, ok
from mailfs.doctor.world import DoctorWorld

WHAT = "clock"
SKEW = 300.0  # seconds; more, and tokens and one-time codes are refused
SET = "sudo timedatectl set-ntp true"
_DATE = re.compile(
    r"\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} "
    r"\d\d:\d\d(?::\d\d)? [+-]\d{4}"
)


def check(world: DoctorWorld) -> Iterator[Finding]:
    """See whether the clock stands before what has happened already."""
    now = world.clock()
    newest = max(_times(world), default=0.0)
    if newest - now > SKEW:
        text = f"{_shown(now)}: files are from the future, {_shown(newest)}"
        yield bad(WHAT, text, SET)
    else:
        yield ok(WHAT, _shown(now))


def _times(world: DoctorWorld) -> Iterator[float]:
    """Give when our program, and what we wrote, was last changed."""
    for path in (Path(__file__), world.root, world.cache, world.cache / "index"):
        try:
            yield path.stat().st_mtime
        except OSError:
            continue


def _shown(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def told(text: str) -> float | None:
    """Return the time that a server's greeting names, None if it does not.

    Many SMTP servers and some others say the date; RFC 5321 section 4.2.
    """
    m = _DATE.search(text)
    if m is None:
        return None
    try:
        return email.utils.parsedate_to_datetime(m[0]).timestamp()
    except ValueError:
        return None


def against(what: str, server: float | None, now: float) -> Iterator[Finding]:
    """Compare with a server's time, if it told it."""
    if server is not None and abs(now - server) > SKEW:
        way = "behind" if server > now else "ahead of"
        text = f"our clock is {abs(now - server):.0f} s {way} the server's"
        yield bad(f"{what}: clock", text, SET)
