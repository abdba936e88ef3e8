"""SMTP dialogues, without a socket: octets in, replies and questions out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.serve.smtpd.session import (
    Abandoned,
    Auth,
    Begin,
    End,
    Hello,
    Limits,
    Octets,
    Question,
    Recipient,
    Reply,
    Response,
    Sender,
    Session,
    StartTls,
)

OK = Reply(250, "2.0.0", "ok")


class Peer:
    """Feeds a session and answers what it asks, by default with yes."""

    def __init__(self, **more: object) -> None:
        limits = more.pop("limits", Limits())
        self.session = Session("us", limits, **more)  # type: ignore[arg-type]
        self.no: dict[type, Reply] = {}
        self.asked: list[Question] = []
        self.message = b""

    def say(self, octets: bytes) -> list[str]:
        """Return the replies, their first words."""
        self.session.feed(octets)
        while (question := self.session.next()) is not None:
            self.asked.append(question)
            if isinstance(question, Octets):
                self.message += question.data
            elif isinstance(question, StartTls):
                self.session.answer(self.no.get(StartTls, Reply(220, "2.0.0", "go")))
                if StartTls not in self.no:
                    self.session.secured()
            elif not isinstance(question, Abandoned):
                self.session.answer(self.no.get(type(question), OK))
        return [line[:9].rstrip() for line in self.session.take().decode().splitlines()]

    def codes(self, octets: bytes) -> list[str]:
        """Return the codes of the replies, one each."""
        lines = self.say(octets)
        return [line[:3] for line in lines if line[3:4] != "-"]


HELLO = b"EHLO client.example.net\r\n"
MAIL = b"MAIL FROM:<a@b>\r\n"
RCPT = b"RCPT TO:<c@d>\r\n"
TEXT = b"Subject: x\r\n\r\n..y\r\n.\r\n"

DIALOGUES = [
    ("noop", [(b"NOOP\r\n", ["250"]), (b"QUIT\r\n", ["221"])]),
    ("mail before helo", [(MAIL, ["503"])]),
    ("rcpt before mail", [(HELLO, ["250"]), (RCPT, ["503"])]),
    ("data before rcpt", [(HELLO, ["250"]), (MAIL, ["250"]), (b"DATA\r\n", ["554"])]),
    ("data before mail", [(HELLO, ["250"]), (b"DATA\r\n", ["503"])]),
    ("mail twice", [(HELLO, ["250"]), (MAIL + MAIL, ["250", "503"])]),
    (
        "pipelined, twice",
        [
            (HELLO, ["250"]),
            (MAIL + RCPT + b"DATA\r\n", ["250", "250", "354"]),
            (TEXT + MAIL + RCPT + b"DATA\r\n", ["250", "250", "250", "354"]),
            (TEXT + b"QUIT\r\n", ["250", "221"]),
        ],
    ),
    (
        "helo resets",
        [
            (HELLO, ["250"]),
            (MAIL + RCPT, ["250", "250"]),
            (HELLO, ["250"]),
            (RCPT, ["503"]),
        ],
    ),
    ("rset", [(HELLO, ["250"]), (MAIL + b"RSET\r\n" + RCPT, ["250", "250", "503"])]),
    ("unknown", [(b"XYZZY\r\nEXPN a\r\nVRFY a\r\n", ["500", "502", "252"])]),
    (
        "parameters",
        [(HELLO, ["250"]), (b"MAIL FROM:<a@b> X=1\r\n" + MAIL, ["555", "250"])],
    ),
    (
        "wishes for reports",
        [
            (HELLO, ["250"]),
            (b"MAIL FROM:<a@b> RET=SOME\r\n", ["501"]),
            (b"MAIL FROM:<a@b> ENVID=a+0\r\n", ["501"]),
            (b"MAIL FROM:<a@b> RET=HDRS ENVID=a+20b\r\n", ["250"]),
            (b"RCPT TO:<c@d> NOTIFY=NEVER,DELAY\r\n", ["501"]),
            (b"RCPT TO:<c@d> ORCPT=c@d\r\n", ["501"]),
            (b"RCPT TO:<c@d> X=1\r\n", ["555"]),
            (b"RCPT TO:<c@d> NOTIFY=SUCCESS ORCPT=rfc822;e@f\r\n", ["250"]),
        ],
    ),
    ("size", [(HELLO, ["250"]), (b"MAIL FROM:<a@b> SIZE=999999999\r\n", ["552"])]),
    ("utf-8 unasked", [(HELLO, ["250"]), ("MAIL FROM:<ü@b>\r\n".encode(), ["553"])]),
    (
        "utf-8",
        [(HELLO, ["250"]), ("MAIL FROM:<ü@b> SMTPUTF8\r\n".encode(), ["250"])],
    ),
    ("ahead of helo", [(HELLO + MAIL, ["503"])]),
    (
        "ahead of 354",
        [(HELLO, ["250"]), (MAIL + RCPT + b"DATA\r\nx", ["250", "250", "503"])],
    ),
    ("bare LF in a command", [(b"NOOP\n", ["500"])]),
    ("lhlo", [(b"LHLO a.b\r\n", ["500"])]),
    ("starttls unoffered", [(HELLO, ["250"]), (b"STARTTLS\r\n", ["502"])]),
]


@pytest.mark.parametrize(
    "steps", [steps for _, steps in DIALOGUES], ids=[name for name, _ in DIALOGUES]
)
def test_dialogue(steps: list[tuple[bytes, list[str]]]) -> None:
    peer = Peer()
    for octets, codes in steps:
        assert peer.codes(octets) == codes


def test_octet_by_octet() -> None:
    peer = Peer()
    said = []
    for part in (HELLO, MAIL + RCPT + b"DATA\r\n", TEXT, b"QUIT\r\n"):
        for octet in part:
            said += peer.codes(bytes([octet]))
    assert said == ["250", "250", "250", "354", "250", "221"]
    assert peer.message == b"Subject: x\n\n.y\n"
    assert peer.session.closed


def test_questions_in_their_order() -> None:
    peer = Peer()
    peer.say(HELLO)
    peer.say(MAIL + RCPT + b"DATA\r\n")
    peer.say(TEXT)
    kinds = [type(question) for question in peer.asked]
    assert kinds == [Hello, Sender, Recipient, Begin, Octets, End]
    assert peer.asked[-1] == End(19)


def test_what_is_offered() -> None:
    lines = Peer(tls=True).say(HELLO)
    assert "250-START" in lines
    plain = Peer()
    plain.session.feed(b"HELO a.b\r\n")
    plain.session.next()
    plain.session.answer(OK)
    assert plain.session.take() == b"250 ok\r\n"


def test_starttls_forgets_everything() -> None:
    peer = Peer(tls=True)
    peer.say(HELLO)
    peer.say(MAIL)
    assert peer.codes(b"STARTTLS\r\n") == ["220"]
    assert peer.codes(RCPT) == ["503"]
    assert peer.codes(MAIL) == ["503"]
    assert "250-START" not in peer.say(HELLO)


def test_starttls_with_octets_behind_it() -> None:
    peer = Peer(tls=True)
    peer.say(HELLO)
    assert peer.codes(b"STARTTLS\r\nMAIL FROM:<a@b>\r\n") == ["503"]
    assert peer.session.closed


def test_refused_recipients_have_no_part() -> None:
    peer = Peer()
    peer.say(HELLO)
    peer.no[Recipient] = Reply(550, "5.1.1", "no")
    assert peer.codes(MAIL + RCPT + b"DATA\r\n") == ["250", "550", "554"]
    assert peer.session.envelope.recipients == []


def test_too_many_recipients() -> None:
    peer = Peer(limits=Limits(recipients=3))
    peer.say(HELLO)
    assert peer.codes(MAIL + RCPT * 5) == ["250", "250", "250", "250", "452", "452"]
    assert peer.codes(b"DATA\r\n") == ["354"]


def test_too_many_errors() -> None:
    peer = Peer(limits=Limits(errors=3))
    assert peer.codes(b"XX\r\n" * 10) == ["500", "500", "500", "500", "421"]
    assert peer.session.closed


def test_too_many_fruitless_commands() -> None:
    peer = Peer(limits=Limits(fruitless=5))
    assert peer.codes(b"NOOP\r\n" * 9) == ["250"] * 5 + ["421"]


def test_an_endless_line() -> None:
    peer = Peer()
    assert peer.codes(b"N" * 5000) == ["500"]
    assert peer.session.closed


@pytest.mark.parametrize(
    ("octets", "codes"),
    [
        (b"x\n.\r\n", ["550"]),
        (b"\0\r\n", ["550"]),
        (b"12345678901\r\n.\r\nNOOP\r\n", ["552", "250"]),
        (b"1234567890\r\n" * 3, ["552"]),
    ],
)
def test_messages_that_are_not_taken(octets: bytes, codes: list[str]) -> None:
    peer = Peer(limits=Limits(size=10))
    peer.say(HELLO)
    peer.say(MAIL + RCPT + b"DATA\r\n")
    assert peer.codes(octets) == codes
    assert isinstance(peer.asked[-1], Abandoned)


def test_lmtp_answers_for_each() -> None:
    session = Session("us", Limits(), lmtp=True)
    session.feed(b"LHLO a.b\r\n")
    session.next()
    session.answer(OK)
    for line in (MAIL, RCPT, RCPT, b"DATA\r\n"):
        session.feed(line)
        session.next()
        session.answer(OK)
    session.take()
    session.feed(b".\r\n")
    assert isinstance(session.next(), End)
    session.answer_each([Reply(250, "2.0.0", "ok"), Reply(451, "4.3.0", "later")])
    assert session.take() == b"250 2.0.0 ok\r\n451 4.3.0 later\r\n"


def test_replies_hold_no_line_of_others() -> None:
    assert Reply(550, "5.1.1", "a\r250 ok\x1b[m é").octets() == (
        b"550 5.1.1 a?250 ok?[m ?\r\n"
    )
    assert Reply(250, "", "a\nb").octets() == b"250-a\r\n250 b\r\n"
    assert len(Reply(550, "", "x" * 9999).octets()) < 512


VERBS = [HELLO, MAIL, RCPT, b"DATA\r\n", TEXT, b"RSET\r\n", b"\r\n", b"STARTTLS\r\n"]


@given(st.lists(st.one_of(st.sampled_from(VERBS), st.binary(max_size=30)), max_size=20))
def test_any_octets_leave_a_session_that_answers(parts: list[bytes]) -> None:
    peer = Peer(tls=True)
    for part in parts:
        for line in peer.say(part):
            assert line[:3].isdecimal()
        recipients = len(peer.session.envelope.recipients)
        assert recipients <= sum(isinstance(q, Recipient) for q in peer.asked)


class Login(Peer):
    """Answers AUTH by two challenges, then lets in whoever said ``me``."""

    def say(self, octets: bytes) -> list[str]:
        session = self.session
        session.feed(octets)
        while (question := session.next()) is not None:
            self.asked.append(question)
            if isinstance(question, Auth) and question.initial is None:
                session.challenge(b"who?")
            elif isinstance(question, Auth | Response):
                said = question.initial if isinstance(question, Auth) else question.data
                if said == b"me":
                    session.logged_in("me")
                else:
                    session.answer(Reply(535, "5.7.8", "no"))
            elif not isinstance(question, Abandoned):
                session.answer(OK)
        return [line[:9].rstrip() for line in session.take().decode().splitlines()]


AUTHS = [
    ("initial", [(b"AUTH PLAIN bWU=\r\n", ["235"]), (MAIL, ["250"])]),
    ("two blanks", [(b"AUTH PLAIN  bWU=\r\n", ["235"])]),
    ("asked", [(b"AUTH LOGIN\r\n", ["334"]), (b"bWU=\r\n", ["235"])]),
    ("twice", [(b"AUTH PLAIN bWU=\r\n", ["235"]), (b"AUTH PLAIN bWU=\r\n", ["503"])]),
    ("wrong", [(b"AUTH PLAIN eW91\r\n", ["535"]), (b"AUTH PLAIN bWU=\r\n", ["235"])]),
    ("empty", [(b"AUTH PLAIN =\r\n", ["535"])]),
    ("cancelled", [(b"AUTH LOGIN\r\n", ["334"]), (b"*\r\n", ["501"]), (MAIL, ["250"])]),
    ("no base64", [(b"AUTH LOGIN\r\n", ["334"]), (b"???\r\n", ["501"])]),
    ("no base64 at once", [(b"AUTH PLAIN ???\r\n", ["501"])]),
    ("unknown", [(b"AUTH GSSAPI\r\n", ["504"])]),
    ("in a transaction", [(MAIL, ["250"]), (b"AUTH PLAIN bWU=\r\n", ["503"])]),
    ("ahead of its answer", [(b"AUTH PLAIN bWU=\r\nMAIL FROM:<a@b>\r\n", ["503"])]),
    (
        "a command is no answer",
        [(b"AUTH LOGIN\r\n", ["334"]), (b"QUIT\r\n", ["535"]), (b"QUIT\r\n", ["221"])],
    ),
]


@pytest.mark.parametrize(
    "steps", [steps for _, steps in AUTHS], ids=[name for name, _ in AUTHS]
)
def test_auth(steps: list[tuple[bytes, list[str]]]) -> None:
    peer = Login(mechanisms=("PLAIN", "LOGIN"))
    assert "250-AUTH " in [line + " " for line in peer.say(HELLO)]
    for octets, codes in steps:
        assert peer.codes(octets) == codes


def test_auth_wants_tls() -> None:
    peer = Peer(tls=True, secret=("PLAIN",))
    peer.say(HELLO)
    assert peer.codes(b"AUTH PLAIN bWU=\r\n") == ["538"]
    assert peer.codes(b"STARTTLS\r\n") == ["220"]
    assert "250-AUTH" in [line[:8] for line in peer.say(HELLO)]


def test_tls_forgets_who_logged_in() -> None:
    peer = Login(tls=True, mechanisms=("PLAIN",), secret=("PLAIN",))
    peer.say(HELLO)
    peer.say(b"AUTH PLAIN bWU=\r\n")
    assert peer.session.user == "me"
    peer.session.secured()
    assert peer.session.user == ""
