import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.msg import date, fromline
from mailfs.msg.fromline import SEPARATOR, FromLine, make, parse, quote
from tests.msg.test_date import AUTUMN, CENTRAL, SPRING, WHEN, berlin

C = b"Tue Mar 28 21:58:10 2006"
# line, sender, text of the date, epoch; local time is six hours west
LINES: list[tuple[bytes, str, str, int]] = [
    (b"From a@b " + C, "a@b", C.decode(), WHEN),
    (b"From a@b Tue Mar 28 21:58:10 CST 2006",
     "a@b", "Tue Mar 28 21:58:10 CST 2006", WHEN),
    (b"From a@b Tue Mar 28 21:58:10 -0600 2006",
     "a@b", "Tue Mar 28 21:58:10 -0600 2006", WHEN),
    (b"From a@b Tue Mar 28 21:58:10 2006 -0600",
     "a@b", "Tue Mar 28 21:58:10 2006 -0600", WHEN),
    (b"From a@b Tue Mar 28 21:58:10 2006 CST",
     "a@b", "Tue Mar 28 21:58:10 2006 CST", WHEN),
    (b"From a@b Wed Mar 29 05:58:10 MET DST 2006",
     "a@b", "Wed Mar 29 05:58:10 MET DST 2006", WHEN),
    (b"From a@b Tue Mar 28 21:58 2006", "a@b", "Tue Mar 28 21:58 2006", WHEN - 10),
    (b"From a@b  Tue Mar  7 01:02:03 2006",
     "a@b", "Tue Mar  7 01:02:03 2006", 1141714923),
    (b"From a@b\tTue Mar  7 01:02:03 2006",
     "a@b", "Tue Mar  7 01:02:03 2006", 1141714923),
    (b"From a@b Tue, Mar 7 1:02:03 2006",
     "a@b", "Tue, Mar 7 1:02:03 2006", 1141714923),
    (b"From user at example.com  " + C, "user at example.com", C.decode(), WHEN),
    (b"From \"a b\"@c " + C, '"a b"@c', C.decode(), WHEN),
    (b"From " + C, "", C.decode(), WHEN),
    (b"From  " + C, "", C.decode(), WHEN),
    (b"From - " + C, "-", C.decode(), WHEN),
    (b"From ???@??? " + C, "???@???", C.decode(), WHEN),
    (b"From MAILER-DAEMON " + C, "MAILER-DAEMON", C.decode(), WHEN),
    (b"From h!u " + C + b" remote from x", "h!u", C.decode(), WHEN),
    (b"From a@b " + C + b" \t", "a@b", C.decode(), WHEN),
    (b"From caf\xe9@b " + C, "café@b", C.decode(), WHEN),
    (b"From caf\xc3\xa9@b " + C, "café@b", C.decode(), WHEN),
    (b"From a@b Tue, 28 Mar 2006 21:58:10 -0600",
     "a@b", "Tue, 28 Mar 2006 21:58:10 -0600", WHEN),
    (b"From a@b 28 Mar 2006 21:58:10 -0600",
     "a@b", "28 Mar 2006 21:58:10 -0600", WHEN),
    (b"From a@b 28-Mar-06 21:58:10", "a@b", "28-Mar-06 21:58:10", WHEN),
    (b"From Tue " + C, "Tue", C.decode(), WHEN),
]  # fmt: skip
NAKED = [
    b"",
    b"From",
    b"From ",
    b"From here on, all is well",
    b"From a@b",
    b"From a@b ",
    b"From the Tue meeting",
    b"From Monday Mar 28",
    b"from a@b " + C,
    b">From a@b " + C,
    b" From a@b " + C,
    b"From: a@b " + C,
    b"From a@b" + C,
    b"From a@b Tue Mar 28 21:58:10",
    b"From a@b Tue Mar 28 21:58:10 06",
    b"From a@b Tue Mar 28 21:58:10 20067",
    b"From a@b Tue Mar 28 25:58:10 2006",
    b"From a@b Tue Feb 31 21:58:10 2006",
    b"From a@b Tue Mar  0 21:58:10 2006",
    b"From a@b Tue Mar 28 21:58:10 0000",
    b"From a@b Foo Mar 28 21:58:10 2006",
    b"From a@b Tue Foo 28 21:58:10 2006",
    b"From a@b Mar 28 21:58:10 2006",
    b"From a@b Tue Dec 30 21:58:10 1969",
    b"From " + b"x" * 2000 + b" " + C,
]


