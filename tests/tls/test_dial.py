"""Dialling openssl's own server: good, expired, misnamed, unknown, listed."""

import contextlib
import imaplib
import poplib
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailfs.errors import UsageError
from mailfs.tls import dial, store, thumb
from mailfs.tls.service import peer
from mailfs.tls.starttls import StarttlsError
from mailfs.tls.trust import Policy, Trust, Untrusted
from tests.tls.conftest import Serve, imaps
from tests.tls.pki import Pki


def serve_lines(script: list[bytes]) -> Callable[[socket.socket], None]:
    """Play a server: what to expect (>) and what to say, then drain what comes."""

    def play(sock: socket.socket) -> None:
        for line in script:
            if line.startswith(b">"):
                got = b""
                while not got.endswith(b"\n"):
                    more = sock.recv(1)
                    if not more:
                        return
                    got += more
                assert got.startswith(line[1:]), got
            else:
                sock.sendall(line)

    return play


class Server(threading.Thread):
    """One connection: lines in clear, TLS unless ctx is None, then lines again."""

    def __init__(
        self, ctx: ssl.SSLContext | None, before: list[bytes], after: list[bytes]
    ) -> None:
        super().__init__(daemon=True)
        self.ctx, self.before, self.after = ctx, before, after
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.heard = b""  # application octets after the handshake
        self.name: str = ""
        self.sni: str | None = None
        self.start()

    def run(self) -> None:
        sock, _ = self.listener.accept()
        self.listener.close()
        sock.settimeout(20)
        with sock:
            serve_lines(self.before)(sock)
            if self.ctx is None:
                sock.shutdown(socket.SHUT_WR)
                with contextlib.suppress(OSError):
                    while sock.recv(4096):
                        pass
                return
            self.ctx.sni_callback = lambda _s, name, _c: setattr(self, "sni", name)
            try:
                with self.ctx.wrap_socket(sock, server_side=True) as tls:
                    serve_lines(self.after)(tls)
                    while more := tls.recv(4096):
                        self.heard += more
            except OSError:
                pass  # the client hung up, as it should when it refuses


Start = Callable[..., Server]


@pytest.fixture
def server(pki: Pki) -> Iterator[Start]:
    running: list[Server] = []

    def start(
        before: list[bytes], after: list[bytes] | None = None, who: str | None = "good"
    ) -> Server:
        ctx = None
        if who:
            ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            ctx.load_cert_chain(pki.folder / f"{who}.pem", pki.folder / f"{who}.key")
        running.append(Server(ctx, before, after or []))
        return running[-1]

    yield start
    for one in running:
        one.join(20)
        assert not one.is_alive()


@pytest.mark.parametrize("who", ["good", "rsa", "deep"])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_vouched_for(
    our_ca: Pki, root: Path, s_server: Serve, who: str, version: str
) -> None:
    port = s_server(who, version, "-rev")
    with dial.connect("localhost", port, "imaps", Trust(root), 20) as sock:
        assert sock.gettimeout() == 20
        sock.sendall(b"hello\n")
        assert sock.recv(100) == b"olleh\n"
        assert len(dial.chain(sock)) == (2 if who == "deep" else 1)


REFUSED = [
    ("expired", "certificate has expired"),
    ("early", "not yet valid"),
    ("wrong", "Hostname mismatch, certificate is not valid for 'localhost'"),
    ("unknown", "unable to get local issuer certificate"),
    ("alone", "self.signed certificate"),
]


@pytest.mark.parametrize(("who", "why"), REFUSED)
def test_refused_until_listed(
    our_ca: Pki, root: Path, s_server: Serve, who: str, why: str
) -> None:
    port = s_server(who, "-rev")
    with pytest.raises(Untrusted, match=why) as e:
        dial.connect("localhost", port, "imaps", Trust(root), 20)
    assert e.value.line == thumb.line(getattr(our_ca, who).der, "localhost")
    assert e.value.file is not None
    store.append(e.value.file, root, e.value.line)
    for policy in Policy:
        with dial.connect("localhost", port, "imaps", Trust(root, policy), 20) as sock:
            sock.sendall(b"ab\n")
            assert sock.recv(100) == b"ba\n"
    with pytest.raises(Untrusted):  # the line is tied to one host
        dial.connect("127.0.0.1", port, "imaps", Trust(root, Policy.THUMBPRINT), 20)


