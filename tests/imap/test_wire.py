"""Octets cut into responses, and pieces of messages matched to what was asked."""

import fcntl
import os
import random
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.imap import bodies, idle, line, reader
from mailfs.imap.bodies import BodyRequest, FetchedPiece
from mailfs.imap.changes import Tracker
from mailfs.imap.error import ImapError
from mailfs.imap.folder import Known
from mailfs.imap.grammar.flags import Flags, System
from mailfs.imap.grammar.ranges import Ranges
from mailfs.imap.line import Transport
from mailfs.imap.reader import ImapReader
from mailfs.imap.session import ImapSession
from tests.net.scripted import CAPABILITIES, OPENED, Answer, Scripted, Talk, imap

Start = Callable[..., tuple[ImapSession, Scripted]]


@contextmanager
def fed(octets: bytes, step: int) -> Iterator[ImapReader]:
    """Give a reader whose line brings so many octets at a time, and then ends."""
    ours, theirs = socket.socketpair()

    def feed() -> None:
        # The reader may hang up in the middle.
        with theirs, suppress(OSError):
            for at in range(0, len(octets), step):
                theirs.sendall(octets[at : at + step])

    thread = threading.Thread(target=feed)
    line = Transport(ours, "test/imap", 10)
    thread.start()
    try:
        yield ImapReader(line)
    finally:
        line.close()
        thread.join()


RESPONSES = [
    b"* OK [ALERT] watch this {5}",
    b"m1 NO really {12}",
    b'* 1 FETCH (BODY[] {5}\r\na\r\nb) FLAGS ("x" {2}\r\n))',
    b"* LIST () NIL {0}\r\n",
    b"+ go {3}",
    b"* 2 EXISTS",
    b"* X ~{3+}\r\n\0\0\0 y",
    b"",
]


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 10000])
def test_responses(step: int, end: bytes) -> None:
    with fed(b"".join(r + end for r in RESPONSES), step) as found:
        for want in RESPONSES:
            assert found.response() == want
        with pytest.raises(ConnectionError, match="test/imap: server hung up"):
            found.response()


@given(st.binary(max_size=80), st.integers(1, 9))
def test_garbage_ends(octets: bytes, step: int) -> None:
    with fed(octets, step) as found:
        responses = iter(found.response, None)
        with pytest.raises((OSError, ImapError)):
            assert len(list(responses)) < 0


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"* X {9999999999999}\r\n", "literal too large"),
        (b"x" * 300, "line too long"),
        (b"* X" + b" {99}\r\n" + b"y" * 99 + b" {99}\r\n" + b"z" * 200, "too long"),
    ],
)
def test_bounds(monkeypatch: pytest.MonkeyPatch, octets: bytes, why: str) -> None:
    monkeypatch.setattr(reader, "MAX_LINE", 200)
    monkeypatch.setattr(reader, "MAX_RESPONSE", 200)
    with fed(octets, 50) as found:
        with pytest.raises(ImapError, match=why):
            found.response()
        assert found.line.fileno() < 0


def test_long_literal_is_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_INLINE", 10)
    with fed(b"* X (A ~{11}\r\n0123456789\n B {2}\r\nxy)\r\n* Y\r\n", 5) as found:
        assert found.response() == b'* X (A "" B {2}\r\nxy)'
        assert found.response() == b"* Y"


# Pieces


def row(uid: int, section: str, octets: bytes, *, last: bool = False) -> bytes:
    head = b"" if last else b"UID %d " % uid
    tail = b" UID %d" % uid if last else b""
    size = b"{%d}\r\n%s" % (len(octets), octets)
    return b"* 1 FETCH (%s%s %s%s)\r\n" % (head, section.encode(), size, tail)


TEXT = bytes(range(256)) * 4


