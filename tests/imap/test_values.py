"""Dates, flags, accounts, COPYUID, SEARCH, LIST, ID: small grammars."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imapclient.datetime_util import parse_to_datetime

from mailfs.imap import folders, ident
from mailfs.imap.account import Account, BadSpec
from mailfs.imap.account import parse as spec
from mailfs.imap.changes import FolderStatus
from mailfs.imap.error import ImapError, refusal, shown
from mailfs.imap.grammar import date, flags, search
from mailfs.imap.grammar.flags import Flags, System
from mailfs.imap.grammar.ranges import Ranges
from mailfs.imap.transfer import append_limit, copied, header
from mailfs.imap.wire import Status, status

DATES = [
    (b"17-Jul-1996 02:44:25 -0700", 837596665),
    (b" 1-Jan-1970 00:00:00 +0000", 0),
    (b"1-Jan-1970 00:00:10 +0000", 10),
    (b"01-Mar-2000 12:00:00 +0530", 951892200),
    (b"29-FEB-2024 23:59:60 +0000", 1709251200),
]


@pytest.mark.parametrize(("text", "seconds"), DATES)
def test_date(text: bytes, seconds: int) -> None:
    assert date.parse(text) == seconds
    assert date.parse(date.show(seconds).encode()) == seconds


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"31-Feb-2024 00:00:00 +0000",
        b"00-Jan-2024 00:00:00 +0000",
        b"01-Foo-2024 00:00:00 +0000",
        b"01-Jan-2024 00:00 +0000",
        b"01-Jan-2024 00:00:00 GMT",
        b"01-Jan-2024 0x:00:00 +0000",
        b"01-Jan-0000 00:00:00 +0000x",
    ],
)
def test_no_date(text: bytes) -> None:
    assert date.parse(text) == 0


@given(st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2199, 1, 1)))  # noqa: DTZ001
def test_date_as_imapclient_reads_it(when: datetime.datetime) -> None:
    text = when.strftime("%d-%b-%Y %H:%M:%S +0230").encode()
    there = parse_to_datetime(text, normalise=False)
    assert date.parse(text) == int(there.timestamp())


@given(st.binary(max_size=30))
def test_date_garbage(text: bytes) -> None:
    date.parse(text)


def test_flags() -> None:
    names = [b"\\Seen", b"\\ANSWERED", b"$Forwarded", b"\\*", b"\\Odd", b"x" * 300]
    found = flags.parse(names)
    assert found == Flags(System.SEEN | System.ANSWERED, ("$Forwarded",))
    assert found.words() == ["\\Answered", "\\Seen", "$Forwarded"]
    assert Flags(System.RECENT).words() == []


@pytest.mark.parametrize(
    "word", ["", "a b", "a)", "\\Seen", "é", 'a"', "a\r\nb", "x" * 256]
)
def test_keywords_that_no_command_may_carry(word: str) -> None:
    assert not flags.keyword(word)
    with pytest.raises(ValueError, match="not a keyword"):
        Flags(keywords=(word,)).words()


@pytest.mark.parametrize(
    ("path", "account", "folder"),
    [
        ("/imaps/host", Account("host", "imaps"), "INBOX"),
        ("/imap/host/ann", Account("host", "imap", user="ann"), "INBOX"),
        ("/imap/host/ann/inbox", Account("host", "imap", user="ann"), "INBOX"),
        ("/imaps/h/u/Work/2024", Account("h", "imaps", user="u"), "Work/2024"),
        ("/imaps/h//Work", Account("h", "imaps"), "Work"),
        ("/imaps/h/u/*", Account("h", "imaps", user="u"), "*"),
        ("/imaptls/net!h!1143/u", Account("h", "imaptls", 1143, "u"), "INBOX"),
        ("/imaps/tcp!h/a@b", Account("h", "imaps", user="a@b"), "INBOX"),
        ("/imap/net!h!imap/a", Account("h", "imap", user="a"), "INBOX"),
    ],
)
def test_spec(path: str, account: Account, folder: str) -> None:
    assert spec(path) == (account, folder)


@pytest.mark.parametrize(
    "path", ["/pop/h", "imap/h", "/var/mail/x", "", "/", "/imapx/h"]
)
def test_spec_of_another_kind(path: str) -> None:
    assert spec(path) is None


@pytest.mark.parametrize(
    "path", ["/imap", "/imap/", "/imaps//u", "/imap/udp!h!1", "/imap/net!h!x"]
)
def test_bad_spec(path: str) -> None:
    with pytest.raises(BadSpec):
        spec(path)


@pytest.mark.parametrize(
    ("args", "found"),
    [
        (b"7 1:3 11:13", {1: 11, 2: 12, 3: 13}),
        (b"7 3,1 9,4", {1: 4, 3: 9}),
        (b"7 1 2:3", {}),
        (b"7 1", {}),
        (b"7 * 1", {}),
        (b"7 1:4294967295 1:4294967295", {}),
        (b"", {}),
    ],
)
def test_copied(args: bytes, found: dict[int, int]) -> None:
    assert copied(args) == found


@pytest.mark.parametrize(
    ("raws", "found"),
    [
        ([], None),
        ([b"* SEARCH"], ""),
        ([b"* SEARCH 3 1 2"], "1:3"),
        ([b"* SEARCH 1", b"* SEARCH 9 0 x 4294967296"], "1,9"),
        ([b"* SEARCH 5 (MODSEQ 9)"], "5"),
        ([b'* ESEARCH (TAG "m1") UID ALL 1:3,7'], "1:3,7"),
        ([b'* ESEARCH (TAG "m1") UID MIN 1 ALL 4:2 MODSEQ 9'], "2:4"),
        ([b'* ESEARCH (TAG "m1") UID'], ""),
        ([b"* ESEARCH UID ALL 1:3,0"], None),
    ],
)
def test_search(raws: list[bytes], found: str | None) -> None:
    assert search.read(raws) == (None if found is None else Ranges.parse(found))


@pytest.mark.parametrize(
    ("raw", "name", "delimiter", "special"),
    [
        (rb'* LIST (\HasNoChildren) "/" INBOX', "INBOX", "/", ""),
        (rb'* LIST (\Trash) "." "Deleted Items"', "Deleted Items", ".", "trash"),
        (rb"* LIST () NIL 2024", "2024", "", ""),
        (rb"* LIST () NIL NIL", "NIL", "", ""),
        (b'* LIST () "/" {3}\r\na"b', 'a"b', "/", ""),
        (rb'* LIST (\AllMail) "/" x', "x", "/", "all"),
        (b'* LIST () "/" "Entw&APw-rfe"', "Entwürfe", "/", ""),
        (b'* LIST () "\\\\" "a"', "a", "\\", ""),
        (b'* LIST () "/" a ("CHILDINFO" ("SUBSCRIBED"))', "a", "/", ""),
    ],
)
def test_list(raw: bytes, name: str, delimiter: str, special: str) -> None:
    found = folders.read_list(raw, utf8=False)
    assert found is not None
    assert (found.name, found.delimiter, found.special) == (name, delimiter, special)


@pytest.mark.parametrize(
    "raw",
    [b"* LIST", b"* LIST x", b"* LIST () (", b"* LIST () () a", b'* LIST () "/" ""'],
)
def test_no_list(raw: bytes) -> None:
    assert folders.read_list(raw, utf8=False) is None


def test_listing_joins_status_and_keeps_odd_names() -> None:
    raws = [
        b'* LIST () "/" "a & b"',
        b'* STATUS "a & b" (MESSAGES 3 UNSEEN x UIDNEXT 99999999999)',
        b'* LIST () "/" "a & b"',
        b"* STATUS nowhere (MESSAGES 1)",
        b"* STATUS x",
        b"* STATUS (",
    ]
    (found,) = folders.listing(raws, utf8=False)
    assert found.status == FolderStatus(messages=3)
    assert folders.odd([found], utf8=False) == {"a & b": b"a & b"}


def test_special_by_name() -> None:
    raws = [b'* LIST () "/" "INBOX/Deleted Items"', b'* LIST (\\Sent) "/" Trash']
    found = folders.listing(raws, utf8=False)
    trash = folders.special(found, "trash")
    assert trash is not None
    assert trash.name == "INBOX/Deleted Items"
    sent = folders.special(found, "sent")
    assert sent is not None
    assert sent.name == "Trash"
    assert folders.special(found, "junk") is None


def test_ident() -> None:
    raw = b'* ID ("Name" "Cyrus IMAP" "vendor" NIL "x" "y")'
    assert ident.read(raw) == {"name": "Cyrus IMAP", "x": "y"}
    assert ident.words(ident.read(raw)) == "Cyrus IMAP"
    many = b" ".join(b'"%d" "x"' % n for n in range(99))
    assert len(ident.read(b"* ID (" + many + b")")) == 30
    assert ident.read(b"* ID (") == {}


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"* OK hello", Status("OK", text="hello")),
        (b"m1 NO [TRYCREATE] no", Status("NO", "TRYCREATE", text="no")),
        (b"* OK [HIGHESTMODSEQ 5]", Status("OK", "HIGHESTMODSEQ", b"5")),
        (b"* ok [x]", Status("OK", "X")),
        (b"* BYE", Status("BYE")),
        (b"* OK [ALERT] a [b] {5}", Status("OK", "ALERT", text="a [b] {5}")),
        (b"* OK [X a b", Status("OK", text="[X a b")),
        (b"* OKAY", None),
        (b"* 1 EXISTS", None),
        (b"", None),
    ],
)
def test_status(raw: bytes, found: Status | None) -> None:
    assert status(raw) == found


def test_refusals() -> None:
    assert refusal("s", "NO", "NONEXISTENT", "gone").permanent
    assert not refusal("s", "NO", "INUSE", "busy").permanent
    slow = refusal("s", "BAD", "", "Suggested Backoff Time: 1500 milliseconds")
    assert (slow.permanent, slow.backoff) == (False, 1.5)
    assert str(refusal("s", "NO", "", "")) == "s: no"
    assert isinstance(slow, ImapError)
    assert shown(b"a\r\n\x1b[31m\xff" + b"b" * 999).isprintable()
    assert len(shown("x" * 999)) < 310


def test_append_limit() -> None:
    assert append_limit(frozenset({"APPENDLIMIT=35651584"})) == 35651584
    assert append_limit(frozenset({"APPENDLIMIT", "APPENDLIMIT=x"})) is None
    assert header(b"a: b\r\n\r\nc") == b"a: b"
    assert header(b"a: b\r\n") == b"a: b\r\n"