@pytest.mark.parametrize(("line", "sender", "text", "epoch"), LINES)
def test_parse(line: bytes, sender: str, text: str, epoch: int) -> None:
    want = FromLine(sender, text, epoch)
    for end in (b"", b"\n", b"\r\n", b"\nFrom x " + C + b"\n"):
        assert parse(line + end, CENTRAL) == want
        assert fromline.epoch(line + end, 0, CENTRAL) == epoch
        assert fromline.epoch(b"\n\n" + line + end, 2, CENTRAL) == epoch


@pytest.mark.parametrize("line", NAKED)
def test_what_begins_no_message(line: bytes) -> None:
    for end in (b"", b"\n", b"\r\n", b"\n" + C + b"\n", b"\n " + C + b"\n"):
        assert parse(line + end, date.utc) is None
        assert fromline.epoch(line + end, 0, date.utc) is None


def test_the_oldest_date() -> None:
    shown = "Thu Jan  1 00:00:00 %s 1970"
    for zone in ("GMT", "+0200", "-0000"):
        text = shown % zone
        assert parse(b"From a@b %s\n" % text.encode()) == FromLine("a@b", text, 0)
    assert parse(b"From a@b Wed Dec 31 23:59:59 GMT 1968\n") is None


def test_local_time_and_its_changes() -> None:
    for text, epoch in [
        (b"Sun Mar 31 00:30:00 2024", SPRING - 5400),
        (b"Sun Mar 31 01:59:59 2024", SPRING - 1),
        (b"Sun Mar 31 03:00:00 2024", SPRING),
        (b"Sun Mar 31 23:59:59 2024", SPRING + 21 * 3600 - 1),
        (b"Mon Apr  1 00:00:00 2024", SPRING + 21 * 3600),
        (b"Sun Oct 27 01:59:59 2024", AUTUMN - 3601),
        (b"Sun Oct 27 03:00:00 2024", AUTUMN + 3600),
        (b"Sun Oct 27 23:00:00 2024", AUTUMN + 21 * 3600),
    ]:
        assert fromline.epoch(b"From a " + text + b"\n", 0, berlin) == epoch


@pytest.mark.parametrize(
    ("addr", "line"),
    [
        ("a@b", b"From a@b Tue Mar 28 21:58:10 -0600 2006\n"),
        ("", b"From ??? Tue Mar 28 21:58:10 -0600 2006\n"),
        ("a b\n@c", b"From ab@c Tue Mar 28 21:58:10 -0600 2006\n"),
        ("é@b", "From é@b Tue Mar 28 21:58:10 -0600 2006\n".encode()),
    ],
)
def test_make(addr: str, line: bytes) -> None:
    assert make(addr, WHEN, CENTRAL) == line
    got = parse(line)
    assert got is not None
    assert got.epoch == WHEN


@given(st.text(max_size=300), st.integers(1_000_001, date.LAST - date.DAY))
def test_what_is_made_is_read(addr: str, epoch: int) -> None:
    line = make(addr, epoch)
    assert line.count(b"\n") == 1
    got = parse(line)
    assert got is not None
    assert got.epoch == epoch


@pytest.mark.parametrize(
    ("body", "quoted"),
    [
        (b"", b""),
        (b"From a", b" From a"),
        (b"a\nFrom b\nFrom c\n", b"a\n From b\n From c\n"),
        (b"a\n\nFrom\nFrom: x\n", b"a\n\nFrom\nFrom: x\n"),
        (b">From y\n From z\n", b">From y\n From z\n"),
        (b"From From From ", b" From From From "),
    ],
)  # fmt: skip
def test_quote(body: bytes, quoted: bytes) -> None:
    assert quote(body) == quoted
    assert quote(quoted) == quoted


PIECES = st.sampled_from(
    [
        b"From ",
        b"a@b",
        b" ",
        C,
        b"Tue",
        b"Mar",
        b"28",
        b"21:58:10",
        b"-0600",
        b"2006",
        b"CST",
        b"\n",
        b"\t",
        b"Mar 28",
        b"99",
        b"0000",
    ]
)
NEAR = st.lists(PIECES | st.binary(max_size=3), max_size=12).map(b"".join)


@given(NEAR)
def test_any_octets(line: bytes) -> None:
    line = b"From " + line
    got = parse(line)
    assert (got.epoch if got else None) == fromline.epoch(line)
    if got:
        assert "\n" not in got.sender
        assert "\n" not in got.date
        assert got.epoch > fromline.OLDEST
        assert parse(line.partition(b"\n")[0]) == got  # one line decides


def test_hostile_lines() -> None:
    for line in (b"From " + b" " * 1_000_000, b"From " + b"Tue " * 300_000):
        assert SEPARATOR.match(line) is None
        assert parse(line) is None
