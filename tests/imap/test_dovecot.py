"""A real Dovecot, and imaplib as the other client of the same mailbox."""

import imaplib
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailfs.factotum.client import NeedKey
from mailfs.imap.account import Account
from mailfs.imap.bodies import BodyRequest
from mailfs.imap.error import ImapError, LoginRefused
from mailfs.imap.folder import Known
from mailfs.imap.folders import special
from mailfs.imap.grammar.flags import Flags, System
from mailfs.imap.grammar.ranges import Ranges
from mailfs.imap.grammar.structure import parse
from mailfs.imap.session import ImapSession
from mailfs.tls.trust import Untrusted
from tests.factotum.serving import Served
from tests.imap.conftest import Open
from tests.net.dovecot import PASSWORD, Dovecot
from tests.net.proxy import Proxy

pytestmark = pytest.mark.live

FIELDS = ("from", "subject", "date", "message-id")
DELIVERED = 10.0  # seconds within which news must come; Dovecot waits 0.5 by itself


def message(n: int, size: int = 0) -> bytes:
    head = b"From: a%d@example.org\r\nSubject: number %d\r\n" % (n, n)
    return head + b"Message-ID: <%d@x>\r\n\r\nbody %d\r\n" % (n, n) + b"x" * size


@contextmanager
def other(dovecot: Dovecot, user: str) -> Iterator[imaplib.IMAP4]:
    """Log another client in, with INBOX selected."""
    client = imaplib.IMAP4("127.0.0.1", dovecot.ports["imap"])
    client.login(user, PASSWORD)
    client.select()
    yield client
    client.logout()


@pytest.fixture
def user(dovecot: Dovecot, agent: Served) -> str:
    """A new user, whose key the factotum has, with five messages."""
    name = dovecot.user()
    agent.add(f"proto=pass server=localhost user={name} !password={PASSWORD}")
    with other(dovecot, name) as client:
        for n in range(1, 6):
            client.append("INBOX", "", None, message(n))
    return name


@pytest.fixture
def opened(connect: Open, dovecot: Dovecot, user: str, tmp_path: Path) -> Open:
    """Open sessions of the user, INBOX selected."""
    trust = dovecot.trust(tmp_path)

    def opened(
        port: int | None = None, service: str = "imaps", **how: object
    ) -> ImapSession:
        port = port or dovecot.ports["imaps"]
        session = connect(port, service, user=user, trust=trust, **how)
        session.select("INBOX")
        return session

    return opened


@pytest.mark.parametrize("service", ["imaps", "imap", "imaptls"])
def test_every_service_ends_in_tls(
    opened: Open, dovecot: Dovecot, service: str
) -> None:
    port = dovecot.ports["imaps" if service == "imaps" else "imap"]
    session = opened(port, service)
    assert session.wire.line.tls is not None
    assert session.server == f"localhost/{service}"
    assert session.enabled >= {"CONDSTORE", "QRESYNC"}
    assert session.quirks.name == "Dovecot"
    assert len(session.columns()) == 5


@pytest.mark.parametrize("service", ["imaps", "imap", "imaptls"])
def test_unlisted_certificate(
    connect: Open, dovecot: Dovecot, user: str, tmp_path: Path, service: str
) -> None:
    port = dovecot.ports["imaps" if service == "imaps" else "imap"]
    with pytest.raises(Untrusted, match="localhost") as e:
        connect(port, service, user=user, trust=dovecot.trust(tmp_path, listed=False))
    assert "sha256=" in e.value.line


@pytest.mark.parametrize(
    "mechanisms",
    [
        "plain",
        "login",
        "cram-md5",
        "scram-sha-1",
        "scram-sha-256",
        "plain scram-sha-256",
    ],
)
def test_mechanisms(agent: Served, tmp_path: Path, mechanisms: str) -> None:
    agent.add("proto=pass server=localhost user=ann !password=secret")
    users = {"ann": ("secret", "maildir:~/Maildir")}
    with Dovecot(users, mechanisms=mechanisms) as server, agent.keys() as keys:
        account = Account("localhost", "imaps", server.ports["imaps"], "ann")
        session = ImapSession.open(account, keys, server.trust(tmp_path))
        session.noop()
        session.logout()
        assert f"method={mechanisms.split()[-1].upper()}" in server.log()


