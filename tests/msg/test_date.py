import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.msg import date
from mailfs.msg.date import Date, parse, rfc822, unixdate


def zone(hours: float) -> Callable[[int], int]:
    return lambda epoch: int(hours * 3600)


CENTRAL = zone(-6)
SPRING = 1711846800  # 2024-03-31 01:00 UTC: clocks in Berlin go from 2 to 3
AUTUMN = 1729990800  # 2024-10-27 01:00 UTC: and back from 3 to 2


def berlin(epoch: int) -> int:
    return 7200 if SPRING <= epoch < AUTUMN else 3600


WHEN = 1143604690  # 2006-03-29 03:58:10 UTC
# text, epoch, zone in hours; local time is six hours west
DATES: list[tuple[str, int, float]] = [
    # RFC 5322 section 3.3 and appendix A.
    ("Tue, 28 Mar 2006 21:58:10 -0600", WHEN, -6),
    ("28 Mar 2006 21:58:10 -0600", WHEN, -6),
    ("28 Mar 2006 21:58 -0600", WHEN - 10, -6),
    ("Fri, 21 Nov 1997 09:55:06 -0600", 880127706, -6),
    ("Tue, 1 Jul 2003 10:52:37 +0200", 1057049557, 2),
    ("Thu, 13 Feb 1969 23:32:54 -0330", -27723426, -3.5),
    ("Mon, 24 Nov 1997 14:22:01 -0800", 880410121, -8),
    ("Thu,\n      13\n        Feb\n          1969\n      23:32\n               -0330"
     " (Newfoundland Time)", -27723480, -3.5),
    ("21 Nov 97 09:55:06 GMT", 880106106, 0),
    # Obsolete zones and years: section 4.3.
    ("Tue, 28 Mar 06 21:58:10 CST", WHEN, -6),
    ("Tue, 28 Mar 106 21:58:10 CST", WHEN, -6),
    ("Tue, 28 Mar 2006 22:58:10 CDT", WHEN, -5),
    ("Tue, 28 Mar 2006 22:58:10 EST", WHEN, -5),
    ("Tue, 28 Mar 2006 19:58:10 pst", WHEN, -8),
    ("Wed, 29 Mar 2006 03:58:10 UT", WHEN, 0),
    ("Wed, 29 Mar 2006 03:58:10 Z", WHEN, 0),
    ("Wed, 29 Mar 2006 03:58:10 A", WHEN, 0),
    ("Wed, 29 Mar 2006 03:58:10 -0000", WHEN, 0),
    ("Wed, 29 Mar 2006 03:58:10 FOO", WHEN, 0),
    ("Wed, 29 Mar 2006 05:58:10 CEST", WHEN, 2),
    ("Wed, 29 Mar 2006 05:58:10 MET DST", WHEN, 2),
    ("1 Jan 49 00:00 GMT", 2493072000, 0),
    ("1 Jan 50 00:00 GMT", -631152000, 0),
    # 9front's list.
    ("Tue Mar 28 21:58:10 CST 2006", WHEN, -6),
    ("Tue Mar 28 21:58:10 -0600 2006", WHEN, -6),
    ("Tue Mar 28 21:58:10 2006", WHEN, -6),
    ("Tue, 28 Mar 2006 21:58:10", WHEN, -6),
    ("Tue, 28-Mar-06", WHEN - 21 * 3600 - 58 * 60 - 10, -6),
    ("28 mar 2006 21:58:10", WHEN, -6),
    ("28-Mar-06 21:58:10 -0600", WHEN, -6),
    ("28-MAR-2006 21:58:10", WHEN, -6),
    ("Mar/28/2006 21:58:10 CST", WHEN, -6),
    ("3/28/2006 21:58:10 CST", WHEN, -6),
    ("3/28/06", WHEN - 21 * 3600 - 58 * 60 - 10, -6),
    # What else is met.
    ("Tue Mar 28 21:58:10 2006 -0600", WHEN, -6),
    ("Tue, 28 Mar 2006 21:58:10 -0600 (CST)", WHEN, -6),
    ("Tue,28 Mar 2006 21:58:10 -0600", WHEN, -6),
    ("Tuesday, 28 March 2006 21:58:10 -0600", WHEN, -6),
    ("Tuesday, March 28, 2006 9:58:10 PM -0600", WHEN, -6),
    ("Mar 28, 2006 at 9:58:10 pm CST", WHEN, -6),
    ("28 Mar 2006 12:00:00 AM +0000", 1143504000, 0),
    ("28 Mar 2006 12:00:00 pm +0000", 1143547200, 0),
    ("2006-03-28 21:58:10 -0600", WHEN, -6),
    ("2006-03-28T21:58:10-06:00", WHEN, -6),
    ("2006-03-29T03:58:10Z", WHEN, 0),
    ("2006-03-29T03:58:10.123Z", WHEN, 0),
    ("2006/03/28 21:58:10", WHEN, -6),
    ("Tue, 28 Mar 2006 21:58:10 GMT-0600", WHEN, -6),
    ("Wed, 29 Mar 2006 03:58:10 GMT+00:00", WHEN, 0),
    ("Tue, 28 Mar 2006 21:58:10 -0600 and so on", WHEN, -6),
    ("Wed, 29 Mar 2006 09:28:10 +0530", WHEN, 5.5),
    ("Tue (a comment), 28 Mar 2006 21:58:10 -0600", WHEN, -6),
    ("  Tue,  28  Mar  2006  21:58:10  -0600  ", WHEN, -6),
    ("Tue, 28 Mar 2006 21:58:60 -0600", WHEN + 50, -6),
    ("Wed, 29 Mar 2006 03:58:10 +9999", WHEN, 0),
    ("Wed, 29 Mar 2006 03:58:10 -2500", WHEN, 0),
    ("1 Jan 0001 00:00:00 +0000", -62135596800, 0),
    ("31 Dec 9999 23:59:59 +0000", 253402300799, 0),
    ("29 Feb 2024 00:00:00 +0000", 1709164800, 0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "epoch", "hours"), DATES)
