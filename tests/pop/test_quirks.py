"""Servers that say what none should: in the greeting, in STLS, in SASL, in listings."""

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from mailfs.errors import MailfsError
from mailfs.factotum.client import FactotumError
from mailfs.pop import session as sessions
from mailfs.pop.error import MAX_TEXT, Busy, LoginRefused, PopError, refusal, shown
from mailfs.pop.login import stamp
from mailfs.pop.session import Pop3Session, header
from mailfs.remote.login import MAX_STEPS
from tests.factotum.serving import Served
from tests.factotum.world import NOW
from tests.net.scripted import Gone, Play, Scripted, Talk
from tests.pop.conftest import Open
from tests.pop.drop import STAMP, Drop, drop, mail

OFFERS = "+OK\r\nSTLS\r\n."

Start = Callable[..., tuple[Pop3Session, Scripted]]


@pytest.fixture
def start(connect: Open) -> Iterator[Start]:
    """Start a server with a play and open a session with it."""
    with ExitStack() as stack:

        def start(play: Play, **how: object) -> tuple[Pop3Session, Scripted]:
            server = stack.enter_context(Scripted(play))
            return connect(server.port, **how), server

        yield start


def told(**answers: str) -> Play:
    """Return a play that answers commands from a table, and others with +OK."""
    table = {"CAPA": "+OK\r\nUIDL\r\n.", "STAT": "+OK 0 0"} | answers

    def play(talk: Talk) -> None:
        talk.send(answers.get("greeting", "+OK ready"))
        while True:
            line = talk.line()
            talk.send(table.get(line, table.get(line.partition(" ")[0], "+OK")))

    return play


STAMPS = [
    (b"+OK POP3 server ready " + STAMP.encode(), STAMP.encode()),
    (b"+OK <a@b> <c@d>", b"<a@b>"),
    (b"+OK ready", b""),
    (b"+OK <ab>", b""),
    (b"+OK <a@b@c>", b""),
    (b"+OK <a\x80@b>", b""),
    (b"+OK <a @b>", b""),
    (b"+OK <@b>", b""),
]


@pytest.mark.parametrize(("greeting", "found"), STAMPS)
def test_stamps(greeting: bytes, found: bytes) -> None:
    assert stamp(greeting) == found


REFUSALS = [
    (b"-ERR", False, PopError, "", "refused"),
    (b"-ERR no such message", False, PopError, "", "no such message"),
    (b"-ERR [IN-USE] locked", False, Busy, "IN-USE", "locked"),
    (b"-ERR [sys/temp]", False, Busy, "SYS/TEMP", "sys/temp"),
    (b"-ERR [SYS/PERM] gone", True, PopError, "SYS/PERM", "gone"),
    (b"-ERR mailbox locked", False, PopError, "", "mailbox locked"),
    (b"-ERR mailbox locked", True, Busy, "", "mailbox locked"),
    (b"-ERR [AUTH] mailbox locked", True, PopError, "AUTH", "mailbox locked"),
    (b"-ERR bad\x00\x1b[31mword", False, PopError, "", "bad [31mword"),
]


@pytest.mark.parametrize(("line", "words", "kind", "code", "text"), REFUSALS)
def test_refusals(
    line: bytes, words: bool, kind: type[PopError | Busy], code: str, text: str
) -> None:
    found = refusal("h/pop", line, words=words)
    assert type(found) is kind
    assert found.code == code
    assert str(found).endswith(f"h/pop: {text}")


def test_words_are_bounded() -> None:
    assert len(shown(b"x" * 10_000)) == MAX_TEXT + 3
    assert shown(b"a\r\nb \xff") == "a b \ufffd"


HEADERS = [
    (b"A: b\r\n\r\nbody", b"A: b\r\n\r\n"),
    (b"A: b\n\nbody", b"A: b\n\n"),
    (b"\r\nbody\r\n\r\nmore", b"\r\n"),
    (b"A: b\r\n", b"A: b\r\n"),
    (b"", b""),
]


@pytest.mark.parametrize(("message", "head"), HEADERS)
def test_headers(message: bytes, head: bytes) -> None:
    assert header(iter([message])) == head
    assert header(message[i : i + 1] for i in range(len(message))) == head


def test_what_is_said_before_tls_does_not_count_as_said_in_it(start: Start) -> None:
    # CVE-2011-0411 and its kin, the server's side of it.
    with pytest.raises(PopError, match="clear text after agreeing to TLS"):
        start(told(CAPA=OFFERS, STLS="+OK begin\r\n+OK injected"), name="poptls")