def test_wrong_password(
    connect: Open, agent: Served, dovecot: Dovecot, tmp_path: Path
) -> None:
    user = dovecot.user()
    agent.add(f"proto=pass server=localhost user={user} !password=wrong")
    with pytest.raises(LoginRefused, match="login refused") as e:
        connect(
            dovecot.ports["imaps"], "imaps", user=user, trust=dovecot.trust(tmp_path)
        )
    assert e.value.code == "AUTHENTICATIONFAILED"
    assert e.value.permanent


def test_refused_key_is_asked_for_again(
    agent: Served, dovecot: Dovecot, tmp_path: Path
) -> None:
    user = dovecot.user()
    key = f"proto=pass server=localhost user={user} !password="
    agent.add(key + "wrong")
    asked: list[str] = []

    def getkey(template: str) -> None:
        asked.append(template)
        agent.add(key + PASSWORD)

    account = Account("localhost", "imaps", dovecot.ports["imaps"], user)
    with agent.keys(getkey) as keys:
        session = ImapSession.open(account, keys, dovecot.trust(tmp_path))
        session.logout()
    assert len(asked) == 1


def test_no_key(connect: Open, dovecot: Dovecot, tmp_path: Path) -> None:
    with pytest.raises(NeedKey, match="user=nobody"):
        connect(
            dovecot.ports["imaps"],
            "imaps",
            user="nobody",
            trust=dovecot.trust(tmp_path),
        )


def test_reading(opened: Open, user: str) -> None:
    session = opened()
    rows = session.columns()
    assert list(rows.uids) == [1, 2, 3, 4, 5]
    assert list(rows.sizes) == [len(message(n)) for n in rows.uids]
    assert all(rows.dates)
    heads = {h.uid: h for h in session.heads(rows.uids, FIELDS)}
    assert b"Subject: number 3\r\n" in heads[3].header
    assert heads[3].header.endswith(b"\r\n\r\n")
    assert parse(heads[3].structure) == session.structure(3)
    pieces = {p.uid: p for p in session.fetch([BodyRequest(n) for n in rows.uids])}
    assert {n: p.octets for n, p in pieces.items()} == {
        n: message(n) for n in rows.uids
    }
    assert all(p.whole for p in pieces.values())
    flags = session.columns().flags
    assert not any(f.system & System.SEEN for f in flags)
    with pytest.raises(ImapError, match="no such message"):
        session.structure(99)
    assert list(session.fetch([BodyRequest(99)])) == []
    assert list(session.heads([98, 99], FIELDS)) == []


def test_slices(opened: Open) -> None:
    session = opened()
    whole = message(1)
    wanted = [BodyRequest(1, at, 7) for at in range(0, len(whole), 7)]
    found = sorted(session.fetch([*wanted, BodyRequest(1, len(whole) + 5, 10)]))
    assert b"".join(p.octets for p in found) == whole
    assert found[-1].whole


@pytest.mark.parametrize("capability", ["", "no QRESYNC", "no CONDSTORE"])
def test_news(opened: Open, dovecot: Dovecot, user: str, capability: str) -> None:
    """Changes by another client are told by uid, with each kind of server."""
    session = opened()
    if capability:  # as if it had not been enabled: the server then sends EXPUNGE
        session = _without(opened)
    session.columns()
    session.changes()
    with other(dovecot, user) as client:
        client.store("2", "+FLAGS", r"(\Flagged kw)")
        assert session.wait(DELIVERED)
        (flagged,) = session.changes().flagged
        assert (flagged.uid, flagged.flags.keywords) == (2, ("kw",))
        assert flagged.flags.system & System.FLAGGED
        client.store("1,3", "+FLAGS", r"(\Deleted)")
        client.expunge()
        gone: set[int] = set()
        while gone != {1, 3}:
            assert session.wait(DELIVERED)
            news = session.changes()
            assert not news.unsure
            gone |= set(news.vanished)
        client.append("INBOX", "", None, message(9))
        assert session.wait(DELIVERED)
        assert session.changes().grown
    assert list(session.columns("6:*").uids) == [6]
    assert str(session.uids()) == "2,4:6"


def _without(opened: Open) -> ImapSession:
    """Return a session in which nothing has been enabled."""
    from mailfs.imap import connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "ENABLE", ())
        session = opened()
    assert not session.enabled
    return session