def test_parse(text: str, epoch: int, hours: float) -> None:
    want = Date(epoch, int(hours * 3600))
    assert parse(text, CENTRAL) == want
    assert parse(text.encode(), CENTRAL) == want
    assert parse(text.replace(" ", "\t"), CENTRAL) == want


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday, more or less",
        "Tue, 28 Mar",
        "28 2006 21:58:10",
        "Mar 2006 21:58:10",
        "Tue, 31 Feb 2006 21:58:10 -0600",
        "29 Feb 2023 00:00:00 +0000",
        "Tue, 28 Mar 2006 24:58:10 -0600",
        "Tue, 28 Mar 2006 21:60:10 -0600",
        "Tue, 28 Mar 2006 21:58:61 -0600",
        "Tue, 0 Mar 2006 21:58:10 -0600",
        "Tue, 32 Mar 2006 21:58:10 -0600",
        "Tue, 28 Mar 0000 21:58:10 -0600",
        "Tue, 28 Mer 2006 21:58:10 -0600",
        "13/28/2006",
        "2006-13-28",
        "99999999",
        "99999999 Mar 2006",
        "28 Mar 99999999 21:58:10",
        "28 Mar 2006 999999:58:10",
        "\0\0\0",
        "٢٨ Mar ٢٠٠٦ 21:58:10",
    ],
)
def test_what_is_no_date(text: str) -> None:
    assert parse(text, date.utc) is None