def test_stls_that_is_offered_and_refused(start: Start) -> None:
    refuses = told(CAPA=OFFERS, STLS="-ERR not now")
    for name in ("poptls", "apoptls"):
        with pytest.raises(PopError, match="could not negotiate TLS"):
            start(refuses, name=name)
    session, server = start(refuses)
    assert session.wire.tls is None
    assert "PASS secret" in server.heard


def test_stls_without_capa(start: Start) -> None:
    _, server = start(told(CAPA="-ERR what", STLS="-ERR what"))
    assert "STLS" not in server.heard
    with pytest.raises(PopError, match="could not negotiate TLS"):
        start(told(CAPA="-ERR what", STLS="-ERR what"), name="poptls")


def test_a_server_that_talks_no_tls(start: Start) -> None:
    with pytest.raises((OSError, MailfsError)):
        start(told(), name="pops")


@pytest.mark.parametrize("secret", ["se\rcret", "\rDELE 1"])
def test_a_password_is_no_command(start: Start, agent: Served, secret: str) -> None:
    agent.add(f"proto=pass server=localhost user=eve '!password={secret}'")
    with pytest.raises(PopError, match="line end or NUL in a command") as e:
        start(told(), user="eve")
    assert secret not in str(e.value)


def test_a_user_name_is_one_word(start: Start, agent: Served) -> None:
    agent.add("proto=pass server=localhost 'user=eve PASS x' !password=secret")
    with pytest.raises(PopError, match="factotum did not return a user name"):
        start(told(), user="eve PASS x")


def test_stat_must_make_sense(start: Start) -> None:
    for answer in ("+OK", "+OK many", "+OK -1 5", "+OK 1"):
        with pytest.raises(PopError, match="syntax error in STAT response"):
            start(told(STAT=answer))
    with pytest.raises(PopError, match="more than 200000 messages"):
        start(told(STAT="+OK 1000001 1"))
    with pytest.raises(PopError, match="no"):
        start(told(STAT="-ERR no"))


def test_listings_take_what_makes_sense(start: Start) -> None:
    session, _ = start(
        told(
            STAT="+OK 3 9",
            UIDL="+OK\r\n1 a\r\n 2\tb  \r\n3 c d\r\nx\r\n4 \r\n5 e\x01\r\n.",
            LIST="+OK\r\n1 5\r\n2 6 extra\r\nx 7\r\n3 -1\r\n.",
        )
    )
    assert session.uidls() == {1: "a", 2: "b"}
    assert session.sizes() == {1: 5, 2: 6}


