"""Servers that do what the RFCs do not say, and what comes of it here."""

from collections.abc import Callable

import pytest

from mailfs.imap.bodies import BodyRequest
from mailfs.imap.changes import FolderStatus
from mailfs.imap.error import ImapError, LoginRefused
from mailfs.imap.grammar.flags import Flags, System
from mailfs.imap.grammar.ranges import Ranges
from mailfs.imap.session import ImapSession
from tests.imap.conftest import Open
from tests.net.scripted import CAPABILITIES, OPENED, Answer, Scripted, Talk, imap

Start = Callable[..., tuple[ImapSession, Scripted]]
CONDSTORE = f"{CAPABILITIES} CONDSTORE"


def test_highestmodseq_without_text(play: Start) -> None:
    """Gmail ends the line behind the code."""
    opened = [*OPENED[:-1], "* OK [HIGHESTMODSEQ 1234]", "$ OK [READ-WRITE]"]
    session, _ = play(imap({"SELECT .*": opened}, capabilities=CONDSTORE))
    assert session.select("INBOX").modseq == 1234


def test_gmail_is_known_and_its_numbers_are_not_believed(play: Start) -> None:
    columns = [f"* {n} FETCH (UID {n} FLAGS () RFC822.SIZE 9)" for n in (1, 2, 3)]
    session, _ = play(
        imap(
            {
                "UID FETCH .*": [*columns, "$ OK"],
                "NOOP": ["* 2 EXPUNGE", "$ OK"],
            },
            capabilities=f"{CAPABILITIES} X-GM-EXT-1",
            greeting="* OK Gimap ready for requests from 127.0.0.1",
        )
    )
    assert session.quirks.name == "Gmail"
    assert session.quirks.trash
    assert not session.quirks.sizes
    session.select("INBOX")
    session.columns()
    session.noop()
    news = session.changes()
    assert news.unsure
    assert not news.vanished


def test_gmail_size_that_lies(play: Start) -> None:
    """The octets that come count, not RFC822.SIZE; a short answer is the end."""
    body = b"Subject: a\r\n\r\nb\r\n"
    answers: dict[str, Answer] = {
        r"UID FETCH 5 \(UID BODY.PEEK\[\]\)": [
            b"* 1 FETCH (UID 5 BODY[] {%d}\r\n%s)\r\n" % (len(body), body),
            "$ OK",
        ],
        r"UID FETCH 5 \(UID BODY.PEEK\[\]<10.100>\)": [
            b"* 1 FETCH (UID 5 BODY[]<10> {%d}\r\n%s)\r\n"
            % (len(body[10:]), body[10:]),
            "$ OK",
        ],
    }
    session, _ = play(imap(answers))
    session.select("INBOX")
    (piece,) = session.fetch([BodyRequest(5)])
    assert (piece.octets, piece.whole) == (body, True)
    (piece,) = session.fetch([BodyRequest(5, 10, 100)])
    assert (piece.start, piece.octets, piece.whole) == (10, body[10:], True)


def test_all_mail_and_labels(play: Start) -> None:
    folders = [
        r'* LIST (\HasChildren \NonExistent) "/" "[Gmail]"',
        r'* LIST (\All \HasNoChildren) "/" "[Gmail]/All Mail"',
        r'* LIST (\HasNoChildren \Trash) "/" "[Gmail]/Bin"',
        r'* LIST (\HasNoChildren) "/" "INBOX"',
    ]
    session, _ = play(imap({"LIST .*": [*folders, "$ OK"]}))
    found = {f.name: f for f in session.folders()}
    assert found["[Gmail]/All Mail"].special == "all"
    assert found["[Gmail]/Bin"].special == "trash"
    assert not found["[Gmail]"].selectable