def test_local_time_and_its_changes() -> None:
    for text, epoch in [
        ("31 Mar 2024 01:59:59", SPRING - 1),
        ("31 Mar 2024 03:00:00", SPRING),
        ("27 Oct 2024 01:59:59", AUTUMN - 3601),
        ("27 Oct 2024 03:00:00", AUTUMN + 3600),
        ("1 Jul 2024 12:00", 1719828000),
    ]:
        when = parse(text, berlin)
        assert when == Date(epoch, berlin(epoch))
    for text in ("27 Oct 2024 02:30:00", "31 Mar 2024 02:30:00"):
        when = parse(text, berlin)  # told twice, and never: near is good enough
        assert when is not None
        assert min(abs(when.epoch - SPRING), abs(when.epoch - AUTUMN)) <= 3600


def test_local_is_this_machine_by_default() -> None:
    assert parse("Tue Mar 28 21:58:10 2006") == parse(
        "Tue Mar 28 21:58:10 2006", date.localtime
    )
    assert date.localtime(WHEN) == time.localtime(WHEN).tm_gmtoff
    for odd in (-(1 << 80), 1 << 80):
        assert abs(date.localtime(odd)) <= 86400


@pytest.mark.parametrize(
    ("epoch", "local", "unix", "mail"),
    [
        (WHEN, CENTRAL, "Tue Mar 28 21:58:10 -0600 2006",
         "Tue, 28 Mar 2006 21:58:10 -0600"),
        (WHEN, date.utc, "Wed Mar 29 03:58:10 +0000 2006",
         "Wed, 29 Mar 2006 03:58:10 +0000"),
        (0, zone(5.75), "Thu Jan  1 05:45:00 +0545 1970",
         "Thu, 1 Jan 1970 05:45:00 +0545"),
        (0, zone(-3.5), "Wed Dec 31 20:30:00 -0330 1969",
         "Wed, 31 Dec 1969 20:30:00 -0330"),
        (-1, date.utc, "Wed Dec 31 23:59:59 +0000 1969",
         "Wed, 31 Dec 1969 23:59:59 +0000"),
    ],
)  # fmt: skip
def test_show(epoch: int, local: date.Local, unix: str, mail: str) -> None:
    assert unixdate(epoch, local) == unix
    assert rfc822(epoch, local) == mail
    assert parse(unix) == parse(mail) == Date(epoch, local(epoch))


@pytest.mark.parametrize("epoch", [-(1 << 70), 1 << 70, date.FIRST, date.LAST])
def test_any_epoch_can_be_shown(epoch: int) -> None:
    for local in (date.localtime, zone(14), zone(-12)):
        assert len(unixdate(epoch, local)) == 30
        assert len(rfc822(epoch, local)) in (30, 31)


WORDS = st.sampled_from(
    [
        "Tue,",
        "28",
        "Mar",
        "2006",
        "21:58:10",
        "-0600",
        "CST",
        "PM",
        "99999",
        "0",
        "(",
        ")",
        "28-Mar-06",
        "3/28/06",
        "2006-03-28",
        "DST",
        "at",
        "24:00",
        "GMT+1",
        "\n",
        "é",
    ]
)
NEAR = st.lists(WORDS | st.text(max_size=4), max_size=12).map(" ".join)


@given(NEAR | st.text(max_size=300))
def test_any_text(text: str) -> None:
    when = parse(text, CENTRAL)
    if when is None:
        return
    assert abs(when.zone) <= date.MAX_ZONE + 3600
    assert date.FIRST - date.DAY * 2 <= when.epoch <= date.LAST + date.DAY * 2
    unixdate(when.epoch, CENTRAL)


@given(st.integers(date.FIRST + date.DAY, date.LAST - date.DAY), st.integers(-840, 840))
def test_what_is_shown_is_read(epoch: int, minutes: int) -> None:
    def local(_: int) -> int:
        return minutes * 60

    assert parse(unixdate(epoch, local)) == Date(epoch, minutes * 60)
    assert parse(rfc822(epoch, local)) == Date(epoch, minutes * 60)


def test_hostile_texts() -> None:
    assert parse("1 " * 1_000_000) is None
    assert parse("(" * 1_000_000) is None
    assert parse(b"a" * 10_000_000) is None
