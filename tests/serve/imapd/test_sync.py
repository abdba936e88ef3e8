"""Clients that come back: CONDSTORE and QRESYNC, RFC 7162; and the odd questions."""

import re
from collections.abc import Iterator

import pytest

from tests.serve.imapd.served import PASSWORD, Line, Served


class Talk(Line):
    """A connection that has logged in."""

    def __init__(self, served: Served, *first: str) -> None:
        super().__init__(served.port)
        self._tags = iter(range(1 << 20))
        self.do(f"login {served.user} {PASSWORD}")
        for command in first:
            self.do(command)

    def do(self, command: str) -> list[str]:
        """Return what is said, the last line without its tag; it must be OK."""
        said = self.say(command)
        assert said[-1].startswith("OK"), said
        return said

    def say(self, command: str) -> list[str]:
        tag = f"t{next(self._tags)}"
        lines = [line.decode() for line in self.ask(f"{tag} {command}".encode())]
        return [line.removeprefix(f"{tag} ").rstrip("\r\n") for line in lines]

    def add(self, count: int, folder: str = "inbox") -> None:
        for _ in range(count):
            self.do(f"append {folder} {{6+}}\r\na: b\r\n")


@pytest.fixture
def one(served: Served) -> Iterator[Talk]:
    with Talk(served) as talk:
        yield talk


@pytest.fixture
def two(served: Served) -> Iterator[Talk]:
    with Talk(served) as talk:
        yield talk


def _value(lines: list[str], name: str) -> int:
    found = re.search(rf"\[?{name} (\d+)", "\n".join(lines))
    assert found is not None, lines
    return int(found[1])


def test_a_client_that_comes_back_is_told_what_changed(one: Talk, two: Talk) -> None:
    one.add(5)
    one.do("enable qresync")
    opened = one.do("select inbox")
    validity, modseq = _value(opened, "UIDVALIDITY"), _value(opened, "HIGHESTMODSEQ")
    one.do("unselect")
    two.do("select inbox")
    two.do("store 2,5 +flags (\\deleted)")
    two.do("expunge")
    two.do("store 1 +flags (\\flagged word)")
    two.add(1)
    told = one.do(f"select inbox (qresync ({validity} {modseq} 1:5))")
    ours = [line for line in told if "VANISHED" in line or "FETCH" in line]
    assert ours[0] == "* VANISHED (EARLIER) 2,5"
    assert [line.split()[1:5] for line in ours[1:]] == [["1", "FETCH", "(UID", "1"]]
    assert "\\Flagged word" in ours[1]
    # Whoever knows nothing is told of no more than ever was.
    one.do("unselect")
    told = one.do(f"select inbox (qresync ({validity} 1 1:4294967295))")
    assert "* VANISHED (EARLIER) 2,5" in told
    # Another validity: all is new anyway.
    one.do("unselect")
    told = one.do(f"select inbox (qresync ({validity + 1} {modseq}))")
    assert not any("VANISHED" in line for line in told)
    assert one.do("uid fetch 1:* (flags) (changedsince 0)")[0].startswith("* 1 FETCH")
    told = one.do(f"uid fetch 1:5 (flags) (changedsince {modseq} vanished)")
    assert told[0] == "* VANISHED (EARLIER) 2,5"


def test_what_goes_is_told_by_uid(one: Talk, two: Talk) -> None:
    one.add(4)
    two.do("enable qresync")
    two.do("select inbox")
    one.do("select inbox")
    one.do("store 2:3 +flags.silent (\\deleted)")
    one.do("expunge")
    told = two.do("noop")
    assert told[0] == "* VANISHED 2:3"


def test_modseqs(one: Talk) -> None:
    assert _value(one.do("select inbox (condstore)"), "HIGHESTMODSEQ") >= 1
    one.add(3)
    one.do("noop")
    before = _value(one.do("status inbox (highestmodseq)"), "HIGHESTMODSEQ")
    one.do("store 1 +flags (a)")
    told = one.do(f"store 1:3 (unchangedsince {before}) +flags.silent (b)")
    assert "[MODIFIED 1]" in told[-1]
    fetched = [line for line in told if " FETCH " in line]
    assert [line.split()[1] for line in fetched] == ["2", "3"]
    assert all("MODSEQ" in line and "FLAGS" not in line for line in fetched)
    found = one.do(f"search modseq {before + 1}")[0]
    assert found.startswith("* SEARCH 1 2 3 (MODSEQ ")
    assert _value(one.do("status inbox (highestmodseq)"), "HIGHESTMODSEQ") > before
    one.do("store 1:3 +flags (\\deleted)")
    one.do("close")
    assert _value(one.do("status inbox (highestmodseq)"), "HIGHESTMODSEQ") > before