def test_office_365_has_no_condstore_and_a_broken_rev2(play: Start) -> None:
    capabilities = (
        "IMAP4 IMAP4rev1 IMAP4rev2 AUTH=PLAIN SASL-IR UIDPLUS ID NAMESPACE LITERAL+"
    )
    greeting = "* OK The Microsoft Exchange IMAP4 service is ready."
    session, server = play(
        imap(
            {"UID SEARCH UID .*": ["* SEARCH 3 1", "* SEARCH 2", "$ OK"]},
            capabilities=capabilities,
            greeting=greeting,
        )
    )
    assert session.quirks.name == "Office 365"
    assert "IMAP4REV2" not in session.capabilities
    session.select("INBOX")
    assert str(session.uids()) == "1:3"
    assert not server.said("ENABLE.*")
    assert server.said("SELECT.*") == ["SELECT INBOX"]


def test_throttled(play: Start) -> None:
    text = "Request is throttled. Suggested Backoff Time: 299962 milliseconds"
    session, _ = play(imap({"UID FETCH .*": [f"$ BAD {text}"]}))
    session.select("INBOX")
    with pytest.raises(ImapError, match="throttled") as e:
        session.columns()
    assert not e.value.permanent
    assert e.value.backoff == pytest.approx(299.962)
    session.noop()  # the connection is still good


def test_throttling_bye(play: Start) -> None:
    def bye(talk: Talk, tag: str, words: str) -> None:
        talk.send("* BYE Session invalidated - AccountThrottled")
        talk.close()

    session, _ = play(imap({"UID FETCH .*": bye}))
    session.select("INBOX")
    with pytest.raises(ConnectionError, match="AccountThrottled"):
        session.columns()
    with pytest.raises(OSError, match="localhost/imap"):
        session.noop()


def test_ok_without_the_body(play: Start) -> None:
    """Exchange answers OK and forgets the literal: the message is passed over."""
    answers: dict[str, Answer] = {
        "UID FETCH .*": ["* 1 FETCH (UID 1)", "* 2 FETCH (UID 2 BODY[] NIL)", "$ OK"]
    }
    session, _ = play(imap(answers))
    session.select("INBOX")
    assert list(session.fetch([BodyRequest(1), BodyRequest(2)])) == []


def test_one_bad_message_takes_no_other_with_it(play: Start) -> None:
    def some(talk: Talk, tag: str, words: str) -> None:
        uids = Ranges.parse(words.split()[2])
        for uid in uids:
            if uid != 2:
                talk.send(b"* %d FETCH (UID %d BODY[] {1}\r\nx)\r\n" % (uid, uid))
            else:
                talk.send(f"{tag} NO [SERVERBUG] cannot read message")
                return
        talk.send(f"{tag} OK done")

    session, _ = play(imap({"UID FETCH .*": some}))
    session.select("INBOX")
    found = {p.uid for p in session.fetch([BodyRequest(u) for u in (1, 2, 3)])}
    assert found == {1, 3}
    with pytest.raises(ImapError, match="cannot read message"):
        list(session.fetch([BodyRequest(2)]))


def test_one_bad_head_takes_no_other_with_it(play: Start) -> None:
    def some(talk: Talk, tag: str, words: str) -> None:
        for uid in Ranges.parse(words.split()[2]):
            if uid == 2:
                talk.send(f"{tag} NO [SERVERBUG] cannot read message")
                return
            talk.send(
                b"* %d FETCH (UID %d BODY[HEADER] {4}\r\n\r\n\r\n)\r\n" % (uid, uid)
            )
        talk.send(f"{tag} OK done")

    session, _ = play(imap({"UID FETCH .*": some}))
    session.select("INBOX")
    heads = session.heads([1, 2, 3], structure=False)
    assert {h.uid for h in heads} == {1, 3}


def test_malformed_envelope(play: Start) -> None:
    """As iCloud sends it, quotes inside quotes: no other row suffers."""
    row = (
        '* 2 FETCH (ENVELOPE (NIL "a "b" c" ((NIL NIL "x" "y")) NIL NIL) '
        r"FLAGS (\Seen) UID 22)"
    )
    good = "* 1 FETCH (UID 21 FLAGS () RFC822.SIZE 5)"
    session, _ = play(imap({"UID FETCH .*": [row, good, "$ OK"]}))
    session.select("INBOX")
    assert list(session.columns().uids) == [21]
    session.noop()


