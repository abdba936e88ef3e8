"""9P over TLS: handshakes good, bad and never finished; who is let in by what."""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mailfs.errors import MailfsError, Refused
from mailfs.p9 import secure
from mailfs.p9.auth import AuthHandle
from mailfs.p9.client import Client
from mailfs.p9.dial import dial
from mailfs.p9.fcall import NOFID, Rattach, Rerror, Tattach, Tauth, Tversion
from mailfs.p9.ramfs import Ram
from mailfs.p9.srv import Door, Server
from mailfs.tls.clients import Clients
from mailfs.tls.keypair import Keypair
from mailfs.tls.ninep import dialler
from mailfs.tls.thumb import line
from mailfs.where import DialString
from tests.p9.serving import WAIT, Raw
from tests.tls import pki as made

T = TypeVar("T")
USER = "glenda"


class Loop:
    """An event loop on a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(WAIT)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> made.Pki:
    return made.make(tmp_path_factory.mktemp("pki"))


class World:
    """A root for a server and another for its client, who trust each other or not."""

    def __init__(self, folder: Path, pki: made.Pki) -> None:
        self.folder = folder
        self.pki = pki
        self.clients = Clients(folder / "server")
        self.clients.folder.mkdir(parents=True)
        self.pair = self.keypair("alone")
        lists = folder / "client/sys/lib/tls"
        lists.mkdir(parents=True)
        (lists / "9fs").write_text(line(pki.alone.der) + "\n")

    def keypair(self, who: str, folder: str = "keys") -> Keypair:
        (self.folder / folder).mkdir(exist_ok=True)
        issued: made.Issued = getattr(self.pki, who)
        pem, key = issued.write(self.folder / folder, who)
        key.chmod(0o600)
        return Keypair(pem, key)

    def list(self, user: str, *whos: str) -> None:
        pems = "".join(self.keypair(who).cert.read_text() for who in whos)
        (self.clients.folder / f"{user}.pem").write_text(pems)

    def door(self, **more: Any) -> Door:
        return Door(
            DialString("tls", "127.0.0.1", 0),
            identify=self.identify,
            context=lambda: self.clients.context(self.pair),
            **more,
        )

    def identify(self, transport: asyncio.BaseTransport) -> str:
        inner: ssl.SSLObject = transport.get_extra_info("ssl_object")
        return self.clients.user(inner.getpeercert(binary_form=True))

    def client(
        self, address: DialString, who: str | None = None, **more: Any
    ) -> Client:
        own = None if who is None else self.keypair(who)
        dial = dialler(self.folder / "client", own)
        return Client(address, timeout=WAIT, dial=dial, **({"uname": USER} | more))


@pytest.fixture
def world(tmp_path: Path, pki: made.Pki) -> World:
    return World(tmp_path, pki)


Serve = Callable[..., DialString]


@pytest.fixture
def serve(loop: Loop, world: World) -> Iterator[Serve]:
    """Serve a tree of glenda's by TLS; returns the address."""
    servers = []

    def start(**more: Any) -> DialString:
        server = Server(Ram(USER).attach)
        servers.append(server)
        return loop.do(server.listen(world.door(**more)))

    yield start
    for server in servers:
        loop.do(server.close())


def test_a_listed_certificate_is_the_user(world: World, serve: Serve) -> None:
    world.list(USER, "good", "rsa")
    address = serve()
    for who in ("good", "rsa"):
        with world.client(address, who) as client:
            client.create("/file", 0o644).close()
            data = bytes(range(256)) * 4096  # more than a record of TLS
            client.write("/file", data)
            assert client.read("/file") == data
            client.remove("/file")
        for uname in ("rob", ""):
            with pytest.raises(MailfsError, match="authentication failed"):
                world.client(address, who, uname=uname)


NOBODIES = ["unknown", "good", "wrong"]


@pytest.mark.parametrize("who", NOBODIES)
def test_an_unlisted_certificate_is_refused(
    world: World, serve: Serve, who: str
) -> None:
    world.list(USER, "rsa")
    with pytest.raises(MailfsError):
        world.client(serve(), who)


def test_who_issued_it_is_no_matter(world: World, serve: Serve) -> None:
    """A listed authority does not vouch for those it issued."""
    world.list(USER, "ca")
    with pytest.raises(MailfsError, match="authentication failed"):
        world.client(serve(), "good")


def test_an_expired_certificate_is_refused(world: World, serve: Serve) -> None:
    world.list(USER, "expired")
    with pytest.raises(MailfsError):
        world.client(serve(), "expired")


def test_no_certificate_is_nobody(world: World, serve: Serve) -> None:
    address = serve()
    with pytest.raises(MailfsError, match="authentication failed"):
        world.client(address)
    world.list(USER, "good")
    with pytest.raises(MailfsError, match="authentication failed"):
        world.client(address)


def test_the_list_holds_from_the_next_connection_on(world: World, serve: Serve) -> None:
    address = serve()
    world.list("rob", "good")
    with pytest.raises(MailfsError):
        world.client(address, "good")
    (world.clients.folder / "rob.pem").unlink()
    world.list(USER, "good")
    world.client(address, "good").close()
    (world.clients.folder / f"{USER}.pem").write_text("nonsense")
    with pytest.raises(MailfsError):
        world.client(address, "good")
    world.list(USER, "good")
    world.client(address, "good").close()


