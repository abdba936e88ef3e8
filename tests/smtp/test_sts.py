"""Policies of domains: the grammar, the cache, fetching over HTTPS."""

import contextlib
import http.client
import http.server
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.smtp import sts
from mailfs.smtp.dns import Dns
from mailfs.smtp.sts import MAX_AGE, BadPolicy, Policies, StsPolicy, parse
from tests.smtp.nameserver import FAIL, NameServer
from tests.tls.pki import Pki

PATIENCE = 30.0  # seconds
TEXT = b"""\
version: STSv1\r
mode: enforce\r
mx: mx.b.com\r
mx: *.C.com\r
max_age: 100\r
"""
RECORD = ('"v=STSv1; id=7;"',)


def test_parse() -> None:
    policy = parse(TEXT, "7", 1000.0)
    assert policy == StsPolicy("7", "enforce", ("mx.b.com", "*.c.com"), 1000.0, 1100.0)
    assert parse(TEXT.replace(b"100", b"9999999999"), "7", 0).until == MAX_AGE
    none = b"version: STSv1\nmode: none\nmax_age: 5\n"
    assert parse(none, "7", 0).mode == "none"


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("mx.b.com", True),
        ("MX.b.com.", True),
        ("a.c.com", True),
        ("a.b.c.com", False),
        ("c.com", False),
        ("xmx.b.com", False),
    ],
)
def test_allows(host: str, *, allowed: bool) -> None:
    assert parse(TEXT, "7", 0).allows(host) == allowed


@pytest.mark.parametrize(
    "text",
    [
        b"",
        TEXT.replace(b"STSv1", b"STSv2"),
        TEXT.replace(b"enforce", b"maybe"),
        TEXT.replace(b"100", b"-1"),
        TEXT.replace(b"mx:", b"mz:"),
        TEXT + b"x" * sts.MAX_POLICY,
    ],
)
def test_no_policy(text: bytes) -> None:
    with pytest.raises(BadPolicy):
        parse(text, "7", 0)


@given(st.binary(max_size=80))
def test_garbage(text: bytes) -> None:
    try:
        policy = parse(b"version: STSv1\nmode: enforce\n" + text, "7", 0)
    except BadPolicy:
        return
    assert policy.hosts
    assert policy.until <= MAX_AGE


class World:
    """A clock, a name server and what is fetched."""

    def __init__(self, server: NameServer, cache: Path | None) -> None:
        self.now = 1000.0
        self.fetched = 0
        self.text: bytes | None = TEXT
        self.server = server
        self.cache = cache

    def policies(self) -> Policies:
        return Policies(Dns(self.server.resolvers), self.cache, self.fetch, self.clock)

    def clock(self) -> float:
        return self.now

    def fetch(self, domain: str) -> bytes:
        assert domain == "b.com"
        self.fetched += 1
        if self.text is None:
            raise OSError("no route")
        return self.text


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with NameServer({("_mta-sts.b.com", "TXT"): RECORD}) as server:
        yield World(server, tmp_path / "cache")


def test_cached(world: World) -> None:
    policies = world.policies()
    first = policies.find("B.com")
    assert first is not None
    assert policies.find("b.com") == first
    assert world.policies().find("b.com") == first  # another process
    assert world.fetched == 1
    world.server.zone["_mta-sts.b.com", "TXT"] = ('"v=STSv1; id=8"',)
    changed = world.policies().find("b.com")
    assert changed is not None
    assert (changed.ident, world.fetched) == ("8", 2)


def test_an_old_one_holds_while_none_can_be_had(world: World) -> None:
    old = world.policies().find("b.com")
    world.server.zone["_mta-sts.b.com", "TXT"] = ('"v=STSv1; id=9"',)
    world.text = None
    assert world.policies().find("b.com") == old
    world.server.zone["_mta-sts.b.com", "TXT"] = FAIL
    assert world.policies().find("b.com") == old
    world.now += 101
    assert world.policies().find("b.com") is None


def test_renewed_before_it_ends(world: World) -> None:
    """The same id; a server that is cut off when it ends cannot switch it off."""
    policies = world.policies()
    assert policies.find("b.com") is not None
    world.now += 60  # of 100
    assert policies.find("b.com") is not None
    assert world.fetched == 2
    world.text = None
    world.now += 60
    assert policies.find("b.com") is not None
    assert world.fetched == 3


@pytest.mark.parametrize("stage", ["handshake", "drip", "silence"])
def test_a_fetch_ends(pki: Pki, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.tls.pki import leaf

    pem, key = leaf(pki.ca, "mta-sts.localhost").write(pki.folder, "slow")
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(pem, key)
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            if stage == "handshake":
                over.wait(PATIENCE)
                return
            with ctx.wrap_socket(sock, server_side=True) as tls:
                tls.recv(1000)
                with contextlib.suppress(OSError):
                    tls.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    while not over.wait(0.02):
                        if stage == "drip":
                            tls.sendall(b"x")

    thread = threading.Thread(target=serve)
    thread.start()
    real = socket.getaddrinfo
    monkeypatch.setattr(
        "socket.getaddrinfo", lambda host, *rest, **more: real("127.0.0.1", *rest)
    )
    trusting = ssl.create_default_context(cafile=str(pki.ca_file))
    port = listener.getsockname()[1]
    began = time.monotonic()
    try:
        with pytest.raises((OSError, http.client.HTTPException)):
            sts.fetch("localhost", port, trusting, seconds=0.5)
        assert time.monotonic() - began < PATIENCE / 2  # nobody else ends it
    finally:
        over.set()
        thread.join()
        listener.close()


def test_none(world: World) -> None:
    world.server.zone["_mta-sts.b.com", "TXT"] = ('"v=STSv1; id=1"', '"v=STSv1; id=2"')
    assert world.policies().find("b.com") is None
    assert world.policies().find("other.com") is None
    assert world.fetched == 0
    policies = world.policies()
    world.server.zone["_mta-sts.b.com", "TXT"] = RECORD
    world.text = b"nonsense"
    assert policies.find("b.com") is None
    assert policies.find("b.com") is None
    assert world.fetched == 1  # and is left alone for a while
    world.text = TEXT
    world.now += sts.AGAIN + 1
    assert policies.find("b.com") is not None


class _Page(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        if self.path != sts.PATH:
            self.send_error(404)
            return
        self.send_response(_Page.status)
        self.end_headers()
        self.wfile.write(TEXT)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_fetch(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.tls.pki import leaf

    pem, key = leaf(pki.ca, "mta-sts.localhost").write(pki.folder, "sts")
    server = http.server.HTTPServer(("127.0.0.1", 0), _Page)
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(pem, key)
    server.socket = ctx.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    trusting = ssl.create_default_context(cafile=str(pki.ca_file))
    port = server.server_address[1]
    real = sts.http.client.socket.getaddrinfo  # type: ignore[attr-defined]
    monkeypatch.setattr(
        "socket.getaddrinfo",
        lambda host, *rest, **more: real("127.0.0.1", *rest, **more),
    )
    try:
        assert sts.fetch("localhost", port, trusting) == TEXT
        with pytest.raises(ssl.SSLCertVerificationError):
            sts.fetch("other", port, trusting)
        with pytest.raises(ssl.SSLCertVerificationError):
            sts.fetch("localhost", port)
        monkeypatch.setattr(_Page, "status", 301)
        with pytest.raises(http.client.HTTPException, match="301"):
            sts.fetch("localhost", port, trusting)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