def test_search_that_finds_nothing_is_not_believed(play: Start) -> None:
    """UID SEARCH of iCloud may come back empty: the uids are fetched then."""
    rows = [f"* {n} FETCH (UID {n + 20})" for n in (1, 2, 3)]
    answers: dict[str, Answer] = {
        "UID SEARCH .*": ["$ OK"],
        "UID FETCH .*": [*rows, "$ OK"],
    }
    session, _ = play(imap(answers))
    session.select("INBOX")
    assert str(session.uids()) == "21:23"


def test_search_that_leaves_some_out_is_not_believed(play: Start) -> None:
    rows = [f"* {n} FETCH (UID {n + 20})" for n in (1, 2, 3)]
    answers: dict[str, Answer] = {
        "UID SEARCH .*": ["* ESEARCH UID ALL 21,23", "$ OK"],
        "UID FETCH .*": [*rows, "$ OK"],
    }
    session, _ = play(imap(answers))
    session.select("INBOX")
    assert str(session.uids()) == "21:23"


def test_blanks_and_brackets_in_flags(play: Start) -> None:
    """SurgeMail, Zoho, InterMail and Gmail, each in its own way."""
    opened = [
        r'* FLAGS ("\\Deleted" \Answered \Seen $a \* )',
        r"* OK [PERMANENTFLAGS ( \Seen OIB-Seen-[Gmail]/All Mail \*)] Flags permitted.",
        *OPENED[2:],
    ]
    rows = [
        r"* 1 FETCH (UID 1 FLAGS (\Seen $NotJunk ) RFC822.SIZE 5 )",
        r"* 2 FETCH (UID 2 FLAGS ( \Seen) RFC822.SIZE 5)",
        r"* 3 FETCH (UID 3 FLAGS () RFC822.SIZE 5) ",
    ]
    session, _ = play(imap({"SELECT .*": opened, "UID FETCH .*": [*rows, "$ OK"]}))
    chosen = session.select("INBOX")
    assert chosen.flags.keywords == ("$a",)
    assert chosen.keywords
    assert chosen.permanent is not None
    assert chosen.permanent.system == System.SEEN
    found = session.columns()
    assert list(found.uids) == [1, 2, 3]
    assert [f.system for f in found.flags] == [System.SEEN, System.SEEN, System(0)]
    assert found.flags[0].keywords == ("$NotJunk",)


def test_tag_before_the_plus(play: Start) -> None:
    """Gromox answered IDLE so."""

    def idle(talk: Talk, tag: str, words: str) -> None:
        talk.send(f"{tag} + idling", "", "* 4 EXISTS")
        assert talk.line() == "DONE"
        talk.send(f"{tag} OK")

    session, _ = play(imap({"IDLE": idle}))
    session.select("INBOX")
    session.changes()
    assert session.wait(10)
    session.noop()


def test_idle_ended_by_both_sides_at_once(play: Start) -> None:
    """Dovecot then takes DONE for the tag of a command."""

    def idle(talk: Talk, tag: str, words: str) -> None:
        talk.send("+ idling", "* 4 EXISTS")
        assert talk.line() == "DONE"
        talk.send(f"{tag} OK Idle completed.", "DONE BAD Unknown command.")

    session, _ = play(imap({"IDLE": idle}))
    session.select("INBOX")
    session.changes()
    assert session.wait(10)
    session.noop()
    session.noop()


def test_fetch_without_a_uid_is_nobodys(play: Start) -> None:
    answers: dict[str, Answer] = {
        "UID FETCH .*": [
            "* 1 FETCH (FLAGS () RFC822.SIZE 5)",
            b"* 2 FETCH (BODY[] {1}\r\nx)\r\n",
            "* 3 FETCH (UID 3 FLAGS () RFC822.SIZE 5)",
            "$ OK",
        ]
    }
    session, _ = play(imap(answers))
    session.select("INBOX")
    assert list(session.columns().uids) == [3]
    assert list(session.fetch([BodyRequest(1), BodyRequest(2)])) == []