class Proof(AuthHandle):
    """A conversation that proves glenda at once."""

    @property
    def user(self) -> str:
        return USER


def test_an_afid_proves_who_has_no_certificate(
    world: World, loop: Loop, serve: Serve
) -> None:
    world.list("rob", "good")
    address = serve(auth=lambda uname, aname: Proof())

    def tls(who: str | None) -> Raw:
        own = None if who is None else world.keypair(who)
        raw = object.__new__(Raw)
        raw.sock = dialler(world.folder / "client", own)(address, WAIT)
        raw._rest = b""
        raw.ask(Tversion(8192, "9P2000"))
        return raw

    with tls(None) as raw:
        assert isinstance(raw.ask(Tattach(1, NOFID, USER, "")), Rerror)
        assert not isinstance(raw.ask(Tauth(0, USER, "")), Rerror)
        assert isinstance(raw.ask(Tattach(1, 0, "rob", "")), Rerror)
        assert isinstance(raw.ask(Tattach(1, 0, USER, "")), Rattach)
    with tls("good") as raw:  # rob, who can be glenda if he proves it
        assert raw.ask(Tauth(0, "rob", "")) == Rerror("authentication not required")
        assert not isinstance(raw.ask(Tauth(0, USER, "")), Rerror)
        assert isinstance(raw.ask(Tattach(1, 0, USER, "")), Rattach)


def test_tauth_where_only_certificates_count(world: World, serve: Serve) -> None:
    raw = object.__new__(Raw)
    raw.sock = dialler(world.folder / "client")(serve(), WAIT)
    raw._rest = b""
    with raw:
        raw.ask(Tversion(8192, "9P2000"))
        assert raw.ask(Tauth(0, USER, "")) == Rerror("authentication failed")


def test_the_server_has_to_be_trusted(world: World, serve: Serve) -> None:
    world.list(USER, "good")
    address = serve()
    (world.folder / "client/sys/lib/tls/9fs").unlink()
    with pytest.raises(MailfsError, match=r"not recognized.* t9fs "):
        world.client(address, "good")


def test_what_cannot_be_served(world: World, loop: Loop) -> None:
    server = Server(Ram(USER).attach)
    tls = DialString("tls", "127.0.0.1", 0)
    with pytest.raises(MailfsError, match="TLS needs a certificate"):
        loop.do(server.listen(tls))
    door = Door(tls, context=lambda: world.clients.context(world.pair))
    with pytest.raises(MailfsError, match="authentication is needed"):
        loop.do(server.listen(door))
    with pytest.raises(MailfsError, match="TLS needs a certificate"):
        loop.do(server.listen(replace(door, address=DialString("tcp", "127.0.0.1", 0))))
    with pytest.raises(MailfsError, match="cannot be dialled"):
        dial(tls)


def test_who_does_not_speak_tls_disturbs_nobody(
    world: World, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secure, "SHAKING", 3)
    world.list(USER, "good")
    address = serve()
    plain = DialString("tcp", address.host, address.port)
    with dial(plain, WAIT) as talking:
        talking.sendall(b"\x13\0\0\0\x64\xff\xff\0\x20\0\0\x06\x009P2000")
        while talking.recv(100):  # an alert, then the end
            pass
    silent = [dial(plain, WAIT) for _ in range(3)]
    # They wait to be heard; others are told to go, and come again later.
    refused = dial(plain, WAIT)
    assert refused.recv(1) == b""
    for sock in (refused, *silent):
        sock.close()
    end = time.monotonic() + WAIT
    done = False
    while not done:
        assert time.monotonic() < end
        with contextlib.suppress(MailfsError):
            world.client(address, "good").close()
            done = True


def test_a_handshake_that_is_never_finished_ends(world: World, loop: Loop) -> None:
    async def listen() -> tuple[secure.SecureListener, socket.socket]:
        sock = socket.create_server(("127.0.0.1", 0))
        context = world.clients.context(world.pair)
        make: Callable[[], asyncio.Protocol] = asyncio.Protocol
        return secure.SecureListener([sock], make, lambda: context, 0.05), sock

    listener, sock = loop.do(listen())
    with socket.create_connection(sock.getsockname(), WAIT) as client:
        assert client.recv(1) == b""
    loop.loop.call_soon_threadsafe(listener.close)
    loop.do(listener.wait_closed())
    sock.close()


def test_a_unix_line_that_tells_who_is_there(loop: Loop, tmp_path: Path) -> None:
    server = Server(Ram(USER).attach)
    address = DialString("unix", str(tmp_path / "s"))
    who = USER
    loop.do(server.listen(Door(address, identify=lambda transport: who)))
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o666
    Client(address, uname=USER).close()
    with pytest.raises(Refused, match="authentication failed"):
        Client(address, uname="rob")
    who = ""
    for uname in (USER, ""):
        with pytest.raises(Refused, match="authentication failed"):
            Client(address, uname=uname)
    loop.do(server.close())
