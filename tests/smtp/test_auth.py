"""Logging in with keys of a real factotum, to servers that check them."""

import base64
import hmac
from dataclasses import replace
from pathlib import Path

import pytest
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from mailfs.factotum.client import Factotum
from mailfs.smtp.client import HostUnreachable, SmtpClient
from mailfs.smtp.dialogue import CLEAR
from mailfs.smtp.fate import DeliveryError, Fate
from mailfs.smtp.limit import DeliveryLimit
from mailfs.smtp.route import Target
from tests.factotum.serving import Served
from tests.factotum.serving import serving as serving_factotum
from tests.factotum.world import world
from tests.net.scripted import Scripted, Talk
from tests.smtp.test_tls import elsewhere
from tests.smtp.world import Box, client, context, mail, receiver
from tests.tls.pki import Pki

KEY = "proto=pass service=smtp server=127.0.0.1 user=glenda !password='open sesame'"
GO = ("250 ok", "250 ok", "354 go")


def deliver(sender: SmtpClient, port: int) -> Fate:
    try:
        (fate,) = sender.deliver(mail(port))
        return fate
    finally:
        sender.close()


def check(
    server: object, session: Session, env: Envelope, mech: str, data: object
) -> AuthResult:
    assert isinstance(data, LoginPassword)
    good = data == LoginPassword(b"glenda", b"open sesame")
    return AuthResult(success=good, handled=False)


@pytest.mark.parametrize("excluded", ["PLAIN", "LOGIN"])
def test_passwords_over_tls(
    tmp_path: Path, pki: Pki, served: Served, excluded: str
) -> None:
    served.add(KEY)
    box = Box()
    (tmp_path / "sys/lib/tls").mkdir(parents=True)
    with receiver(
        box,
        tls_context=context(pki.folder / "unknown.pem"),
        authenticator=check,
        auth_required=True,
        auth_exclude_mechanism=[excluded],
    ) as port:
        seen: list[str] = []
        sender = client(tmp_path, "-a", "-o", keys=served.keys, trace=seen.append)
        assert deliver(sender, port).ok
        hidden = base64.b64encode(b"open sesame").decode()
        assert not [line for line in seen if "sesame" in line or hidden in line]
        served.add(KEY.replace("glenda", "bob").replace("open", "shut"))
        bob = client(tmp_path, "-a", "-o", "-u", "bob", keys=served.keys)
        with pytest.raises(HostUnreachable, match="535") as e:
            deliver(bob, port)
    assert (e.value.permanent, e.value.code) == (True, 535)
    assert len(box.got) == 1


def serving(*offer: str):  # type: ignore[no-untyped-def]
    def begin(talk: Talk) -> None:
        talk.send("220 mx")
        talk.line()
        talk.send("250-mx", f"250 AUTH {' '.join(offer)}")

    return begin


def take(talk: Talk) -> None:
    for reply in GO:
        talk.line()
        talk.send(reply)
    while talk.line() != ".":
        pass
    talk.send("250 ok")


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def cram(talk: Talk) -> None:
    serving("LOGIN", "PLAIN", "CRAM-MD5")(talk)
    assert talk.line() == "AUTH CRAM-MD5"
    challenge = b"<1.2@mx>"
    talk.send(f"334 {b64(challenge)}")
    digest = hmac.new(b"open sesame", challenge, "md5").hexdigest()
    assert base64.b64decode(talk.line()) == f"glenda {digest}".encode()
    talk.send("235 welcome")
    take(talk)


def test_cram(tmp_path: Path, served: Served) -> None:
    served.add(KEY)
    with Scripted(cram) as server:
        assert deliver(client(tmp_path, "-a", keys=served.keys), server.port).ok


@pytest.mark.parametrize("name", ["SCRAM-SHA-1", "SCRAM-SHA-256"])
def test_scram(tmp_path: Path, served: Served, name: str) -> None:
    served.add(KEY)
    secret = f"proto={name.lower()} role=server user=glenda !password='open sesame'"
    served.add(secret)

    def scram(talk: Talk) -> None:
        serving("LOGIN", "CRAM-MD5", name)(talk)
        _, mechanism, first = talk.line().split()
        assert mechanism == name
        with served.keys() as keys:
            with keys.start(f"proto={name.lower()} role=server") as rpc:
                rpc.write(base64.b64decode(first))
                talk.send(f"334 {b64(rpc.read() or b'')}")
                rpc.write(base64.b64decode(talk.line()))
                talk.send(f"334 {b64(rpc.read() or b'')}")
        assert talk.line() == ""
        talk.send("235 welcome")
        take(talk)

    with Scripted(scram) as server:
        assert deliver(client(tmp_path, "-a", keys=served.keys), server.port).ok