def test_alert_where_an_answer_should_be(connect: Open) -> None:
    """Interia logs in whom it then serves nothing but an alert."""
    alert = "[ALERT] Please enable IMAP access in your account settings first."
    answers: dict[str, Answer] = {
        "AUTHENTICATE .*": [f"$ OK {alert}"],
        "CAPABILITY": [f"$ NO {alert}"],
    }
    with Scripted(imap(answers)) as server:
        with pytest.raises(ImapError, match="Please enable IMAP access"):
            connect(server.port)


@pytest.mark.parametrize("refusal", ["$ BAD syntax error", "$ BAD [CLIENTBUG] eh"])
def test_sasl_ir_announced_and_refused(play: Start, refusal: str) -> None:
    """Coremail and others: the same again without an initial response."""

    def login(talk: Talk, tag: str, words: str) -> None:
        talk.send("+ ")
        assert talk.line() == "AGdsZW5kYQBzZWNyZXQ="
        talk.send(f"{tag} OK in")

    answers: dict[str, Answer] = {
        "AUTHENTICATE PLAIN": login,
        "AUTHENTICATE PLAIN .*": [refusal],
    }
    session, server = play(imap(answers))
    session.select("INBOX")
    assert session.user == "glenda"
    assert len(server.said("AUTHENTICATE.*")) == 2


def test_coremail_is_not_tried(play: Start) -> None:
    def login(talk: Talk, tag: str, words: str) -> None:
        talk.send("+")
        assert talk.line() == "AGdsZW5kYQBzZWNyZXQ="
        talk.send(f"{tag} OK in")

    session, server = play(
        imap(
            {"AUTHENTICATE PLAIN": login},
            greeting="* OK [CAPABILITY @caps] Coremail System IMap Server Ready",
        )
    )
    assert session.quirks.name == "Coremail"
    assert server.said("AUTHENTICATE.*") == ["AUTHENTICATE PLAIN"]
    assert server.said("ID .*")  # 163.com selects nothing for clients without a name


def test_bare_plus(play: Start) -> None:
    """A continuation without a blank, for a literal that must be asked for."""

    def append(talk: Talk, tag: str, words: str) -> None:
        talk.send(f"{tag} OK [APPENDUID 7 41] done")

    capabilities = CAPABILITIES.replace(" LITERAL+", "")

    def bare(talk: Talk) -> None:
        send = talk.send
        talk.send = lambda *x: send(*("+" if y == "+ go on" else y for y in x))  # type: ignore[method-assign]
        imap({"APPEND .*": append}, capabilities=capabilities)(talk)

    session, _ = play(bare)
    assert session.append("INBOX", b"Subject: x\r\n\r\ny\r\n") == 41


def test_empty_status(play: Start) -> None:
    session, _ = play(imap({"STATUS .*": ["* STATUS INBOX ()", "$ OK"]}))
    assert session.status("INBOX") == FolderStatus()


def test_inbox_in_any_case(play: Start) -> None:
    answers: dict[str, Answer] = {
        "STATUS .*": ["* STATUS Inbox (MESSAGES 3 X-NEW (1 2))", "$ OK"],
        "LIST .*": ['* LIST () "/" inbox', '* LIST () "/" "INBOX"', "$ OK"],
    }
    session, _ = play(imap(answers))
    assert session.status("INBOX").messages == 3
    assert [f.name for f in session.folders()] == ["INBOX"]


@pytest.mark.parametrize("answer", ["* ID ()", "* ID NIL", "* ID", '* ID ("name")'])
def test_empty_id(play: Start, answer: str) -> None:
    session, _ = play(imap({"ID .*": [answer, "$ OK"]}))
    assert session.quirks.name == ""


