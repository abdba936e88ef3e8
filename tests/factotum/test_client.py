"""The client side: libauth's calls, SASL, and the factotum of plan9port."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from mailfs.errors import MailfsError
from mailfs.factotum.client import (
    Factotum,
    FactotumError,
    NeedKey,
    RpcClient,
    RpcPhase,
    RpcTooSmall,
    unmarshal,
)
from mailfs.factotum.conv import marshal
from mailfs.factotum.sasl import MECHANISMS, Binding, Sasl, choose
from mailfs.factotum.step import AuthInfo
from mailfs.secret import Secret
from tests.factotum.serving import Served
from tests.factotum.test_rsa import KEY, PRIVATE
from tests.factotum.world import local

BOB = "proto=pass server=imap.x.com service=imap user=bob !password='it''s a b=c'"
AL = "proto=apop proto=cram server=pop.x.com user=al !password=secret"
APOP = b"<1896.697170952@dbc.mtview.ca.us>"


def test_getuserpasswd(served: Served) -> None:
    served.add(BOB)
    with served.keys() as keys:
        login = keys.getuserpasswd("proto=pass server=imap.x.com")
        assert (login.user, login.password.text()) == ("bob", "it's a b=c")
        assert "it's" not in repr(login)


def test_respond(served: Served) -> None:
    served.add(AL)
    with served.keys() as keys:
        assert keys.respond(APOP, "proto=apop role=client server=pop.x.com") == (
            "al",
            b"3f18b52881e44c0cc6067f46e0ced7bc",
        )


def test_one_message(served: Served) -> None:
    served.add("proto=totp user=a !secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    with served.keys() as keys:
        assert keys.message("proto=totp").text() == "921300"


def test_sign(served: Served) -> None:
    served.add(f"{KEY} hash=sha256 service=dkim domain=x.com")
    digest = sha256(b"message").digest()
    template = "proto=rsa service=dkim role=sign hash=sha256 domain=x.com"
    with served.keys() as keys:
        signature = keys.sign(digest, template)
    PRIVATE.public_key().verify(signature, b"message", PKCS1v15(), SHA256())


def test_challenge(served: Served) -> None:
    served.add(AL, "proto=apop role=server user=al !password=secret")
    with served.keys() as keys:
        challenge = keys.challenge("proto=apop role=server")
        user, response = keys.respond(challenge.challenge, "proto=apop role=client")
        with pytest.raises(FactotumError, match="authentication failed"):
            challenge.response(user, b"0" * 32)
        assert challenge.response(user, response).cuid == "al"
        challenge.close()


def test_a_missing_key(served: Served) -> None:
    with served.keys() as keys:
        with pytest.raises(NeedKey) as e:
            keys.getuserpasswd("proto=pass server=x")
        assert e.value.template == "!password? proto=pass server=x user?"
        assert "mailfs factotum -g 'proto=pass server=x user? !password?'" in str(
            e.value
        )


def test_getkey_is_asked_a_few_times(served: Served) -> None:
    asked: list[str] = []

    def getkey(template: str) -> None:
        asked.append(template)
        if len(asked) == 2:
            served.add("proto=pass server=x user=a !password=b")

    with served.keys(getkey) as keys:
        assert keys.getuserpasswd("proto=pass server=x").user == "a"
        assert asked == ["!password? proto=pass server=x user?"] * 2
        with pytest.raises(NeedKey):
            keys.getuserpasswd("proto=pass server=y")
    assert len(asked) == 5


def test_control_and_keys(served: Served) -> None:
    with served.keys() as keys:
        keys.control(f"key {BOB}")
        keys.control(f"key {AL}")
        (first, *rest) = keys.keys()
        assert [str(a) for a in first][-2:] == ["user=bob", "!password?"]
        keys.refused(first)
        assert keys.keys() == rest
        with pytest.raises(MailfsError, match="unknown verb"):
            keys.control("dance")


def test_proxy(served: Served) -> None:
    served.add("proto=dp9ik dom=d user=glenda !password=secret")
    far = local(
        "proto=p9any role=server", "proto=dp9ik dom=d user=glenda !password=secret"
    )
    inbox, outbox = bytearray(), bytearray()
    sizes = [8, 56, 192]

    def send(data: bytes) -> None:
        outbox.extend(data)
        if b"\0" in outbox and not far.ended and outbox.startswith(b"dp9ik d\0"):
            far.write(bytes(outbox[:8]))
            del outbox[:8]
        while sizes and len(outbox) >= sizes[0]:
            size = sizes.pop(0)
            far.write(bytes(outbox[:size]))
            del outbox[:size]

    def recv(size: int) -> bytes:
        while far.sends:
            inbox.extend(far.read() or b"")
        data = bytes(inbox[: min(size, 50)])
        del inbox[: len(data)]
        return data

    with served.keys() as keys:
        info = keys.proxy("proto=p9any role=client", send, recv)
    assert info.cuid == "glenda"
    assert far.info is not None
    assert info.secret == far.info.secret


def test_proxy_of_a_peer_that_hangs_up(served: Served) -> None:
    with served.keys() as keys, pytest.raises(FactotumError, match="hung up"):
        keys.proxy("proto=p9any role=client", lambda data: None, lambda size: b"")


INFO = AuthInfo("a", "é", Secret(b"\0\1"), "cap")


def test_authinfo() -> None:
    wire = marshal(INFO)
    assert wire == b"\1\0a\2\0\xc3\xa9\3\0cap\2\0\0\1"
    assert unmarshal(wire) == INFO
    for bad in [wire[:n] for n in range(len(wire))] + [wire + b"\0"]:
        with pytest.raises(FactotumError, match="malformed authinfo"):
            unmarshal(bad)


class Script:
    """An rpc file that replies what it is told."""

    iounit = 100

    def __init__(self, *replies: bytes) -> None:
        self.replies = list(replies)
        self.requests: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.requests.append(data)
        return len(data)

    def read(self, size: int) -> bytes:
        return self.replies.pop(0)

    def close(self) -> None:
        pass


def scripted(*replies: bytes) -> RpcClient:
    return RpcClient(Script(*replies))  # type: ignore[arg-type]  # looks like an OpenFile


REPLIES = [
    (b"ok", b""),
    (b"ok x y", b"x y"),
    (b"ok ", b""),
    (b"done", None),
    (b"done haveai", None),
    (b"error why", FactotumError),
    (b"error", FactotumError),
    (b"phase x", RpcPhase),
    (b"toosmall 12", RpcTooSmall),
    (b"toosmall x", RpcTooSmall),
    (b"needkey a?", NeedKey),
    (b"badkey a=b\nwhy\na?", NeedKey),
    (b"protocol not started", FactotumError),
    (b"OK", FactotumError),
    (b"\xff", FactotumError),
    (b"", FactotumError),
]


@pytest.mark.parametrize(("reply", "want"), REPLIES)
def test_replies(reply: bytes, want: bytes | type[Exception] | None) -> None:
    rpc = scripted(reply)
    if isinstance(want, type):
        with pytest.raises(want):
            rpc.read()
    else:
        assert rpc.read() == want


def test_a_message_must_fit() -> None:
    with pytest.raises(FactotumError, match="message too long"):
        scripted().write(b"x" * 100)


def test_an_old_servers_ok() -> None:
    # plan9port's factotum says ok before done, to a challenge's response.
    from mailfs.factotum.client import Challenge

    ai = b"ok \1\0a\1\0a\0\0\0\0"
    challenge = Challenge(scripted(b"ok <1>", b"ok", b"ok", b"ok ok", b"done", ai))
    assert challenge.response("a", b"x").cuid == "a"
    challenge = Challenge(
        scripted(b"ok <1>", b"ok", b"ok", b"ok bad authentication failed")
    )
    with pytest.raises(FactotumError, match="bad authentication failed"):
        challenge.response("a", b"x")


# SASL

TEMPLATE = "server=imap.x.com"


def test_sasl_plain_and_login(served: Served) -> None:
    served.add(BOB)
    with served.keys() as keys:
        assert Sasl(keys, "PLAIN", TEMPLATE).initial() == b"\0bob\0it's a b=c"
        login = Sasl(keys, "login", TEMPLATE)
        assert login.initial() is None
        assert (login.step(b"User"), login.step(b"Pass")) == (b"bob", b"it's a b=c")


def test_sasl_cram(served: Served) -> None:
    served.add(AL)
    with served.keys() as keys:
        exchange = Sasl(keys, "CRAM-MD5", "server=pop.x.com")
        assert exchange.initial() is None
        assert exchange.step(b"<1896.697170952@postoffice.reston.mci.net>") == (
            b"al 733ba87e64ed7e441f062c4ac6db0103"
        )


EXPORTER = Binding("tls-exporter", b"\1\2")
# (mechanism, binding, what the server offers, what the server's start says)
SCRAMS = [
    ("SCRAM-SHA-256", Binding(), ["SCRAM-SHA-256"], ""),
    ("SCRAM-SHA-256", EXPORTER, ["SCRAM-SHA-256"], ""),
    ("SCRAM-SHA-256", EXPORTER, ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"], "cb=y"),
    ("SCRAM-SHA-256-PLUS", EXPORTER, [], "cb=tls-exporter cbdata=0102"),
    ("SCRAM-SHA-1-PLUS", EXPORTER, [], "cb=tls-exporter cbdata=0102"),
]


@pytest.mark.parametrize(("name", "binding", "offered", "theirs"), SCRAMS)
def test_sasl_scram(
    served: Served, name: str, binding: Binding, offered: list[str], theirs: str
) -> None:
    served.add(BOB)
    proto = MECHANISMS[name].proto
    server = local(
        f"proto={proto} role=server {theirs}",
        f"proto={proto} role=server user=bob !password='it''s a b=c'",
    )
    with served.keys() as keys:
        exchange = Sasl(keys, name, TEMPLATE, binding=binding, advertised=offered)
        server.write(exchange.initial() or b"")
        while server.sends:
            answer = exchange.step(server.read() or b"")
            if answer:
                server.write(answer)
        assert server.info is not None
        assert not exchange.again()


def test_sasl_that_cannot_be() -> None:
    with pytest.raises(MailfsError, match="unknown mechanism GSSAPI"):
        Sasl(None, "GSSAPI", "")  # type: ignore[arg-type]
    with pytest.raises(MailfsError, match="nothing to bind to"):
        Sasl(None, "SCRAM-SHA-1-PLUS", "")  # type: ignore[arg-type]


ALL = list(MECHANISMS)
CHOICES = [
    (ALL, True, EXPORTER, True, ALL),
    (ALL, True, EXPORTER, False, ALL[2:]),
    (ALL, True, Binding(), False, [m for m in ALL[2:] if not m.endswith("PLUS")]),
    (ALL, False, Binding(), True, ["SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5"]),
    (["plain", "GSSAPI"], True, Binding(), True, ["PLAIN"]),
]


@pytest.mark.parametrize(("offered", "tls", "binding", "token", "want"), CHOICES)
def test_choosing(
    offered: list[str], tls: bool, binding: Binding, token: bool, want: list[str]
) -> None:
    assert choose(offered, tls=tls, binding=binding, token=token) == want


# plan9port's own factotum, where it is installed.

PLAN9 = Path(os.environ.get("PLAN9", "/usr/local/plan9"))


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Factotum]:
    program = PLAN9 / "bin" / "factotum"
    env = {
        "NAMESPACE": str(tmp_path),
        "PLAN9": str(PLAN9),
        "PATH": f"{PLAN9}/bin:/usr/bin:/bin",
        "USER": "root",
    }
    tmp_path.chmod(0o700)
    process = subprocess.Popen([program, "-n"], env=env, start_new_session=True)
    socket = tmp_path / "factotum"
    for _ in range(100):
        if socket.exists():
            break
        time.sleep(0.05)
    process.wait()
    with Factotum(f"unix!{socket}") as keys:
        keys.control(f"key {BOB}")
        keys.control(f"key {AL}")
        yield keys
    # It has gone into the background, with 9pserve; the name space tells which is ours.
    mark = f"NAMESPACE={tmp_path}\0".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in path.read_bytes():
                os.kill(int(path.parent.name), signal.SIGTERM)


@pytest.mark.live
@pytest.mark.skipif(
    not all((PLAN9 / "bin" / name).exists() for name in ("factotum", "9pserve")),
    reason="no plan9port here; no registry has it",
)
def test_an_old_factotum(old: Factotum) -> None:
    login = old.getuserpasswd("proto=pass server=imap.x.com")
    assert login.password.text() == "it's a b=c"
    assert old.respond(APOP, "proto=apop role=client server=pop.x.com") == (
        "al",
        b"3f18b52881e44c0cc6067f46e0ced7bc",
    )
    with pytest.raises(NeedKey):
        old.getuserpasswd("proto=pass server=none")
    # What it does not know is done here, with its password.
    assert Sasl(old, "PLAIN", TEMPLATE).initial() == b"\0bob\0it's a b=c"
    assert (Sasl(old, "SCRAM-SHA-256", TEMPLATE).initial() or b"").startswith(
        b"n,,n=bob,"
    )
    with pytest.raises(FactotumError, match="unknown proto"):
        Sasl(old, "XOAUTH2", TEMPLATE)
