"""From the greeting to the first command, with servers of every mood."""

import hmac
import socket
import threading
from base64 import b64decode
from collections.abc import Callable

import pytest

from mailfs import where
from mailfs.factotum.client import Factotum, FactotumError, NeedKey
from mailfs.imap.account import Account
from mailfs.imap.error import ImapError
from mailfs.imap.line import Transport
from mailfs.imap.session import ImapSession
from mailfs.tls.trust import Trust
from tests.factotum.serving import Served
from tests.factotum.world import NOW
from tests.imap.conftest import Open
from tests.net.proxy import Proxy
from tests.net.scripted import Answer, Play, Scripted, Talk, imap

Start = Callable[..., tuple[ImapSession, Scripted]]


def greeting(*lines: str | bytes) -> Play:
    def play(talk: Talk) -> None:
        talk.send(*lines)
        talk.line()

    return play


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        ("* BYE too many connections", ConnectionError, "bye: too many connections"),
        ("* BYE", ConnectionError, "server said bye"),
        ("+OK POP3 ready", ImapError, "error in initial IMAP handshake"),
        ("220 smtp", ImapError, "error in initial IMAP handshake"),
        ("* NO", ImapError, "error in initial IMAP handshake"),
        ("* 5 EXISTS", ImapError, "error in initial IMAP handshake"),
        (b"\x15\x03\x01\x00\x02\x02\x16\n", ImapError, "initial IMAP handshake"),
    ],
)
def test_bad_greeting(
    connect: Open, line: str | bytes, error: type[Exception], words: str
) -> None:
    with Scripted(greeting(line)) as server:
        with pytest.raises(error, match=words):
            connect(server.port)


def test_silence(connect: Open) -> None:
    with Scripted(greeting()) as server:
        with pytest.raises(TimeoutError, match="localhost/imap: timed out"):
            connect(server.port, timeout=0.2)