def test_server_known_by_its_id(play: Start) -> None:
    answer = (
        '* ID ("name" "Microsoft.Exchange.Imap4.Imap4Server" "vendor" "outlook.com")'
    )
    session, _ = play(imap({"ID .*": [answer, "$ OK"]}))
    assert session.quirks.name == "Office 365"


@pytest.mark.parametrize(
    "code", ["UIDVALIDITY 0", "UIDVALIDITY", "UIDVALIDITY 99999999999"]
)
def test_uidvalidity_that_is_none(play: Start, code: str) -> None:
    """Nothing may be remembered of such a folder: it is never taken as known."""
    opened = [f"* OK [{code}] eh" if "UIDVALIDITY" in x else x for x in OPENED]
    session, _ = play(imap({"SELECT .*": opened}))
    found = session.select("INBOX")
    assert found.uidvalidity == 0
    assert not found.resynced


def test_yahoo_numbers(play: Start) -> None:
    """After an EXPUNGE of Yahoo's the numbers are off: nothing is concluded."""
    session, _ = play(
        imap(
            {"NOOP": [r"* 2 FETCH (FLAGS (\Seen))", "* 1 EXPUNGE", "$ OK"]},
            greeting="* OK [CAPABILITY @caps] ymail_imap ready",
        )
    )
    session.select("INBOX")
    session.noop()
    news = session.changes()
    assert (news.unsure, news.flagged, news.vanished) == (True, (), Ranges())


def test_expunge_in_the_middle_of_uid_fetch(play: Start) -> None:
    rows = [f"* {n} FETCH (UID {n} FLAGS () RFC822.SIZE 9)" for n in (1, 2, 3)]
    later = [
        "* 1 EXPUNGE",
        "* 2 FETCH (UID 3 BODY[] {1}",
        "x)",
        r"* 1 FETCH (FLAGS (\Seen))",
    ]
    session, _ = play(
        imap(
            {
                "UID FETCH 1:.*": [*rows, "$ OK"],
                "UID FETCH 3 .*": [*later, "$ OK"],
            }
        )
    )
    session.select("INBOX")
    session.columns()
    (piece,) = session.fetch([BodyRequest(3)])
    assert piece[:3] == (3, 0, b"x")
    news = session.changes()
    assert str(news.vanished) == "1"
    assert [(f.uid, f.flags) for f in news.flagged] == [(2, Flags(System.SEEN))]
    assert not news.unsure


def test_untagged_bad_is_told_if_no_answer_follows(play: Start) -> None:
    def bad(talk: Talk, tag: str, words: str) -> None:
        talk.send("* BAD cannot make sense of that")

    session, _ = play(imap({"CREATE .*": bad}), timeout=0.3)
    with pytest.raises(TimeoutError, match="cannot make sense of that"):
        session.create("x")


def test_untagged_bad_alone_is_no_answer(play: Start) -> None:
    session, _ = play(imap({"CREATE .*": ["* BAD eh", "* NO hm", "$ OK"]}))
    session.create("x")


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        ("$ NO [AUTHENTICATIONFAILED] wrong", LoginRefused, "login refused: wrong"),
        ("$ NO wrong", LoginRefused, "login refused: wrong"),
        ("$ NO [UNAVAILABLE] later", ImapError, "later"),
        ("$ NO Too many simultaneous connections, try again", ImapError, "Too many"),
        (
            "$ NO [REFERRAL imap://glenda@other/] moved",
            LoginRefused,
            "elsewhere: imap://glenda@other/",
        ),
    ],
)
def test_login_refused(
    connect: Open, line: str, error: type[ImapError], words: str
) -> None:
    with Scripted(imap({"AUTHENTICATE .*": [line]})) as server:
        with pytest.raises(error, match=words) as e:
            connect(server.port)
    assert str(e.value).startswith("localhost/imap: ")
    assert e.value.permanent == (error is LoginRefused)
    assert type(e.value) is error