def test_listings_one_by_one(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    box = drop(9)
    session, server = start(box.play)
    assert session.uidls_of([2, 11, 9]) == {2: "uid1", 9: "uid8"}
    assert session.sizes_of([1, 10]) == {1: len(mail(0))}
    monkeypatch.setattr(sessions, "SINGLES", 1)
    assert session.uidls_of([2, 11, 9]) == {2: "uid1", 9: "uid8"}
    assert session.sizes_of([1, 10]) == {1: len(mail(0))}
    assert server.heard[-2:] == ["UIDL", "LIST"]


def test_a_listing_without_end(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailfs.pop.wire.MAX_TEXT", 100_000)
    session, _ = start(told(STAT="+OK 3 9", UIDL="+OK\r\n" + "1 abc\r\n" * 50_000))
    with pytest.raises(ConnectionError, match="listing too long"):
        session.uidls()


def test_a_message_without_end(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_MESSAGE", 100_000)
    session, _ = start(told(RETR="+OK\r\n" + "endless\r\n" * 50_000))
    ((_, got),) = session.messages([1])
    assert not isinstance(got, PopError)
    with pytest.raises(PopError, match="message over 100000 octets"):
        list(got)
    assert not session.wire.alive


def test_an_answer_that_is_none(start: Start) -> None:
    session, _ = start(told(RETR="Subject: out of turn"))
    with pytest.raises(ConnectionError, match="out of sync with pop3 server"):
        list(session.messages([1]))


def test_answers_that_nobody_takes_end_the_session(start: Start) -> None:
    session, _ = start(drop(5).play)
    answers = session.messages([1, 2, 3])
    next(answers)
    answers.close()  # type: ignore[attr-defined]  # it is a generator
    assert not session.wire.alive


# SASL.


class Asking(Drop):
    """Answers AUTH as a test says."""

    def __init__(self, answer: Callable[[Talk, str], bool], sasl: str) -> None:
        super().__init__(capabilities=("UIDL", "TOP", f"SASL {sasl}"))
        self._asked = answer

    def _login(self, talk: Talk) -> bool:
        while True:
            found = self._next(talk)
            if found is not None:
                assert found[0] == "AUTH"
                if self._asked(talk, " ".join(found[1])):
                    return True


def test_xoauth2(start: Start, agent: Served) -> None:
    heard: list[bytes] = []

    def answer(talk: Talk, words: str) -> bool:
        assert words.startswith("XOAUTH2 ")
        heard.append(base64.b64decode(words.split()[1]))
        if b"token-1" in heard[-1]:
            talk.send("+ " + base64.b64encode(b'{"status":"401"}').decode())
            assert talk.line() == ""
            talk.send("-ERR [AUTH] expired")
            return False
        return True

    agent.add(
        "proto=oauth issuer=https://x.example clientid=id user=al server=localhost"
        f" !refreshtoken=r !accesstoken=token-0 !expires={int(NOW) + 1000}"
    )
    start(Asking(answer, "PLAIN XOAUTH2").play, user="al")
    assert heard == [b"user=al\1auth=Bearer token-0\1\1"]


def test_a_long_initial_response_waits_its_turn(start: Start, agent: Served) -> None:
    secret = "x" * 300
    agent.add(f"proto=pass server=localhost user=al !password={secret}")

    def answer(talk: Talk, words: str) -> bool:
        assert words == "PLAIN"
        talk.send("+ ")
        return base64.b64decode(talk.line()) == b"\0al\0" + secret.encode()

    start(Asking(answer, "PLAIN").play, user="al")


def test_a_challenge_that_is_none(start: Start) -> None:
    said: list[str] = []

    def answer(talk: Talk, words: str) -> bool:
        talk.send("+ not base64!")
        said.append(talk.line())
        talk.send("-ERR off")
        return False

    with pytest.raises(PopError, match="malformed challenge"):
        start(Asking(answer, "SCRAM-SHA-256").play)
    assert said == ["*"]


def test_a_server_that_does_not_know_the_password(start: Start) -> None:
    def answer(talk: Talk, words: str) -> bool:
        nonce = base64.b64decode(words.split()[1]).rpartition(b"r=")[2]
        first = b"r=" + nonce + b"srv,s=" + base64.b64encode(b"salt") + b",i=4096"
        talk.send("+ " + base64.b64encode(first).decode())
        talk.line()
        talk.send("+ " + base64.b64encode(b"v=" + base64.b64encode(b"x" * 32)).decode())
        assert talk.line() == "*"
        talk.send("-ERR off")
        return False

    with pytest.raises(FactotumError):
        start(Asking(answer, "SCRAM-SHA-256").play)


def test_an_endless_exchange(start: Start) -> None:
    count: list[str] = []

    def answer(talk: Talk, words: str) -> bool:
        while True:
            talk.send("+ ")
            count.append(talk.line())

    with pytest.raises((PopError, FactotumError)):
        start(Asking(answer, "LOGIN").play)
    assert len(count) <= MAX_STEPS


def test_a_code_tells_what_is_wrong(start: Start) -> None:
    for line, kind in (
        ("-ERR [IN-USE] locked", Busy),
        ("-ERR [SYS/PERM] no home", PopError),
        ("-ERR [AUTH] wrong", LoginRefused),
    ):

        def answer(talk: Talk, words: str, line: str = line) -> bool:
            talk.send(line)
            return False

        with pytest.raises(kind):
            start(Asking(answer, "PLAIN").play)


def test_a_server_that_hangs_up_at_quit(start: Start) -> None:
    box = drop(1)

    def gone(talk: Talk) -> bool:
        raise Gone

    box.faults = {"QUIT": gone}
    session, _ = start(box.play)
    session.leave()
    assert not session.wire.alive
    session, _ = start(box.play)
    with pytest.raises(ConnectionError):
        session.quit()
    assert not session.wire.alive


def test_lower_case_answers(start: Start) -> None:
    session, _ = start(
        told(
            greeting="+ok ready",
            CAPA="+ok\r\nUIDL\r\n.",
            STAT="+ok 1 5",
            UIDL="+ok\r\n1 a\r\n.",
            DELE="-err locked",
        )
    )
    assert (session.count, session.uidls()) == (1, {1: "a"})
    with pytest.raises(PopError, match="locked"):
        session.delete([1])


def test_hang_up_at_capa(connect: Open) -> None:
    """The server is asked again, without it."""

    def first(talk: Talk) -> None:
        talk.send("+OK ready")
        assert talk.line() == "CAPA"

    with Scripted(first, told(STAT="+OK 2 10")) as server:
        session = connect(server.port)
        assert session.count == 2
        assert "CAPA" not in server.heard[1:]


def test_last_word_without_a_line_end(start: Start) -> None:
    def play(talk: Talk) -> None:
        talk.send("+OK ready")
        while (line := talk.line()) != "QUIT":
            talk.send({"CAPA": "-ERR", "STAT": "+OK 0 0"}.get(line, "+OK"))
        talk.send(b"+OK bye")

    session, _ = start(play)
    session.quit()