ODD = [
    ("uid search uid 7", "* SEARCH"),
    ("uid search 1:* not deleted", "* SEARCH"),
    ("search return () all", '* ESEARCH (TAG "'),
    ("uid fetch 1:* (flags)", "OK"),
    ("fetch 1:* (flags)", "OK"),
    ("uid store 9 +flags (\\seen)", "OK"),
    ("uid move 9 Trash", "OK"),
    ("uid copy 9 Trash", "OK"),
    ("uid expunge 1:*", "OK"),
    ('list "" "*" return (special-use status (unseen))', "* LIST"),
    ('xlist "" "*"', "BAD"),
    ("fetch 1 flags", "BAD"),
    ("copy 1 nosuch", "BAD"),
    ("uid copy 1 nosuch", "NO [TRYCREATE]"),
    ('list "" "' + "*%" * 400 + 'a"', "OK"),
    ("select nosuch", "NO [NONEXISTENT]"),
    ("create Sent", "NO [ALREADYEXISTS]"),
    ("create x (use (\\sent))", "NO [USEATTR]"),
    ("rename Sent Trash", "NO [ALREADYEXISTS]"),
    ("rename Sent Sent/x", "NO"),
]


def test_odd_questions_of_an_empty_mailbox(one: Talk) -> None:
    one.do("select inbox")
    for command, answer in ODD:
        said = [line for line in one.say(command) if "[CLOSED]" not in line]
        assert said[0].startswith(answer), command
        one.say("select inbox")


def test_a_broken_message_ends_no_fetch_of_others(one: Talk) -> None:
    for text in (
        "Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n--",
        "Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n",
        ": \r\n\r\n\r\n",
        "Subject: ok\r\n\r\nx",
    ):
        one.do(f"append inbox {{{len(text)}+}}\r\n{text}")
    one.do("select inbox")
    told = one.do("fetch 1:* (envelope bodystructure)")
    assert [line.split()[1] for line in told[:-1]] == ["1", "2", "3", "4"]


def test_results_are_saved(one: Talk) -> None:
    one.add(4)
    one.do("select inbox")
    assert one.do("search return (save) 2:3")[0].startswith("OK")
    assert one.do("uid fetch $ (flags)")[0].startswith("* 2 FETCH (UID 2")
    one.do("store 2 +flags (\\deleted)")
    one.do("expunge")
    assert one.do("search return (count) $")[0].endswith("COUNT 1")


def test_utf8_names(one: Talk) -> None:
    one.do("enable utf8=accept")
    one.send('c create "Entw\u00fcrfe & mehr"\r\n'.encode())
    assert one.until(b"c")[-1].startswith(b"c OK")
    lines = one.do('list "" "E*"')
    assert '"Entw\u00fcrfe & mehr"' in lines[0]


def test_rev2(one: Talk) -> None:
    one.add(2)
    one.do("enable imap4rev2")
    told = one.do("select inbox")
    assert not any("RECENT" in line or "UNSEEN" in line for line in told)
    assert '* LIST () "/" INBOX' in told
    assert one.do("search all")[0].startswith('* ESEARCH (TAG "')
    assert "RECENT" not in one.do("status inbox (messages deleted size)")[0]


def test_pipelined_commands_are_answered_in_order(one: Talk) -> None:
    one.add(2)
    one.send(b"a select inbox\r\nb fetch 1 flags\r\nc idle\r\ndone\r\nd noop\r\n")
    said = [line.split()[0] for line in one.until(b"d")]
    assert [tag for tag in said if tag in (b"a", b"b", b"c", b"d")] == [
        b"a",
        b"b",
        b"c",
        b"d",
    ]


def test_a_folder_that_goes_ends_its_sessions(one: Talk, two: Talk) -> None:
    one.do("create work")
    two.do("select work")
    one.do("delete work")
    assert any(line.startswith("* BYE") for line in two.say("noop"))