@pytest.mark.parametrize("last", [False, True])
def test_pieces_come_in_any_order(play: Start, last: bool) -> None:
    """Nobody's octets are anybody else's, whatever the server interleaves."""
    answers: list[str | bytes] = [
        row(9, "BODY[]", b"nobody asked", last=last),
        row(2, "BODY[]<5>", TEXT[5:15], last=last),
        r"* 7 FETCH (FLAGS (\Seen) UID 2)",
        row(3, "BODY[]", TEXT, last=last),
        row(2, "BODY[]<100>", b"wrong origin", last=last),
        row(1, "BODY[]", TEXT[:7], last=last),
        row(1, "BODY[TEXT]", b"wrong section", last=last),
        "* 4 EXISTS",
    ]
    session, _ = play(
        imap({"UID FETCH 1,3 .*": [], "UID FETCH 2 .*": [*answers, "$ OK"]})
    )
    session.select("INBOX")

    wanted = [BodyRequest(1), BodyRequest(2, 5, 10), BodyRequest(3)]
    fetch = session.fetch(wanted)
    found = [next(fetch) for _ in range(3)]
    assert sorted(found) == [
        FetchedPiece(1, 0, TEXT[:7], True),
        FetchedPiece(2, 5, TEXT[5:15], False),
        FetchedPiece(3, 0, TEXT, True),
    ]
    session.drop()


