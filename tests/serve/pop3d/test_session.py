"""POP3's dialogue, and texts as they are sent."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.serve.pop3d.session import (
    MAX_ERRORS,
    MAX_LINE,
    Cancelled,
    Login,
    Maildrop,
    Question,
    Response,
    Retrieve,
    Session,
    StartTls,
    Update,
)
from mailfs.serve.pop3d.text import Outgoing

DROP = Maildrop((120, 200, 30), ("v.1", "v.2", "v.7"))
TEXTS = (b"a: b\r\n\r\n.one\r\ntwo\r\n", b"c: d\r\n\r\n", b"no header end")


def say(
    session: Session, octets: bytes, *, at_once: bool = True
) -> tuple[bytes, list[Question]]:
    """Feed a session; answer each of its questions by success."""
    out, asked = [], []
    for piece in [octets] if at_once else [bytes([c]) for c in octets]:
        session.feed(piece)
        while (question := session.next()) is not None or session.pending:
            if question is not None:
                asked.append(question)
                answer(session, question)
            out.append(session.take())
        out.append(session.take())
    return b"".join(out), asked


def answer(session: Session, question: Question) -> None:
    match question:
        case Retrieve(row):
            session.begin()
            text = TEXTS[row]
            for at in range(0, len(text), 3):
                if not session.piece(text[at : at + 3]):
                    break
            session.done()
        case Login(_, None):
            session.challenge(b"who?")
        case Login() | Response():
            session.logged_in(DROP)
        case StartTls():
            session.grant("begin")
            session.secured()
        case Update():
            session.grant("done")
        case Cancelled():
            pass


def fresh(*, login: bool = True) -> Session:
    session = Session(tls=True, mechanisms=("PLAIN",), secret=("PLAIN", "LOGIN"))
    if login:
        say(session, b"USER glenda\r\nPASS x\r\n")
    return session


DIALOGUES = [
    (b"STAT\r\n", b"+OK 3 350\r\n"),
    (b"stat\r\n", b"+OK 3 350\r\n"),
    (b"STAT\n", b"+OK 3 350\r\n"),
    (b"LIST\r\n", b"+OK 3 messages\r\n1 120\r\n2 200\r\n3 30\r\n.\r\n"),
    (b"LIST 2\r\n", b"+OK 2 200\r\n"),
    (b"LIST 0\r\n", b"-ERR no such message\r\n"),
    (b"LIST 4\r\n", b"-ERR no such message\r\n"),
    (b"LIST -1\r\n", b"-ERR want a number\r\n"),
    (b"LIST 99999999999\r\n", b"-ERR want a number\r\n"),
    (b"LIST \xb2\r\n", b"-ERR want a number\r\n"),
    (b"UIDL\r\n", b"+OK 3 messages\r\n1 v.1\r\n2 v.2\r\n3 v.7\r\n.\r\n"),
    (b"UIDL 3\r\n", b"+OK 3 v.7\r\n"),
    (
        b"RETR 1\r\n",
        b"+OK 120 octets\r\na: b\r\n\r\n..one\r\ntwo\r\n.\r\n",
    ),
    (b"RETR 3\r\n", b"+OK 30 octets\r\nno header end\r\n.\r\n"),
    (b"TOP 1 0\r\n", b"+OK\r\na: b\r\n\r\n.\r\n"),
    (b"TOP 1 1\r\n", b"+OK\r\na: b\r\n\r\n..one\r\n.\r\n"),
    (b"TOP 1 9\r\n", b"+OK\r\na: b\r\n\r\n..one\r\ntwo\r\n.\r\n"),
    (b"TOP 2 5\r\n", b"+OK\r\nc: d\r\n\r\n.\r\n"),
    (b"TOP 1\r\n", b"-ERR want a number\r\n"),
    (
        b"DELE 2\r\nSTAT\r\nLIST\r\nRETR 2\r\nDELE 2\r\n",
        b"+OK message 2 deleted at QUIT\r\n+OK 2 150\r\n"
        b"+OK 2 messages\r\n1 120\r\n3 30\r\n.\r\n"
        b"-ERR no such message\r\n-ERR no such message\r\n",
    ),
    (
        b"DELE 2\r\nRSET\r\nSTAT\r\n",
        b"+OK message 2 deleted at QUIT\r\n+OK 3 messages\r\n+OK 3 350\r\n",
    ),
    (b"NOOP\r\n", b"+OK\r\n"),
    (b"USER x\r\n", b"-ERR not after the login\r\n"),
    (b"XYZZY\r\n", b"-ERR unknown command\r\n"),
    (b"\r\n", b"-ERR unknown command\r\n"),
    (b"QUIT\r\n", b"+OK\r\n"),
]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(("said", "heard"), DIALOGUES)
def test_a_dialogue(said: bytes, heard: bytes, *, at_once: bool) -> None:
    assert say(fresh(), said, at_once=at_once)[0] == heard


def test_what_is_offered() -> None:
    session = fresh(login=False)
    before, _ = say(session, b"CAPA\r\n")
    assert b"\r\nSTLS\r\n" in before
    assert b"\r\nSASL PLAIN\r\n" in before
    assert b"\r\nUSER\r\n" in before
    say(session, b"STLS\r\n")
    secure, _ = say(session, b"CAPA\r\n")
    assert b"STLS" not in secure
    assert b"\r\nSASL PLAIN LOGIN\r\n" in secure
    after, _ = say(fresh(), b"CAPA\r\n")
    assert b"SASL" not in after
    for capability in (b"TOP", b"UIDL", b"PIPELINING", b"RESP-CODES", b"EXPIRE NEVER"):
        assert b"\r\n" + capability + b"\r\n" in after


def test_no_password_goes_where_it_may_not() -> None:
    session = Session(tls=True, secret=("PLAIN",))
    heard, asked = say(session, b"USER glenda\r\nPASS x\r\nAUTH PLAIN\r\n")
    assert heard.count(b"-ERR not without TLS: STLS first\r\n") == 3
    assert not asked
    assert b"USER" not in say(session, b"CAPA\r\n")[0]


def test_user_and_pass_are_plain() -> None:
    session = fresh(login=False)
    heard, asked = say(session, b"USER gl enda\r\nPASS a b \xc3\xa4\r\n")
    assert asked == [Login("PLAIN", b"\0gl enda\0a b \xc3\xa4")]
    assert heard == b"+OK\r\n+OK 3 messages (350 octets)\r\n"


@pytest.mark.parametrize(
    "said", [b"PASS x\r\n", b"USER\r\n", b"USER a\0b\r\nPASS x\r\n", b"STAT\r\n"]
)
def test_a_login_that_cannot_be_meant(said: bytes) -> None:
    heard, asked = say(fresh(login=False), said)
    assert heard.rsplit(b"\r\n", 2)[-2].startswith(b"-ERR")
    assert not asked


def test_a_name_from_before_tls_is_forgotten() -> None:
    session = fresh(login=False)
    heard, asked = say(session, b"USER glenda\r\nSTLS\r\n")
    assert asked == [StartTls()]
    heard, asked = say(session, b"PASS x\r\n")
    assert heard == b"-ERR USER first\r\n"


def test_commands_behind_stls_end_the_session() -> None:
    session = fresh(login=False)
    heard, asked = say(session, b"STLS\r\nUSER glenda\r\n")
    assert heard == b"-ERR commands came behind STLS\r\n"
    assert session.closed
    assert not asked


def test_auth() -> None:
    session = fresh(login=False)
    heard, asked = say(session, b"AUTH\r\nAUTH PLAIN\r\n")
    assert heard == b"+OK\r\nPLAIN\r\n.\r\n+ d2hvPw==\r\n"
    heard, asked = say(session, b"*\r\n")
    assert (heard, asked) == (b"-ERR login cancelled\r\n", [Cancelled()])
    say(session, b"AUTH PLAIN\r\n")
    heard, asked = say(session, b"$$\r\n")
    assert (heard, asked) == (b"-ERR cannot decode base64\r\n", [Cancelled()])
    heard, asked = say(session, b"AUTH plain =\r\n")
    assert asked == [Login("PLAIN", b"")]
    session = fresh(login=False)
    heard, asked = say(session, b"AUTH PLAIN\r\nAGEAYg==\r\nSTAT\r\n")
    assert asked == [Login("PLAIN", None), Response(b"\0a\0b")]
    assert heard.endswith(b"+OK 3 350\r\n")


def test_a_refused_login_says_why_and_another_may_follow() -> None:
    session = fresh(login=False)
    session.feed(b"USER a\r\nPASS b\r\n")
    assert isinstance(session.next(), Login)
    session.refuse("Authentication failed", "AUTH")
    assert session.take() == b"+OK\r\n-ERR [AUTH] Authentication failed\r\n"
    assert say(session, b"USER a\r\nPASS b\r\n")[1]


def test_quit_deletes_what_was_named() -> None:
    session = fresh()
    heard, asked = say(session, b"DELE 3\r\nDELE 1\r\nQUIT\r\nSTAT\r\n")
    assert asked == [Update([0, 2])]
    assert heard.endswith(b"+OK done\r\n")
    assert session.closed


def test_a_line_without_end_is_refused() -> None:
    session = fresh()
    assert say(session, b"x" * MAX_LINE)[0] == b"-ERR line too long\r\n"
    assert session.closed
    session = fresh()
    heard, asked = say(session, b"RETR 1" + b" " * MAX_LINE + b"\r\nDELE 1\r\n")
    assert (heard, asked) == (b"-ERR line too long\r\n", [])


def test_errors_are_counted() -> None:
    session = fresh()
    heard, _ = say(session, b"XYZZY\r\n" * (MAX_ERRORS + 3))
    assert heard.count(b"-ERR") == MAX_ERRORS
    assert session.closed


def test_replies_are_sent_before_more_commands_are_done() -> None:
    session = Session(mechanisms=("PLAIN",))
    say(session, b"USER glenda\r\n")
    session.feed(b"PASS x\r\n")
    assert isinstance(session.next(), Login)
    many = range(40_000)
    session.logged_in(Maildrop(list(many), list(map(str, many))))
    session.feed(b"LIST\r\n" * 20)
    sent = 0
    while session.pending:
        assert session.next() is None
        octets = session.take()
        assert len(octets) < 2 << 20
        sent += octets.count(b"+OK")
    assert sent == 21


@given(st.lists(st.binary(max_size=40), max_size=30))
def test_junk_is_answered_and_changes_nothing(lines: list[bytes]) -> None:
    session = Session(mechanisms=("PLAIN",), errors=1000)
    octets = b"".join(line.replace(b"\n", b"") + b"\r\n" for line in lines)
    heard, asked = say(session, octets)
    assert len(heard.split(b"\r\n")) > len(lines) or session.closed
    assert all(isinstance(q, Login | Response | Cancelled) for q in asked)


def _cut(text: bytes, cuts: list[int]) -> Iterator[bytes]:
    at = 0
    for cut in sorted({min(cut, len(text)) for cut in cuts}):
        yield text[at:cut]
        at = cut
    yield text[at:]


_LINES = st.lists(st.sampled_from([b"", b".", b"..", b"x", b".x", b"x: y"]))


@given(lines=_LINES, cuts=st.lists(st.integers(0, 60)), ended=st.booleans())
def test_a_text_is_the_same_however_it_is_cut(
    lines: list[bytes], cuts: list[int], *, ended: bool
) -> None:
    text = b"\r\n".join(lines) + (b"\r\n" if ended and lines else b"")
    outgoing = Outgoing()
    sent = b"".join(outgoing.piece(piece) for piece in _cut(text, cuts))
    sent += outgoing.end()
    assert sent.endswith(b"\r\n.\r\n") or sent == b".\r\n"
    got = [line.removeprefix(b".") for line in sent.split(b"\r\n")[:-2]]
    want = text.split(b"\r\n")
    assert got == (want[:-1] if text.endswith(b"\r\n") or not text else want)


@given(_LINES, st.lists(st.integers(0, 60)), st.integers(0, 5))
def test_top_cuts_after_so_many_lines(
    body: list[bytes], cuts: list[int], count: int
) -> None:
    head = b"a: b\r\nc: d\r\n\r\n"
    text = head + b"".join(line + b"\r\n" for line in body)
    outgoing, sent = Outgoing(count), b""
    for piece in _cut(text, cuts):
        sent += outgoing.piece(piece)
    want = Outgoing()
    shown = head + b"".join(line + b"\r\n" for line in body[:count])
    assert sent + outgoing.end() == want.piece(shown) + want.end()
