"""Grammar that servers really send, and answers without end."""

import time
from collections.abc import Callable

import pytest

from mailfs.imap.changes import Tracker
from mailfs.imap.error import ImapError
from mailfs.imap.grammar.flags import Flags, System
from mailfs.imap.grammar.ranges import Ranges
from tests.imap.test_wire import Start
from tests.net.scripted import OPENED, Talk, imap

ROW = '(UID {} FLAGS () INTERNALDATE "01-Jan-2020 00:00:00 +0000" RFC822.SIZE {})'


def row(n: int, uid: object, size: object = 5) -> str:
    return f"* {n} FETCH " + ROW.format(uid, size)


def test_blanks_where_one_belongs(play: Start) -> None:
    opened = ("*  3 EXISTS", "*   0   RECENT", "*  OK  [UIDVALIDITY 7]", "$  OK fine")
    rows = [f"*  {n}  FETCH {ROW.format(n, 5)}" for n in (1, 2, 3)]
    session, _ = play(imap({"SELECT .*": opened, "UID FETCH .*": [*rows, "$ OK done"]}))
    selected = session.select("INBOX")
    assert (selected.exists, selected.uidvalidity) == (3, 7)
    assert list(session.columns("1:*").uids) == [1, 2, 3]


def test_rows_that_name_no_message(play: Start) -> None:
    """What can be had is listed, the rest is named; a size is no condition."""
    lines = [row(1, 11), row(2, 4294967299), row(3, 12, "NIL"), row(4, 13, -4)]
    session, _ = play(
        imap({"UID FETCH .*": [*lines, row(5, 0), row(6, 14), "$ OK done"]})
    )
    session.select("INBOX")
    found = session.columns("1:*")
    assert list(found.uids) == [11, 12, 13, 14]
    assert list(found.sizes) == [5, 0, 0, 5]
    assert sorted(session.rejected) == [2, 5]


@pytest.mark.parametrize("refusal", ["$ BAD Invalid messageset", "$ NO no messages"])
@pytest.mark.parametrize("told", [("* 0 EXISTS",), ()])
def test_a_set_refused_in_an_empty_folder(
    play: Start, refusal: str, told: tuple[str, ...]
) -> None:
    answers = {
        "SELECT .*": (*told, "* OK [UIDVALIDITY 7]", "$ OK done"),
        "UID (FETCH|SEARCH) .*": [refusal],
    }
    session, _ = play(imap(answers))
    session.select("INBOX")
    assert len(session.columns("1:*")) == 0
    assert not session.uids()


NAMES = [
    (
        '* LIST (\\HasNoChildren) "\\\\" Folder\\Sub 1',
        "Folder\\Sub 1",
        b"Folder\\Sub 1",
    ),
    (
        '* LIST () "/" INBOX/Da\tOggetto\t',
        "INBOX/Da\tOggetto\t",
        b"INBOX/Da\tOggetto\t",
    ),
    ('* LIST () "/" "R&D"', "R&D", b"R&D"),
    ("* LIST () NIL A (old) one", "A (old) one", b"A (old) one"),
    ('* LIST () "/" a b (CHILDINFO ("SUBSCRIBED"))', "a b", b"a b"),
    ('* LIST () "\\\\" "Top\\Sub"', "Top\\Sub", b"Top\\Sub"),
    ('* LIST () "/" NIL', "NIL", b"NIL"),
    ('* LIST () "/" "äpfel"', "äpfel", "äpfel".encode()),
    (b'* LIST () "/" "\xe4pfel"\r\n', "\udce4pfel", b"\xe4pfel"),
]


@pytest.mark.parametrize(("line", "name", "octets"), NAMES)
def test_names_go_back_as_they_came(
    play: Start, line: str | bytes, name: str, octets: bytes
) -> None:
    """SELECT sends the octets of LIST, and of a folder asked for without LIST too."""
    there = octets.decode("latin-1")

    def select(talk: Talk, tag: str, words: str) -> None:
        sent = words.partition(" ")[2].partition("\r\n")[2] or words.partition(" ")[2]
        sent = sent.removesuffix(" (CONDSTORE)")
        if sent[:1] == '"':
            sent = sent[1:-1].replace("\\\\", "\\")
        talk.answer(tag, OPENED if sent == there else ["$ NO no such folder"])

    server = imap({"LIST .*": [line, "$ OK done"], "SELECT .*": select})
    session, _ = play(server)
    assert [info.name for info in session.folders()] == [name]
    session.select(name)
    other, _ = play(server)
    other.select(name)