def test_a_literal_in_one_session_of_pieces(
    play: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long message is streamed; its end is known with its last piece."""
    monkeypatch.setattr(reader, "PIECE", 100)
    monkeypatch.setattr(line, "CHUNK", 90)
    monkeypatch.setattr(bodies, "PIECE", 100)
    for last in (False, True):
        answers: list[str | bytes] = [row(1, "BODY[]", TEXT, last=last), "$ OK"]
        session, _ = play(imap({"UID FETCH .*": answers}))
        session.select("INBOX")
        found = list(session.fetch([BodyRequest(1)]))
        assert b"".join(p.octets for p in found) == TEXT
        assert max(len(p.octets) for p in found) <= 100
        assert [p.whole for p in found] == [False] * (len(found) - 1) + [True]
        at = 0
        for piece in found:
            assert piece.start == at
            at += len(piece.octets)


@pytest.mark.parametrize(
    ("request_", "section", "octets", "pieces"),
    [
        (BodyRequest(1, 0, 5), "BODY[]<0>", b"12345", [(0, b"12345", False)]),
        (BodyRequest(1, 0, 5), "BODY[]<0>", b"123", [(0, b"123", True)]),
        (BodyRequest(1, 0, 5), "BODY[]<0>", b"", [(0, b"", True)]),
        (BodyRequest(1, 0, 5), "BODY[]<0>", b"123456", []),  # more than was asked for
        (BodyRequest(1, 0, 5), "BODY[]", b"123456", [(0, b"123456", True)]),
        (BodyRequest(1, 0, 5), "BODY[]", b"12345", [(0, b"12345", False)]),
        (BodyRequest(1, 5, 5), "BODY[]", b"12345", []),  # of where?
        (BodyRequest(1, 5, None), "BODY[]<5>", b"123", [(5, b"123", True)]),
        (BodyRequest(1), "BODY[]<0>", b"12345", []),
        (BodyRequest(1), "body[]", b"12345", [(0, b"12345", True)]),
    ],
)
def test_where_a_message_ends(
    play: Start,
    request_: BodyRequest,
    section: str,
    octets: bytes,
    pieces: list[tuple[int, bytes, bool]],
) -> None:
    session, _ = play(imap({"UID FETCH .*": [row(1, section, octets), "$ OK"]}))
    session.select("INBOX")
    assert [p[1:] for p in session.fetch([request_])] == pieces


def test_quoted_body(play: Start) -> None:
    answers = [r'* 1 FETCH (UID 1 BODY[] "Subject: \"x\"")', "$ OK"]
    session, _ = play(imap({"UID FETCH .*": answers}))
    session.select("INBOX")
    assert list(session.fetch([BodyRequest(1)])) == [
        FetchedPiece(1, 0, b'Subject: "x"', True)
    ]


def test_given_up_between_answers(play: Start) -> None:
    """What was asked for and not read does not disturb what comes after."""
    rows = [row(uid, "BODY[]", b"x" * uid) for uid in (1, 2, 3)]
    answers: dict[str, Answer] = {"UID FETCH .*": [*rows, "* 4 EXISTS", "$ OK"]}
    session, _ = play(imap(answers))
    session.select("INBOX")
    fetch = session.fetch([BodyRequest(1), BodyRequest(2), BodyRequest(3)])
    assert next(fetch).uid == 1
    fetch.close()  # type: ignore[attr-defined]  # it is a generator
    if session.alive:  # the answer it was in the middle of had been read to its end
        session.noop()
        assert session.changes().grown


def test_heads_given_up(play: Start) -> None:
    def some(talk: Talk, tag: str, words: str) -> None:
        for uid in Ranges.parse(words.split()[2]):
            talk.send(row(uid, "BODY[HEADER]", b"a: %d\r\n\r\n" % uid))
        talk.send(f"{tag} OK")

    session, server = play(imap({"UID FETCH .*": some}))
    session.select("INBOX")
    heads = iter(session.heads(range(1, 1000), structure=False))
    assert next(heads).uid > 800  # the newest come first
    heads.close()  # type: ignore[attr-defined]
    session.noop()
    assert len(server.said("UID FETCH.*")) < 5
    found = list(session.heads(range(1, 1000), structure=False))
    assert sorted(h.uid for h in found) == list(range(1, 1000))
    assert {h.header for h in found} == {b"a: %d\r\n\r\n" % n for n in range(1, 1000)}


# News


class Model:
    """A folder, and a server that tells of it by sequence numbers."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.uids = list(range(1, 30))
        self.flags: dict[int, Flags] = {}
        self.next = 30

    def step(self, tracker: Tracker) -> None:
        choice = self.random.randrange(3)
        if choice == 0:
            self.uids.append(self.next)
            self.next += 1
            tracker.count(len(self.uids))
            tracker.met(len(self.uids), self.uids[-1])
        elif choice == 1 and self.uids:
            at = self.random.randrange(len(self.uids))
            self.flags.pop(self.uids.pop(at), None)
            tracker.expunge(at + 1)
        elif self.uids:
            at = self.random.randrange(len(self.uids))
            flags = Flags(System(self.random.choice([1, 8, 32])))
            self.flags[self.uids[at]] = flags
            uid = self.uids[at] if self.random.random() < 0.5 else None
            if uid is not None:
                tracker.met(at + 1, uid)
            tracker.flag(at + 1, uid, flags, 0)


@pytest.mark.parametrize("seed", range(40))
def test_sequence_numbers_are_followed(seed: int) -> None:
    model, tracker = Model(seed), Tracker()
    tracker.count(29)
    tracker.learn(model.uids)
    tracker.take()
    for _ in range(100):
        model.step(tracker)
    news = tracker.take()
    assert news.exists == len(model.uids)
    assert not news.unsure
    assert set(news.vanished) == set(range(1, model.next)) - set(model.uids)
    assert {f.uid: f.flags for f in news.flagged} == model.flags


def test_news_that_cannot_be_named() -> None:
    tracker = Tracker()
    tracker.count(3)
    tracker.take()
    tracker.expunge(2)  # of which uid?
    assert tracker.take().unsure
    tracker.learn([1, 2])
    tracker.expunge(0)
    assert tracker.take().unsure
    tracker.learn([1, 2, 3])  # more than there are
    assert not tracker.mapped
    tracker.count(0)
    assert tracker.take().unsure
    tracker.count(1)
    tracker.learn([5])
    assert tracker.mapped
    tracker.met(1, 6)
    assert not tracker.mapped
    tracker.count(2)
    tracker.learn([5, 6])
    tracker.count(3)
    tracker.take()
    tracker.expunge(3)  # somebody may have listed it meanwhile
    assert tracker.take().unsure


def test_rows_teach_the_map() -> None:
    tracker = Tracker()
    tracker.count(5)
    tracker.meet([1, 2, 3], [10, 20, 30])
    tracker.meet([4, 5], [40, 50])
    tracker.take()
    tracker.expunge(4)
    assert list(tracker.take().vanished) == [40]
    tracker.meet([5], [60])  # there are only four
    tracker.expunge(4)
    assert list(tracker.take().vanished) == [50]


def test_vanished() -> None:
    tracker = Tracker()
    tracker.count(3)
    tracker.learn([1, 2, 3])
    tracker.take()
    tracker.vanish(Ranges.parse("2"), earlier=False)
    tracker.vanish(Ranges.parse("100"), earlier=True)
    tracker.flag(2, None, Flags(), 0)
    news = tracker.take()
    assert (news.exists, str(news.vanished)) == (2, "2,100")
    assert [f.uid for f in news.flagged] == [3]


@pytest.mark.parametrize("kind", ["EXISTS", "EXPUNGE", "FETCH (FLAGS (\\Seen))", "x"])
def test_numbers_beyond_all_bounds(play: Start, kind: str) -> None:
    session, _ = play(imap({"NOOP": [f"* {'9' * 40} {kind}", "$ OK"]}))
    session.select("INBOX")
    session.columns()
    session.noop()
    assert session.changes().exists <= (1 << 32) - 1


def test_wake(play: Start) -> None:
    session, server = play(imap())
    session.select("INBOX")
    session.changes()
    read, write = os.pipe()
    try:
        os.write(write, b"x")
        assert not session.wait(20, read)
    finally:
        os.close(read)
        os.close(write)
    session.noop()
    assert [w for w in server.said("DONE|IDLE|NOOP|")] == ["IDLE", "", "NOOP"]


def test_news_end_the_wait_and_the_next_command_follows_at_once(play: Start) -> None:
    def idling(talk: Talk, tag: str, words: str) -> None:
        talk.send("+ idling", "* OK still here", "* 4 EXISTS")
        assert talk.line() == "DONE"
        again, _ = talk.command("UID FETCH .*")  # before DONE is answered
        talk.send(f"{tag} OK idled", f"{again} OK fetched")

    session, _ = play(imap({"IDLE": idling}))
    session.select("INBOX")
    session.changes()
    assert session.wait(20)
    assert session.changes().grown
    assert len(session.columns("40:*")) == 0


def test_server_ends_idle_by_itself(play: Start) -> None:
    count = 0

    def idling(talk: Talk, tag: str, words: str) -> None:
        nonlocal count
        count += 1
        talk.send("+ idling")
        if count == 1:
            talk.send(f"{tag} OK enough")
            return
        talk.send("* 4 EXISTS")
        assert talk.line() == "DONE"
        talk.send(f"{tag} OK")

    session, _ = play(imap({"IDLE": idling}))
    session.select("INBOX")
    session.changes()
    assert session.wait(20)
    session.noop()
    assert count == 2


def test_idle_refused(play: Start) -> None:
    session, _ = play(imap({"IDLE": ["$ NO not now"]}))
    session.select("INBOX")
    session.changes()
    with pytest.raises(ImapError, match="not now"):
        session.wait(5)


def test_waiting_without_idle_listens(play: Start) -> None:
    def late(talk: Talk, tag: str, words: str) -> None:
        talk.send(f"{tag} OK done")
        talk.send("* 4 EXISTS")

    session, server = play(
        imap({"NOOP": late}, capabilities="IMAP4rev1 AUTH=PLAIN SASL-IR")
    )
    session.select("INBOX")
    session.changes()
    session.noop()
    assert session.wait(10)
    assert not server.said("IDLE")


def test_uidvalidity_that_changes_under_us(play: Start) -> None:
    session, _ = play(imap({"NOOP": ["* OK [UIDVALIDITY 8] new", "$ OK"]}))
    session.select("INBOX")
    with pytest.raises(ConnectionError, match="uidvalidity changed"):
        session.noop()


def test_news_of_the_folder_before(play: Start) -> None:
    """What comes before CLOSED is the old folder's; RFC 7162 section 3.2.11."""
    again = [
        "* VANISHED 9",
        "* 77 EXISTS",
        "* OK [CLOSED] gone",
        *OPENED[:-1],
        "* OK [HIGHESTMODSEQ 50] h",
        "* VANISHED (EARLIER) 4:5",
        r"* 1 FETCH (UID 1 FLAGS (\Seen) MODSEQ (49))",
        "$ OK [READ-WRITE] Selected",
    ]
    answers: dict[str, Answer] = {
        "ENABLE .*": ["* ENABLED QRESYNC", "$ OK"],
        "SELECT .*QRESYNC.*": again,
    }
    capabilities = f"{CAPABILITIES} CONDSTORE QRESYNC"
    session, server = play(imap(answers, capabilities=capabilities))
    session.select("INBOX")
    found = session.select("other", Known(7, 40, Ranges.parse("1:5")))
    assert server.said("SELECT.*")[1] == "SELECT other (QRESYNC (7 40 1:5))"
    assert found.resynced
    assert (str(found.vanished), found.exists) == ("4:5", 3)
    assert [f.uid for f in found.changed] == [1]
    assert not session.changes()
    for other in (Known(8, 40), Known(7, 0)):
        assert not session.select("other", other).resynced


def test_no_bare_expunge(play: Start) -> None:
    capabilities = "IMAP4rev1 AUTH=PLAIN SASL-IR"
    session, server = play(imap(capabilities=capabilities))
    session.select("INBOX")
    with pytest.raises(ImapError, match="only all deleted messages"):
        session.expunge(Ranges.parse("1"))
    with pytest.raises(ImapError, match="only all deleted messages"):
        session.move(Ranges.parse("1"), "Trash")
    assert not server.said("(UID )?(EXPUNGE|STORE|COPY).*")


def test_move_without_move(play: Start) -> None:
    answers = {
        "UID COPY .*": ["$ OK [COPYUID 9 1:2 11:12] done"],
        "UID EXPUNGE .*": ["* 1 EXPUNGE", "* 1 EXPUNGE", "$ OK"],
    }
    capabilities = "IMAP4rev1 AUTH=PLAIN SASL-IR UIDPLUS"
    session, server = play(imap(answers, capabilities=capabilities))
    session.select("INBOX")
    assert session.move(Ranges.parse("1:2"), "a b") == {1: 11, 2: 12}
    assert server.said("UID.*") == [
        'UID COPY 1:2 "a b"',
        r"UID STORE 1:2 +FLAGS (\Deleted)",
        "UID EXPUNGE 1:2",
    ]


def test_bye_in_the_middle_of_a_literal(play: Start) -> None:
    def half(talk: Talk, tag: str, words: str) -> None:
        talk.send(b"* 1 FETCH (UID 1 BODY[] {100}\r\nhalf of it")
        talk.close()

    session, _ = play(imap({"UID FETCH .*": half}))
    session.select("INBOX")
    with pytest.raises(ConnectionError, match="server hung up"):
        list(session.fetch([BodyRequest(1)]))
    assert not session.alive


def test_append_limit_is_kept(play: Start) -> None:
    capabilities = "IMAP4rev1 AUTH=PLAIN SASL-IR APPENDLIMIT=10"
    session, server = play(imap(capabilities=capabilities))
    with pytest.raises(ImapError, match="over 10 octets"):
        session.append("INBOX", b"Subject: too long\r\n\r\n")
    assert not server.said("APPEND.*")


def test_utf8_accept(play: Start) -> None:
    answers: dict[str, Answer] = {
        "ENABLE .*": ["* ENABLED UTF8=ACCEPT", "$ OK"],
        "LIST .*": [b'* LIST () "/" "Entw\xc3\xbcrfe"\r\n', "$ OK"],
    }
    session, server = play(
        imap(
            answers,
            capabilities="IMAP4rev1 AUTH=PLAIN SASL-IR ENABLE UTF8=ACCEPT LITERAL+",
        )
    )
    assert [f.name for f in session.folders()] == ["Entwürfe"]
    session.create("日本")
    session.append("INBOX", "Subject: ü\r\n\r\n".encode())
    assert "UTF8 (~{" in server.said("APPEND.*")[0]
    assert "日本".encode().decode("latin-1") in server.said("CREATE.*")[0]


@pytest.mark.parametrize("uid", [1, 2])
def test_flags_asked_for_outdate_the_news(play: Start, uid: int) -> None:
    rows = [f"* {n} FETCH (UID {n} FLAGS () RFC822.SIZE 9)" for n in (1, 2, 3)]
    answers: dict[str, Answer] = {
        "NOOP": [rf"* {uid} FETCH (UID {uid} FLAGS (\Seen))", "$ OK"],
        "UID FETCH .*": [*rows, "$ OK"],
    }
    session, _ = play(imap(answers))
    session.select("INBOX")
    session.noop()
    session.columns()
    (news,) = session.changes().flagged
    assert (news.uid, news.flags) == (uid, Flags())


def test_folder_that_keeps_no_modifications_is_not_resynced(play: Start) -> None:
    answers: dict[str, Answer] = {
        "ENABLE .*": ["* ENABLED QRESYNC", "$ OK"],
        "SELECT .*": [*OPENED[:-1], "* OK [NOMODSEQ] none", "$ OK"],
    }
    session, _ = play(imap(answers, capabilities=f"{CAPABILITIES} QRESYNC"))
    found = session.select("INBOX", Known(7, 40, Ranges.parse("1:5")))
    assert (found.modseq, found.resynced) == (None, False)


def test_idle_is_renewed(play: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers end it after half an hour, and a dead line is found out so."""
    monkeypatch.setattr(idle, "RENEW", 0.02)
    session, server = play(imap())
    session.select("INBOX")
    session.changes()
    assert not session.wait(0.3)
    session.noop()
    said = server.said("IDLE|NOOP")
    assert said[:3] == ["IDLE", "NOOP", "IDLE"]


def test_descriptors_beyond_a_thousand(play: Start) -> None:
    session, _ = play(imap())
    session.select("INBOX")
    session.changes()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    read, write = os.pipe()
    high = fcntl.fcntl(read, fcntl.F_DUPFD, 1500)
    try:
        assert not session.wait(0.01, high)
        os.write(write, b"x")
        assert not session.wait(20, high)
    finally:
        for fd in (read, write, high):
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_rows_twice_and_rows_not_asked_for(play: Start) -> None:
    """``9:*`` is answered with the last message even where its uid is below 9."""
    rows = [
        f"* {n} FETCH (UID {uid} FLAGS () RFC822.SIZE {size})"
        for n, uid, size in ((1, 5, 1), (3, 11, 2), (2, 10, 3), (2, 10, 4))
    ]
    session, _ = play(imap({"UID FETCH .*": [*rows, "$ OK"]}))
    session.select("INBOX")
    found = session.columns("9:*")
    assert (list(found.uids), list(found.sizes)) == ([10, 11], [4, 2])
    assert list(session.columns().uids) == [5, 10, 11]


def test_heads_twice_and_heads_not_asked_for(play: Start) -> None:
    answers: list[str | bytes] = [
        row(9, "BODY[HEADER]", b"not: asked\r\n\r\n"),
        row(1, "BODY[HEADER]", b"a: b\r\n\r\n"),
        row(1, "BODY[HEADER]", b"a: c\r\n\r\n"),
        b"* 2 FETCH (BODY[HEADER] {1}\r\nx FLAGS ())\r\n",
        b'* 3 FETCH (FLAGS (\\Seen) UID 3 BODY[HEADER.FIELDS ("A")] "a: \\"d\\"")\r\n',
        b"* 4 FETCH (UID 4 BODY[HEADER] NIL)\r\n",
        "* 5 EXISTS",
        "$ OK",
    ]
    session, _ = play(imap({"UID FETCH .*": answers}))
    session.select("INBOX")
    session.changes()
    found = [(h.uid, h.header) for h in session.heads([1, 2, 3, 4], structure=False)]
    assert found == [(1, b"a: b\r\n\r\n"), (3, b'a: "d"')]
    news = session.changes()
    assert news.grown
    assert [f.uid for f in news.flagged] == [3]