def test_news_in_the_middle_of_any_command(
    opened: Open, dovecot: Dovecot, user: str
) -> None:
    session = opened()
    session.changes()
    with other(dovecot, user) as client:
        client.append("INBOX", "", None, message(6))
        client.store("1", "+FLAGS", r"(\Answered)")
    for _ in range(2):
        list(session.fetch([BodyRequest(2)]))
    session.status("Sent")
    news = session.changes()
    assert news.grown
    assert [f.uid for f in news.flagged] == [1]


def test_resync(opened: Open, dovecot: Dovecot, user: str) -> None:
    session = opened()
    chosen = session.select("INBOX")
    assert not chosen.resynced
    assert chosen.modseq is not None
    known = Known(chosen.uidvalidity, chosen.modseq, session.uids())
    with other(dovecot, user) as client:
        client.store("4", "+FLAGS", r"(\Seen)")
        client.store("1", "+FLAGS", r"(\Deleted)")
        client.expunge()
        client.append("INBOX", "", None, message(6))
    found = opened().select("INBOX", known)
    assert found.resynced
    assert str(found.vanished) == "1"
    assert [f.uid for f in found.changed] == [4]  # 6 is new: columns("6:*") has it
    assert (found.exists, found.uidnext) == (5, 7)
    again = Known(found.uidvalidity, found.modseq or 0, Ranges.parse("2:6"))
    assert not session.select("INBOX", again).changed
    wrong = Known(known.uidvalidity + 1, known.modseq, known.uids)
    assert not session.select("INBOX", wrong).resynced
    since = session.flags(since=known.modseq)
    assert list(since.uids) == [4, 6]


def test_changing(opened: Open, dovecot: Dovecot, user: str) -> None:
    session = opened()
    session.columns()
    with other(dovecot, user) as client:
        client.store("1:3", "+FLAGS", r"(\Flagged $Work)")
    session.noop()
    session.changes()
    done = session.store(Ranges.parse("1:2"), "+", Flags(System.SEEN, ("new",)))
    assert {f.uid: f.flags.keywords for f in done.flagged} == {
        1: ("$Work", "new"),
        2: ("$Work", "new"),
    }
    done = session.store(Ranges.parse("1"), "-", Flags(System.SEEN | System.FLAGGED))
    assert [f.flags.system & ~System.RECENT for f in done.flagged] == [System(0)]
    old = session.store(Ranges.parse("1"), "+", Flags(System.SEEN), unchangedsince=1)
    assert str(old.modified) == "1"
    assert session.store(Ranges.parse("1"), "+", Flags()).flagged == []

    session.create("Entwürfe & 台/2024")
    assert session.copy(Ranges.parse("1:2"), "Entwürfe & 台/2024") == {1: 1, 2: 2}
    assert session.move(Ranges.parse("2,4"), "Trash") == {2: 1, 4: 2}
    assert str(session.changes().vanished) == "2,4"
    uid = session.append("Trash", message(7), Flags(System.SEEN), 10**9)
    assert uid == 3
    assert session.status("Trash").messages == 3
    with other(dovecot, user) as client:
        client.store("3", "+FLAGS", r"(\Deleted)")  # uid 5, and it stays
    session.store(Ranges.parse("1"), "+", Flags(System.DELETED))
    session.expunge(Ranges.parse("1"))
    assert str(session.changes().vanished) == "1"
    assert str(session.uids()) == "3,5"
    session.select("Trash")
    assert session.columns().dates[-1] == 10**9
    with pytest.raises(ImapError) as e:
        session.append("nowhere", message(1))
    assert e.value.code == "TRYCREATE"
    session.noop()


def test_folders(opened: Open) -> None:
    session = opened()
    session.create("a b/c")
    session.create("2024")
    session.subscribe("a b/c")
    session.rename("a b", 'x "y"')
    found = {f.name: f for f in session.folders()}
    assert {"INBOX", "2024", 'x "y"', 'x "y"/c', "Trash"} <= set(found)
    assert found["INBOX"].status is not None
    assert found["INBOX"].status.messages == 5
    trash = special(list(found.values()), "trash")
    assert trash is not None
    assert trash.name == "Trash"
    session.delete('x "y"/c')
    session.delete("2024")
    assert "2024" not in {f.name for f in session.folders()}
    with pytest.raises(ImapError, match="localhost/imaps"):
        session.select("nowhere")
    assert session.selected is None
    with pytest.raises(ImapError):
        session.create("INBOX")