def test_token(tmp_path: Path) -> None:
    def spent(url: str, form: bytes | None) -> tuple[int, bytes]:
        if url.endswith("openid-configuration"):
            return (
                200,
                b'{"issuer": "https://x.org", "token_endpoint": "https://x.org"}',
            )
        return 400, b'{"error": "invalid_grant"}'

    def act(talk: Talk) -> None:
        serving("PLAIN", "XOAUTH2")(talk)
        _, _, text = talk.line().split()
        assert base64.b64decode(text) == b"user=glenda\1auth=Bearer tok\1\1"
        talk.send(f"334 {b64(b'{}')}")
        assert talk.line() == ""
        talk.send("535 5.7.8 no")  # a fresher token may do, but none can be had

    key = (
        "proto=oauth issuer=https://x.org tokenurl=https://x.org clientid=y"
        " server=127.0.0.1 user=glenda"
        " !refreshtoken=r !accesstoken=tok !expires=99999999999"
    )
    env = replace(world("agent"), fetch=spent)
    with serving_factotum(tmp_path, key, env=env) as served, Scripted(act) as server:
        with pytest.raises(HostUnreachable, match="invalid_grant") as e:
            deliver(client(tmp_path, "-a", keys=served.keys), server.port)
    assert not e.value.permanent  # until somebody logs in anew


def test_no_key_waits_for_one(tmp_path: Path, served: Served) -> None:
    with Scripted(serving("PLAIN")) as server:
        with pytest.raises(
            HostUnreachable, match=r"no key for .*mailfs factotum -g"
        ) as e:
            deliver(client(tmp_path, "-a", keys=served.keys), server.port)
    assert (e.value.permanent, e.value.enhanced) == (False, "4.7.0")


def test_next_mechanism_if_one_is_unknown(tmp_path: Path, served: Served) -> None:
    served.add(KEY)

    def act(talk: Talk) -> None:
        serving("PLAIN", "LOGIN", "GSSAPI")(talk)
        assert talk.line().startswith("AUTH PLAIN ")
        talk.send("504 5.5.4 not that")
        assert talk.line() == "AUTH LOGIN"
        for asked in (b"Username:", b"Password:"):
            talk.send(f"334 {b64(asked)}")
            talk.line()
        talk.send("235 welcome")
        take(talk)

    with Scripted(act) as server:
        assert deliver(client(tmp_path, "-a", keys=served.keys), server.port).ok


def test_long_initial_response_has_a_line_of_its_own(
    tmp_path: Path, served: Served
) -> None:
    served.add(KEY.replace("open sesame", "x" * 600))

    def act(talk: Talk) -> None:
        serving("PLAIN")(talk)
        assert talk.line() == "AUTH PLAIN"
        talk.send("334 ")
        assert base64.b64decode(talk.line()).endswith(b"x" * 600)
        talk.send("235 welcome")
        take(talk)

    with Scripted(act) as server:
        assert deliver(client(tmp_path, "-a", keys=served.keys), server.port).ok


def test_nothing_in_clear_to_strangers(tmp_path: Path, served: Served) -> None:
    served.add(KEY)

    def act(talk: Talk) -> None:
        serving("PLAIN")(talk)
        assert talk.line().startswith("AUTH PLAIN ")
        talk.send("235 welcome")
        take(talk)

    with Scripted(act) as server:
        strict = client(tmp_path, "-a", keys=served.keys, dialer=elsewhere)
        with pytest.raises(HostUnreachable, match="starttls"):
            deliver(strict, server.port)
        assert not [line for line in server.heard if "AUTH" in line]


def test_no_way_to_show_a_password(tmp_path: Path, served: Served) -> None:
    """Not even where TLS was given up for another reason."""
    served.add(KEY)
    with Scripted(serving("PLAIN")) as server:
        opener = client(tmp_path, "-a", keys=served.keys, dialer=elsewhere).opener
        with pytest.raises(DeliveryError, match="no login without TLS"):
            opener._open(Target("127.0.0.1", server.port), CLEAR, DeliveryLimit())


def test_in_clear_if_asked(tmp_path: Path, served: Served) -> None:
    served.add(KEY)

    def act(talk: Talk) -> None:
        serving("PLAIN")(talk)
        assert talk.line().startswith("AUTH PLAIN ")
        talk.send("235 welcome")
        take(talk)

    with Scripted(act) as server:
        asked = client(tmp_path, "-a", "-i", keys=served.keys, dialer=elsewhere)
        assert deliver(asked, server.port).ok


def test_server_without_auth(tmp_path: Path, served: Served) -> None:
    def act(talk: Talk) -> None:
        talk.send("220 mx")
        talk.line()
        talk.send("250 mx")
        take(talk)

    with Scripted(act) as server:
        assert deliver(client(tmp_path, "-a", keys=served.keys), server.port).ok


def test_endless_login(tmp_path: Path, served: Served) -> None:
    served.add(KEY)

    def act(talk: Talk) -> None:
        serving("LOGIN")(talk)
        while True:
            talk.line()
            talk.send(f"334 {b64(b'again')}")

    with Scripted(act) as server, pytest.raises(HostUnreachable):
        deliver(client(tmp_path, "-a", keys=served.keys), server.port)


def gone() -> Factotum:
    raise ConnectionRefusedError(111, "Connection refused")


def test_no_factotum(tmp_path: Path) -> None:
    with Scripted(serving("PLAIN")) as server:
        with pytest.raises(
            HostUnreachable, match="no factotum: Connection refused"
        ) as e:
            deliver(client(tmp_path, "-a", keys=gone), server.port)
    assert not e.value.permanent