def test_strict_policy_wants_a_line(our_ca: Pki, root: Path, s_server: Serve) -> None:
    port = s_server("good")
    with pytest.raises(Untrusted, match="not listed in"):
        dial.connect("localhost", port, "imaps", Trust(root, Policy.THUMBPRINT), 20)


def test_address_is_checked_as_an_address(
    our_ca: Pki, root: Path, s_server: Serve
) -> None:
    port = s_server("good")
    dial.connect("127.0.0.1", port, "imaps", Trust(root), 20).close()
    port = s_server("wrong")
    with pytest.raises(Untrusted, match="mismatch"):
        dial.connect("127.0.0.1", port, "imaps", Trust(root), 20)


def test_old_tls_is_refused(our_ca: Pki, root: Path, s_server: Serve) -> None:
    port = s_server("rsa", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    with pytest.raises(dial.TlsError, match="localhost: tls: "):
        dial.connect("localhost", port, "imaps", Trust(root), 20)


def test_nobody_there(root: Path, dead_port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        dial.connect("127.0.0.1", dead_port, "imaps", Trust(root), 20)
    with pytest.raises(UsageError):
        dial.connect("127.0.0.1", dead_port, "gopher", Trust(root), 20)


def test_no_tls_there(root: Path, server: Start) -> None:
    port = server([b"* OK hello, " + b"x" * 100 + b"\r\n"], who=None).port
    with pytest.raises(dial.TlsError, match="wrong version number"):
        dial.connect("127.0.0.1", port, "imaps", Trust(root), 20)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with pytest.raises(TimeoutError):
            dial.connect("127.0.0.1", port, "imaps", Trust(root), 0.05)
    port = server([], who=None).port
    with pytest.raises(ConnectionResetError):
        dial.connect("127.0.0.1", port, "imaps", Trust(root), 20)


TALKS = {
    "imap": [b"* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n", b">a STARTTLS\r\n",
             b"* OK wait\r\na OK begin\r\n"],
    "pop3": [b"+OK <1@x>\r\n", b">STLS\r\n", b"+OK begin\r\n"],
    "smtp": [b"220-x\r\n220 ESMTP\r\n", b">EHLO [127.0.0.1]\r\n",
             b"250-x\r\n250-StartTLS\r\n250 HELP\r\n", b">STARTTLS\r\n", b"220 go\r\n"],
}  # fmt: skip


@pytest.mark.parametrize("service", TALKS)
def test_starttls(our_ca: Pki, root: Path, server: Start, service: str) -> None:
    one = server(TALKS[service])
    with dial.connect("localhost", one.port, service, Trust(root), 20) as sock:
        sock.sendall(b"hello")
    one.join(20)
    assert one.heard == b"hello"
    assert one.sni == "localhost"


@pytest.mark.parametrize("service", TALKS)
def test_nothing_is_said_to_a_refused_peer(
    our_ca: Pki, root: Path, server: Start, service: str
) -> None:
    one = server(TALKS[service], who="unknown")
    with pytest.raises(Untrusted, match=f"mailfs trust --root {root} {service} "):
        dial.connect("localhost", one.port, service, Trust(root), 20)
    one.join(20)
    assert one.heard == b""


UNWILLING = [
    ("imap", [b"* PREAUTH hi\r\n"], "unexpected greeting: [*] PREAUTH hi"),
    ("imap", [b"* BYE\x1b\r\n"], r"unexpected greeting: \* BYE[?]"),
    ("imap", [b"* OK\r\n", b">a", b"a NO never\r\n"], "starttls refused: a NO never"),
    ("imap", [b"* OK\r\n", b">a", b"a BAD\r\n"], "starttls refused: a BAD"),
    ("imap", [b"* OK\r\n", b">a", b"* x\r\n" * 200], "too many lines"),
    ("imap", [b"* OK\r\n", b">a", b"a OK\r\n* 1 EXISTS\r\n"], "sent clear text after"),
    ("imap", [b"x" * 9000], "line too long"),
    ("imap", [], "hung up before TLS"),
    ("pop3", [b"-ERR busy\r\n"], "unexpected greeting: -ERR busy"),
    ("pop3", [b"+OK\r\n", b">STLS", b"-ERR no\r\n"], "stls refused: -ERR no"),
    ("pop3", [b"+OK\r\n", b">STLS", b"+OK\r\n+OK\r\n"], "sent clear text after"),
    ("smtp", [b"554 no\r\n"], "unexpected greeting: 554 no"),
    ("smtp", [b"220 x\r\n", b">EHLO", b"250 STARTTLSX\r\n"], "does not offer starttls"),
    ("smtp", [b"220 x\r\n", b">EHLO", b"502 no\r\n"], "ehlo refused: 502 no"),
    ("smtp", [b"220 x\r\n", b">EHLO", b"250-x\r\n" * 200], "too many lines"),
    ("smtp", [b"220 x\r\n", b">EHLO", b"250 STARTTLS\r\n", b">", b"454 no\r\n"],
     "starttls refused: 454 no"),
    ("smtp", [b"220 x\r\n", b">EHLO", b"250 STARTTLS\r\n", b">", b"220 a\r\n250 b\r\n"],
     "sent clear text after"),
]  # fmt: skip


@pytest.mark.parametrize(("service", "script", "why"), UNWILLING)
def test_unwilling(
    root: Path, server: Start, service: str, script: list[bytes], why: str
) -> None:
    port = server(script, who=None).port
    with pytest.raises((StarttlsError, ConnectionResetError), match=why):
        dial.connect("127.0.0.1", port, service, Trust(root), 20)


def test_libraries_take_the_context(our_ca: Pki, root: Path, server: Start) -> None:
    trust = Trust(root)
    one = server([], [b"* OK hi\r\n", b">", b"* BYE\r\nAAAA0 OK\r\n"])
    ctx = dial.context(imaps(), trust)
    with pytest.raises(imaplib.IMAP4.abort):
        imaplib.IMAP4_SSL("127.0.0.1", one.port, ssl_context=ctx, timeout=20)
    one = server([b"+OK\r\n", b">CAPA", b"+OK\r\nSTLS\r\n.\r\n", b">STLS", b"+OK\r\n"],
                 [b">QUIT", b"+OK\r\n"])  # fmt: skip
    pop = poplib.POP3("127.0.0.1", one.port, timeout=20)
    pop.stls(dial.context(peer("pop3", "localhost"), trust))
    pop.quit()
    one = server([*TALKS["smtp"][:1], b">ehlo", *TALKS["smtp"][2:]], who="alone")
    with smtplib.SMTP("127.0.0.1", one.port, timeout=20) as smtp:
        with pytest.raises(Untrusted):
            smtp.starttls(context=dial.context(peer("smtp", "localhost"), trust))
        smtp.close()


def test_ways_around_the_check_are_closed(root: Path) -> None:
    ctx = dial.context(imaps(), Trust(root))
    with pytest.raises(dial.TlsError, match="only a socket"):
        ctx.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())
    with socket.socket() as sock, pytest.raises((OSError, ValueError)):
        ctx.wrap_socket(sock, do_handshake_on_connect=False)


def test_no_second_handshake_may_change_the_peer(root: Path) -> None:
    ctx = dial.context(imaps(), Trust(root))
    assert ctx.options & ssl.OP_NO_RENEGOTIATION


def test_look_trusts_nobody(pki: Pki, s_server: Serve) -> None:
    port = s_server("deep")
    assert dial.look(imaps("127.0.0.1", port), 20) == (pki.deep.der, pki.middle.der)