def test_notify(opened: Open, dovecot: Dovecot, user: str) -> None:
    session = opened()
    session.notify()
    session.changes()
    dovecot.deliver(user, message(8), "Sent")
    assert session.wait(DELIVERED)
    assert session.changes().folders["Sent"].messages == 1


def test_compress(opened: Open, dovecot: Dovecot, user: str) -> None:
    with other(dovecot, user) as client:
        client.append("INBOX", "", None, message(6, 1 << 20))
    with Proxy(dovecot.ports["imaps"]) as line:
        session = opened(line.port)
        assert session.compress()
        assert session.compress()
        line.reset()
        (whole,) = [b"".join(p.octets for p in session.fetch([BodyRequest(6)]))]
        assert whole == message(6, 1 << 20)
        assert line.down < 1 << 19
        session.noop()


def test_round_trips(opened: Open, dovecot: Dovecot, user: str) -> None:
    """200 bodies, or the columns and headers, are one round trip each."""
    with other(dovecot, user) as client:
        for n in range(6, 206):
            client.append("INBOX", "", None, message(n))
    with Proxy(dovecot.ports["imaps"], delay=0.005) as line:
        session = opened(line.port)
        line.reset()
        assert len(session.columns()) == 205
        assert line.turns == 1
        line.reset()
        wanted = [BodyRequest(n) for n in range(6, 206)]
        assert len(list(session.fetch(wanted))) == 200
        assert line.turns <= 2
        line.reset()
        pieces = session.fetch([BodyRequest(n, n % 50, 20) for n in range(6, 206)])
        assert len(list(pieces)) == 200
        # Fifty commands: as answers come, the next go out, so bursts are hard to tell.
        assert line.turns <= 25


def test_login_takes_few_round_trips(
    connect: Open, agent: Served, tmp_path: Path
) -> None:
    agent.add("proto=pass server=localhost user=ann !password=secret")
    users = {"ann": ("secret", "maildir:~/Maildir")}
    with Dovecot(users, mechanisms="plain", tls=False) as server:
        with Proxy(server.ports["imap"], delay=0.005) as line:
            session = connect(line.port, user="ann")
            session.select("INBOX")
            # The key, ENABLE and ID together; SELECT.
            assert line.turns == 2
            assert "QRESYNC" in session.enabled


@pytest.mark.parametrize("cut", [0, 1, 50, 400, 1000, 3000, 5000, 9000, 20000])
def test_cut(opened: Open, dovecot: Dovecot, user: str, cut: int) -> None:
    """Wherever the line breaks, what was read is right and the rest is an error."""
    with other(dovecot, user) as client:
        client.append("INBOX", "", None, message(6, 20000))
    got: dict[int, bytes] = {}
    with Proxy(dovecot.ports["imaps"], cut_down=cut) as line:
        with pytest.raises(OSError, match="localhost"):  # noqa: PT012  # in all of it
            session = opened(line.port)
            session.columns()
            for piece in session.fetch([BodyRequest(n) for n in range(1, 7)]):
                got[piece.uid] = got.get(piece.uid, b"") + piece.octets
            list(session.heads(range(1, 7), FIELDS))
            while True:
                session.noop()
    sizes = {6: 20000}
    for uid, octets in got.items():
        assert message(uid, sizes.get(uid, 0)).startswith(octets)


Break = Callable[[Proxy], None]


@pytest.mark.parametrize("how", [Proxy.cut, Proxy.half_close, Proxy.freeze])
def test_line_that_breaks_while_nothing_happens(
    opened: Open, dovecot: Dovecot, how: Break
) -> None:
    with Proxy(dovecot.ports["imaps"]) as line:
        session = opened(line.port, timeout=0.5)
        session.changes()
        assert not session.wait(0.1)
        how(line)
        with pytest.raises(OSError, match="localhost/imaps"):
            session.noop()


@pytest.mark.parametrize("how", [Proxy.cut, Proxy.half_close])
def test_line_that_breaks_during_idle(
    opened: Open, dovecot: Dovecot, how: Break
) -> None:
    with Proxy(dovecot.ports["imaps"]) as line:
        session = opened(line.port)
        session.changes()
        timer = threading.Timer(0.1, how, (line,))
        timer.start()
        with pytest.raises(OSError, match="localhost/imaps"):
            session.wait(DELIVERED)
        timer.join()