def test_two_folders_of_one_name(play: Start) -> None:
    session, server = play(
        imap({"LIST .*": ['* LIST () "/" "R&D"', '* LIST () "/" "R&-D"', "$ OK done"]})
    )
    assert {i.name: i.raw for i in session.folders()} == {
        "R&D": b"R&-D",
        "R&D (2)": b"R&D",
    }
    session.select("R&D (2)")
    session.select("R&D")
    assert server.said("SELECT .*") == ["SELECT R&D", "SELECT R&-D"]


def test_a_line_end_in_a_quoted_string(play: Start) -> None:
    """The one message is missed, the others are not, and the session goes on."""
    whole = '* 9 FETCH (UID 9 BODYSTRUCTURE ("text" "plain" NIL NIL NIL "7bit" 1 1) '
    cut = '* 8 FETCH (UID 8 BODYSTRUCTURE ("text" "plain" ("name" "a'
    rest = ' b") NIL NIL "7bit" 1 1) BODY[HEADER] {8}'
    session, _ = play(
        imap(
            {
                "UID FETCH .*": [
                    cut,
                    rest,
                    b"A: 1\r\n\r\n)\r\n",
                    whole + "BODY[HEADER] {8}",
                    b"A: 2\r\n\r\n)\r\n",
                    "$ OK done",
                ]
            }
        )
    )
    session.select("INBOX")
    assert [head.uid for head in session.heads(Ranges([(8, 9)]))] == [9]
    session.noop()


def test_flags_of_others_while_storing_are_news(play: Start) -> None:
    told = [
        "* 1 FETCH (UID 1 FLAGS (\\Seen))",
        "* 2 FETCH (UID 2 FLAGS (\\Flagged))",
        "* 1 FETCH (FLAGS (\\Seen \\Answered))",
        "$ OK done",
    ]
    rows = [row(n, n) for n in (1, 2, 3)]
    session, _ = play(
        imap({"UID STORE .*": told, "UID FETCH .*": [*rows, "$ OK done"]})
    )
    session.select("INBOX")
    session.columns("1:*")
    stored = session.store(Ranges([(1, 1)]), "+", Flags(System.SEEN))
    assert [one.uid for one in stored.flagged] == [1]
    news = {one.uid: one.flags.system for one in session.changes().flagged}
    assert news == {2: System.FLAGGED, 1: System.SEEN | System.ANSWERED}


def test_sets_larger_than_any_folder() -> None:
    tracker = Tracker()
    tracker.count(4294967295)
    tracker.learn(Ranges([(1, 4294967295)]))
    tracker.vanish(Ranges([(1, 4294967295)]), earlier=False)
    assert tracker.exists == 0