def test_nobody_there(connect: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(OSError, match="localhost/imap: connection refused"):
        connect(port)


def test_preauth(play: Start) -> None:
    session, server = play(imap(greeting="* PREAUTH [CAPABILITY @caps] glenda, hello"))
    session.select("INBOX")
    assert not server.said("(AUTHENTICATE|LOGIN).*")
    assert server.said("ENABLE.*|ID.*")


def test_preauth_allows_no_tls(connect: Open) -> None:
    with Scripted(imap(greeting="* PREAUTH hello")) as server:
        with pytest.raises(ImapError, match="before TLS can begin"):
            connect(server.port, "imaptls")


def test_tls_not_offered(connect: Open) -> None:
    with Scripted(imap()) as server:
        with pytest.raises(ImapError, match="does not offer starttls"):
            connect(server.port, "imaptls")
        assert not server.said("(AUTHENTICATE|LOGIN).*")


def test_words_slipped_in_behind_starttls(connect: Open) -> None:
    def inject(talk: Talk, tag: str, words: str) -> None:
        talk.send(f"{tag} OK begin".encode() + b"\r\n* OK [CAPABILITY IMAP4rev1]\r\n")

    play = imap({"STARTTLS": inject}, capabilities="IMAP4rev1 STARTTLS AUTH=PLAIN")
    with Scripted(play) as server:
        with pytest.raises(ImapError, match="clear text after agreeing"):
            connect(server.port)
        assert not server.said("(AUTHENTICATE|LOGIN).*")


def test_starttls_refused_is_no_way_around_it(connect: Open) -> None:
    play = imap({"STARTTLS": ["$ NO not today"]}, capabilities="IMAP4rev1 STARTTLS")
    with Scripted(play) as server:
        with pytest.raises(ImapError, match="not today"):
            connect(server.port)
        assert not server.said("(AUTHENTICATE|LOGIN).*")


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have loopback taken for the wide world."""
    monkeypatch.setattr(where, "is_loopback", lambda host: False)


@pytest.mark.usefixtures("far")
def test_no_password_in_clear(connect: Open) -> None:
    with Scripted(imap()) as server:
        with pytest.raises(ImapError, match="no password is sent in clear"):
            connect(server.port)
        assert not server.said("(AUTHENTICATE|LOGIN).*")
        assert connect(server.port, clear=True).user == "glenda"


@pytest.mark.usefixtures("far")
def test_cram_shows_no_password(connect: Open, agent: Served) -> None:
    """With a key of proto pass too, as most have."""
    seen: list[bytes] = []

    def cram(talk: Talk, tag: str, words: str) -> None:
        talk.send("+ PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2U+")
        seen.append(b64decode(talk.line()))
        talk.send(f"{tag} OK in")

    play = imap(
        {"AUTHENTICATE CRAM-MD5": cram},
        capabilities="IMAP4rev1 AUTH=PLAIN AUTH=CRAM-MD5",
    )
    with Scripted(play) as server:
        connect(server.port)
    want = hmac.new(b"secret", b"<1896.697170952@postoffice>", "md5").hexdigest()
    assert seen == [b"glenda " + want.encode()]


def test_login_command_where_there_is_no_sasl(play: Start) -> None:
    session, server = play(imap(capabilities="IMAP4rev1"))
    assert session.user == "glenda"
    assert server.said("LOGIN.*") == ["LOGIN glenda secret"]


def test_logindisabled(connect: Open) -> None:
    with Scripted(imap(capabilities="IMAP4rev1 LOGINDISABLED")) as server:
        with pytest.raises(ImapError, match="no way to log in"):
            connect(server.port)


def test_odd_passwords_go_as_they_are(agent: Served, connect: Open) -> None:
    agent.add("""proto=pass server=localhost user='a b' '!password=p"\\''é'""")
    with Scripted(imap(capabilities="IMAP4rev1 LITERAL+")) as server:
        connect(server.port, user="a b")
        (said,) = server.said("LOGIN.*")
    octets = "p\"\\'é".encode().decode("latin-1")
    assert said == f'LOGIN "a b" {{6}}\r\n{octets}'


def test_capabilities_that_nobody_told(play: Start) -> None:
    """Neither the greeting nor the answer to the login has them."""
    answers: dict[str, Answer] = {"AUTHENTICATE PLAIN .*": ["$ OK in"]}
    session, server = play(imap(answers, greeting="* OK ready"))
    assert "UIDPLUS" in session.capabilities
    assert len(server.said("CAPABILITY")) == 2


def test_capabilities_may_change(play: Start) -> None:
    answers: dict[str, Answer] = {"NOOP": ["* CAPABILITY IMAP4rev1 X-NEW", "$ OK"]}
    session, _ = play(imap(answers))
    session.noop()
    assert session.capabilities == {"IMAP4REV1", "X-NEW"}


def test_enable_refused(play: Start) -> None:
    answers: dict[str, Answer] = {"ENABLE .*": ["$ BAD no"], "ID .*": ["$ NO no"]}
    session, _ = play(
        imap(answers, capabilities="IMAP4rev1 AUTH=PLAIN ENABLE ID QRESYNC")
    )
    assert session.enabled == frozenset()
    session.select("INBOX")


def test_untold_user(agent: Served, trust: Trust) -> None:
    """The key says who we are where the account does not."""
    agent.add("proto=pass server=127.0.0.1 user=bootes !password=x")
    with Scripted(imap()) as server, agent.keys() as keys:
        account = Account("127.0.0.1", "imap", server.port)
        session = ImapSession.open(account, keys, trust)
        assert session.user == "bootes"
        session.logout()


def test_key_for_one_service(agent: Served, trust: Trust) -> None:
    agent.add(
        "proto=pass service=smtp server=127.0.0.2 user=smith !password=no",
        "proto=pass service=imap server=127.0.0.2 user=smith !password=yes",
    )
    with Scripted(imap(capabilities="IMAP4rev1")) as server, agent.keys() as keys:
        account = Account("127.0.0.2", "imap", 0, "smith")
        local = lambda host, port, timeout: socket.create_connection(  # noqa: E731
            ("127.0.0.1", server.port), timeout
        )
        ImapSession.open(account, keys, trust, dial=local).logout()
        assert server.said("LOGIN.*") == ["LOGIN smith yes"]


def test_token(agent: Served, trust: Trust) -> None:
    """A key may be for several servers, as Google's are."""
    agent.add(
        "proto=oauth issuer=https://x clientid=c user=t server=elsewhere "
        f"server=localhost !refreshtoken=r !accesstoken=tok !expires={int(NOW) + 1000}"
    )
    play = imap(
        {"AUTHENTICATE XOAUTH2 .*": ["$ OK in"]},
        capabilities="IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2",
    )
    with Scripted(play) as server, agent.keys() as keys:
        account = Account("localhost", "imap", server.port, "t")
        ImapSession.open(account, keys, trust).logout()
        (said,) = server.said("AUTHENTICATE.*")
    assert b64decode(said.split()[2]) == b"user=t\1auth=Bearer tok\1\1"


@pytest.mark.parametrize(
    ("challenge", "error", "words"),
    [
        ("+ " + "A" * (1 << 17), ImapError, "challenge too long"),
        ("+ r=!", ImapError, "malformed challenge"),
        ("+ cj0h", FactotumError, "malformed message"),
    ],
)
def test_bad_challenge(
    connect: Open, challenge: str, error: type[Exception], words: str
) -> None:
    def scram(talk: Talk, tag: str, said: str) -> None:
        talk.send(challenge)
        assert talk.line() == "*"
        talk.send(f"{tag} BAD cancelled")

    play = imap(
        {"AUTHENTICATE .*": scram},
        capabilities="IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256",
    )
    with Scripted(play) as server:
        with pytest.raises(error, match=words):
            connect(server.port)


def test_endless_login(connect: Open) -> None:
    def cram(talk: Talk, tag: str, said: str) -> None:
        while True:
            talk.send("+ PDFAeD4=")
            talk.line()

    play = imap({"AUTHENTICATE .*": cram}, capabilities="IMAP4rev1 AUTH=CRAM-MD5")
    with Scripted(play) as server:
        with pytest.raises(ImapError, match="out of turn"):
            connect(server.port)


def test_missing_key_names_what_is_wanted(keys: Factotum, trust: Trust) -> None:
    with Scripted(imap()) as server:
        account = Account("localhost", "imap", server.port, "nobody")
        with pytest.raises(NeedKey, match="proto=pass") as e:
            ImapSession.open(account, keys, trust)
    assert "user=nobody" in str(e.value)


def test_compress_only_on_a_slow_line(play: Start, connect: Open) -> None:
    rows = [f"* {n} FETCH (UID {n} FLAGS () RFC822.SIZE 9)" for n in range(1, 9000)]
    answers: dict[str, Answer] = {
        "UID FETCH .*": [*rows, "$ OK"],
        "COMPRESS .*": ["$ NO it would have"],
    }
    script = imap(answers, capabilities="IMAP4rev1 AUTH=PLAIN SASL-IR COMPRESS=DEFLATE")
    session, server = play(script)
    session.columns()
    session.columns()
    assert not server.said("COMPRESS.*")
    with Proxy(server.port, delay=0.005, rate=2_000_000) as line:
        slow = connect(line.port)
        slow.wire.line.trip = 0.01  # the proxy takes connections at once
        slow.columns()
        with pytest.raises(ImapError, match="would have"):
            slow.columns()
        assert len(connect(line.port, compress=False).columns()) == 8999


def test_line_refuses_what_is_no_deflate() -> None:
    ours, theirs = socket.socketpair()
    line = Transport(ours, "test/imap", 5)
    line.start_compress(b"")
    thread = threading.Thread(target=theirs.sendall, args=(b"\xff" * 100,))
    thread.start()
    with pytest.raises(ConnectionError, match="malformed compressed data"):
        line.receive()
    thread.join()
    theirs.close()
    line.close()


def test_trace_shows_no_secret(caplog: pytest.LogCaptureFixture, play: Start) -> None:
    caplog.set_level("DEBUG", "mailfs.imap")
    for capabilities in ("IMAP4rev1", "IMAP4rev1 SASL-IR AUTH=PLAIN"):
        session, server = play(imap(capabilities=capabilities))
        session.create("é")
        assert any("secret" in s or "AGdsZW5k" in s for s in server.heard)
    text = caplog.text
    assert "-> m1 LOGIN\n" in text
    assert "-> m1 AUTHENTICATE\n" in text
    assert "CREATE &AOk-" in text
    assert "<- m1 OK" in text
    assert "secret" not in text
    assert "AGdsZW5k" not in text


def test_what_was_said_before_tls_does_not_count(
    connect: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody on the way could have struck the better mechanisms from the list."""
    monkeypatch.setattr(Transport, "start_tls", lambda *_: None)
    said = iter(("LOGINDISABLED STARTTLS AUTH=LOGIN", "AUTH=PLAIN SASL-IR"))

    def capability(talk: Talk, tag: str, words: str) -> None:
        talk.send(f"* CAPABILITY IMAP4rev1 {next(said)}", f"{tag} OK done")

    play = imap({"CAPABILITY": capability}, greeting="* OK ready")
    with Scripted(play) as server:
        connect(server.port, "imaptls")
        assert server.said("AUTHENTICATE.*|LOGIN.*")[0].startswith("AUTHENTICATE PLAIN")
