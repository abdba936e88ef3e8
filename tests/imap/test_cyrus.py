"""Cyrus, which answers in other forms and another order than Dovecot."""

import imaplib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mailfs.imap.bodies import BodyRequest
from mailfs.imap.folder import Known
from mailfs.imap.grammar.flags import Flags, System
from mailfs.imap.grammar.ranges import Ranges
from mailfs.imap.session import ImapSession
from tests.factotum.serving import Served
from tests.imap.conftest import Open
from tests.imap.test_dovecot import DELIVERED, FIELDS, message
from tests.net.cyrus import Cyrus
from tests.net.proxy import Proxy

pytestmark = pytest.mark.live


@contextmanager
def other(cyrus: Cyrus, user: str) -> Iterator[imaplib.IMAP4]:
    client = imaplib.IMAP4("127.0.0.1", cyrus.port)
    client.login(user, "any")
    client.select()
    yield client
    client.logout()


@pytest.fixture
def user(cyrus: Cyrus, agent: Served) -> str:
    """A new user with five messages."""
    name = cyrus.user()
    agent.add(f"proto=pass server=localhost user={name} !password=any")
    with other(cyrus, name) as client:
        for n in range(1, 6):
            client.append("INBOX", "", None, message(n))
    return name


@pytest.fixture
def session(connect: Open, cyrus: Cyrus, user: str) -> ImapSession:
    found = connect(cyrus.port, user=user)
    found.select("INBOX")
    return found


def test_reading(session: ImapSession) -> None:
    assert session.quirks.name == "Cyrus"
    assert session.enabled >= {"CONDSTORE", "QRESYNC"}
    rows = session.columns()
    assert list(rows.sizes) == [len(message(n)) for n in range(1, 6)]
    heads = {h.uid: h for h in session.heads(rows.uids, FIELDS)}
    assert b"number 3" in heads[3].header
    assert session.structure(3).type == "text/plain"
    pieces = session.fetch([BodyRequest(n) for n in rows.uids])
    assert {p.uid: p.octets for p in pieces} == {n: message(n) for n in rows.uids}
    (piece,) = session.fetch([BodyRequest(2, 5, 10)])
    assert piece.octets == message(2)[5:15]
    assert not any(f.system & System.SEEN for f in session.flags().flags)
    assert str(session.uids()) == "1:5"


def test_news(session: ImapSession, cyrus: Cyrus, user: str) -> None:
    session.columns()
    session.changes()
    with other(cyrus, user) as client:
        client.store("2", "+FLAGS", r"(\Flagged kw)")
        client.store("1", "+FLAGS", r"(\Deleted)")
        client.expunge()
        client.append("INBOX", "", None, message(9))
        gone: set[int] = set()
        flagged: dict[int, Flags] = {}
        grown = False
        while not (gone == {1} and 2 in flagged and grown):
            assert session.wait(DELIVERED)
            news = session.changes()
            assert not news.unsure
            gone |= set(news.vanished)
            flagged |= {f.uid: f.flags for f in news.flagged}
            grown |= news.grown
    assert flagged[2].keywords == ("kw",)
    assert list(session.columns("6:*").uids) == [6]


def test_resync(session: ImapSession, connect: Open, cyrus: Cyrus, user: str) -> None:
    chosen = session.selected
    assert chosen is not None
    assert chosen.modseq is not None
    known = Known(chosen.uidvalidity, chosen.modseq, session.uids())
    with other(cyrus, user) as client:
        client.store("4", "+FLAGS", r"(\Seen)")
        client.store("1", "+FLAGS", r"(\Deleted)")
        client.expunge()
    found = connect(cyrus.port, user=user).select("INBOX", known)
    assert found.resynced
    assert str(found.vanished) == "1"
    assert [f.uid for f in found.changed] == [4]


def test_changing(session: ImapSession) -> None:
    session.columns()
    done = session.store(Ranges.parse("1:2"), "+", Flags(System.SEEN, ("new",)))
    assert {f.uid: f.flags.keywords for f in done.flagged} == {1: ("new",), 2: ("new",)}
    session.create("Entwürfe & 台/2024")
    assert session.copy(Ranges.parse("1:2"), "Entwürfe & 台/2024") == {1: 1, 2: 2}
    assert session.move(Ranges.parse("2,4"), "Trash") == {2: 1, 4: 2}
    assert str(session.changes().vanished) == "2,4"
    assert session.append("Trash", message(7), Flags(System.SEEN), 10**9) == 3
    assert session.status("Trash").messages == 3
    session.store(Ranges.parse("1"), "+", Flags(System.DELETED))
    session.expunge(Ranges.parse("1"))
    assert str(session.uids()) == "3,5"
    found = {f.name: f for f in session.folders()}
    assert {"INBOX", "Entwürfe & 台/2024"} <= set(found)
    assert found["Trash"].status is not None


def test_compress_and_count(connect: Open, cyrus: Cyrus, user: str) -> None:
    with Proxy(cyrus.port, delay=0.002) as line:
        session = connect(line.port, user=user)
        session.select("INBOX")
        assert line.turns == 3  # the key; ENABLE and ID; SELECT
        assert session.compress()
        assert len(session.columns()) == 5
        session.logout()