def test_server_killed_and_started_again(
    connect: Open, agent: Served, tmp_path: Path
) -> None:
    agent.add("proto=pass server=localhost user=ann !password=secret")
    users = {"ann": ("secret", "maildir:~/Maildir")}
    with Dovecot(users) as server:
        server.deliver("ann", message(1))
        trust = server.trust(tmp_path)
        port = server.ports["imaps"]
        session = connect(port, "imaps", user="ann", trust=trust)
        chosen = session.select("INBOX")
        server.kill()
        with pytest.raises(OSError, match="localhost/imaps"):
            session.noop()
        with pytest.raises(OSError, match="localhost/imaps: connection re"):
            connect(port, "imaps", user="ann", trust=trust)
        server.start()
        server.deliver("ann", message(2))
        known = Known(chosen.uidvalidity, chosen.modseq or 0, Ranges.parse("1"))
        found = connect(port, "imaps", user="ann", trust=trust).select("INBOX", known)
        assert found.resynced
        assert (str(found.vanished), found.uidnext) == ("", 3)


class Mirror:
    """What a driver would know of a folder: rows by uid, kept up by news alone."""

    def __init__(self, session: ImapSession) -> None:
        self.session = session
        self.rows: dict[int, Flags] = {}
        self.unsure = 0
        self._add("1:*")
        session.changes()

    def _add(self, uids: str) -> None:
        found = self.session.columns(uids)
        self.rows |= dict(zip(found.uids, found.flags, strict=True))

    def store(self, flags: Flags) -> None:
        """Change flags, and know of it."""
        done = self.session.store(Ranges.of(self.rows), "+", flags)
        self.rows |= {f.uid: f.flags for f in done.flagged if f.uid in self.rows}

    def follow(self) -> None:
        """Apply what is new."""
        while news := self.session.changes():
            for uid in news.vanished:
                self.rows.pop(uid, None)
            if news.unsure:
                self.unsure += 1
                self.rows.clear()
                self._add("1:*")
            for item in news.flagged:
                if item.uid in self.rows:
                    self.rows[item.uid] = item.flags
            if news.grown:
                self._add(f"{max(self.rows, default=0) + 1}:*")


def _storm(client: imaplib.IMAP4, chance: random.Random) -> None:
    """Do something that others will hear of."""
    count = len(client.search(None, "ALL")[1][0].split())
    what = chance.randrange(5)
    if what == 0 or count < 3:
        client.append("INBOX", "", None, message(chance.randrange(1000)))
    elif what == 1:
        client.store(str(chance.randint(1, count)), "+FLAGS", r"(\Deleted)")
        client.expunge()
    else:
        sign = chance.choice("+-")
        word = chance.choice([r"\Seen", r"\Flagged", "kw", "$Work"])
        client.store(str(chance.randint(1, count)), f"{sign}FLAGS", f"({word})")


@pytest.mark.parametrize("resync", [True, False])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_after_a_storm_all_is_as_on_the_server(
    opened: Open, dovecot: Dovecot, user: str, seed: int, resync: bool
) -> None:
    """By VANISHED and by sequence numbers, in the middle of every command."""
    session = opened() if resync else _without(opened)
    mirror = Mirror(session)
    chance = random.Random(seed)
    does: list[Callable[[], object]] = [
        session.noop,
        lambda: session.wait(0.02),
        lambda: list(session.fetch([BodyRequest(u) for u in mirror.rows])),
        lambda: list(session.heads(mirror.rows, FIELDS)),
        session.uids,
        session.flags,
        lambda: mirror.store(Flags(keywords=("us",))),
    ]
    with other(dovecot, user) as client:
        for _ in range(60):
            for _ in range(chance.randrange(4)):
                _storm(client, chance)
            chance.choice(does)()
            if chance.random() < 0.5:
                mirror.follow()
        session.noop()
        mirror.follow()
        session.noop()
        mirror.follow()
    truth = opened().columns()
    # Without VANISHED nobody can tell which message it was that came and went.
    assert not (resync and mirror.unsure)
    assert list(mirror.rows) == list(truth.uids)
    recent = ~System.RECENT
    assert [(f.system & recent, f.keywords) for f in mirror.rows.values()] == [
        (f.system & recent, f.keywords) for f in truth.flags
    ]