def endless(*lines: str | bytes) -> Callable[[Talk, str, str], None]:
    block = b"".join(x if isinstance(x, bytes) else x.encode() + b"\r\n" for x in lines)
    block *= max(1, (1 << 16) // len(block))

    def answer(talk: Talk, tag: str, words: str) -> None:
        while True:
            talk.sock.sendall(block)

    return answer


ENDLESS = [
    endless('* LIST () "/" folder'),
    endless(b"* LIST () NIL " + b"x" * 1000),
    endless("* OK still here"),
    endless("* 4294967295 EXISTS"),
    endless("* VANISHED 1:4294967295"),
    endless("* 1 FETCH (FLAGS (\\Seen))"),
    endless(b"* LIST () NIL {1000000}\r\n" + b"x" * 1_000_000),
    endless(b"garbage "),
]


@pytest.mark.parametrize("flood", range(len(ENDLESS)))
def test_an_answer_without_end(play: Start, flood: int) -> None:
    session, _ = play(imap({"LIST .*": ENDLESS[flood]}))
    session.wire.unasked = 20_000
    with pytest.raises((OSError, ImapError), match=r"too long|protocol error"):
        session.folders()
    assert not session.alive


def test_a_literal_without_end(play: Start) -> None:
    session, _ = play(
        imap({"LIST .*": [b'* LIST () "/" {1099511627776}\r\n', "$ OK done"]})
    )
    with pytest.raises(ImapError, match="literal too large"):
        session.folders()


@pytest.mark.parametrize(("octets", "pause"), [(b"a", 0.05), (b"* OK on\r\n", 0.03)])
def test_an_answer_that_drips(play: Start, octets: bytes, pause: float) -> None:
    """No silence is long, and the whole ends all the same."""

    def drip(talk: Talk, tag: str, words: str) -> None:
        talk.send(b"* ")
        while True:
            talk.sock.sendall(octets)
            time.sleep(pause)

    session, _ = play(imap({"NOOP": drip}), timeout=0.3)
    session.wire.line.limit(total=1.0)
    with pytest.raises(OSError, match="too slowly"):
        session.noop()
    assert not session.alive


@pytest.mark.parametrize("able", ["MOVE UIDPLUS", "UIDPLUS"])
def test_flags_of_others_while_moving_are_news(play: Start, able: str) -> None:
    """With and without a uid, before and after messages go, told whenever it may be."""
    news = [
        "* 2 FETCH (UID 2 FLAGS (\\Flagged))",
        "* OK [COPYUID 9 1 31] moved",
        "* 1 EXPUNGE",
        "* 2 FETCH (FLAGS (\\Seen \\Answered))",
        "$ OK done",
    ]
    deleted = [
        "* 1 FETCH (UID 1 FLAGS (\\Deleted))",
        "* 3 FETCH (FLAGS (\\Draft))",
        "$ OK",
    ]
    rows = [row(n, n) for n in (1, 2, 3)]
    answers = {
        "UID MOVE .*": news,
        "UID COPY .*": ["* OK [COPYUID 9 1 31] copied", "$ OK done"],
        "UID STORE .*": deleted,
        "UID EXPUNGE .*": [news[0], *news[2:]],
        "UID FETCH .*": [*rows, "$ OK done"],
    }
    session, _ = play(imap(answers, capabilities=f"IMAP4rev1 AUTH=PLAIN ENABLE {able}"))
    session.select("INBOX")
    session.columns("1:*")
    session.changes()
    assert session.move(Ranges([(1, 1)]), "Trash") == {1: 31}
    changes = session.changes()
    told = {one.uid: one.flags.system for one in changes.flagged}
    assert told == {2: System.FLAGGED, 3: System.SEEN | System.ANSWERED}
    assert (list(changes.vanished), changes.unsure) == ([1], False)


class Long:
    """Octets that are nowhere, read in pieces; cut short if need be."""

    def __init__(self, size: int, end: int | None = None) -> None:
        self._size, self._end = size, size if end is None else end
        self.most = 0  # octets read at a time

    def __len__(self) -> int:
        return self._size

    def read(self, start: int, end: int) -> bytes:
        self.most = max(self.most, end - start)
        return b"x" * max(0, min(end, self._end) - start)


@pytest.mark.parametrize("literal", ["LITERAL+", ""])
def test_a_long_message_is_added_in_pieces(play: Start, literal: str) -> None:
    """The server is asked whether it will have it, before it is sent."""
    size = 5 << 20
    caps = f"IMAP4rev1 AUTH=PLAIN {literal}"
    session, server = play(imap(capabilities=caps))
    octets = Long(size)
    session.append("INBOX", octets)
    assert octets.most <= 1 << 20
    (sent,) = server.said("APPEND .*")
    assert sent.startswith(f"APPEND INBOX {{{size}}}\r\n")
    assert len(sent) == size + len(f"APPEND INBOX {{{size}}}\r\n")
    session.noop()


def test_a_message_that_ends_early_is_not_added(play: Start) -> None:
    session, server = play(imap())
    with pytest.raises(OSError, match="ended early"):
        session.append("INBOX", Long(3 << 20, 2 << 20))
    assert not session.alive
    assert server.said("APPEND .*") == []


def test_a_long_message_that_the_server_will_not_have(play: Start) -> None:
    session, _ = play(imap({"APPEND .*": ["$ NO [OVERQUOTA] full"]}))
    with pytest.raises(ImapError, match="full"):
        session.append("INBOX", Long(2 << 20))
    session.noop()
