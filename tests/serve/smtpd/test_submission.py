"""Users who log in: by each mechanism of a real factotum, and what they may send."""

import base64
import hmac
import os
import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailfs.p9 import Client
from mailfs.serve.login import PROTOCOLS
from tests.serve.smtpd.test_server import CONF, Served

LETTER = b"From: Glenda <glenda@example.org>\r\nSubject: x\r\n\r\nhello\r\n"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A factotum with glenda's password under each protocol, in a name space."""
    folder = tmp_path_factory.mktemp("agent")
    space = folder / "ns"
    space.mkdir(mode=0o700)
    env = os.environ | {"NAMESPACE": str(space), "MAILFS_ROOT": str(folder / "root")}
    verb = [sys.executable, "-P", "-m", "mailfs", "factotum"]
    with subprocess.Popen(verb, env=env, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 30
        while not (space / "factotum").exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        with Client(f"unix!{space}/factotum") as client:
            for proto in PROTOCOLS.values():
                key = f"key proto={proto} role=server user=glenda !password=secret"
                client.write("/ctl", key.encode())
        yield space
        process.terminate()


@pytest.fixture
def served(
    tmp_path: Path, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    monkeypatch.setenv("NAMESPACE", str(agent))
    server = Served(tmp_path, CONF).start("-a")
    yield server
    server.stop()


def _client(served: Served) -> smtplib.SMTP:
    smtp = served.client()
    smtp.ehlo()
    return smtp


def _plain(smtp: smtplib.SMTP, password: bytes) -> int:
    text = base64.b64encode(b"\0glenda\0" + password).decode()
    return smtp.docmd("AUTH", f"PLAIN {text}")[0]


def _login(smtp: smtplib.SMTP, password: bytes) -> int:
    assert smtp.docmd("AUTH", "LOGIN") == (334, base64.b64encode(b"Username:"))
    smtp.docmd(base64.b64encode(b"glenda").decode())
    return smtp.docmd(base64.b64encode(password).decode())[0]


def _cram(smtp: smtplib.SMTP, password: bytes) -> int:
    _, challenge = smtp.docmd("AUTH", "CRAM-MD5")
    digest = hmac.new(password, base64.b64decode(challenge), "md5").hexdigest()
    return smtp.docmd(base64.b64encode(f"glenda {digest}".encode()).decode())[0]


def _scram(smtp: smtplib.SMTP, password: bytes) -> int:
    import hashlib

    bare = b"n=glenda,r=abcdef"
    first = base64.b64encode(b"n,," + bare).decode()
    code, text = smtp.docmd("AUTH", f"SCRAM-SHA-256 {first}")
    assert code == 334
    said = base64.b64decode(text)
    nonce, salt, rounds = (part[2:] for part in said.split(b","))
    derived = hashlib.pbkdf2_hmac(
        "sha256", password, base64.b64decode(salt), int(rounds)
    )
    key = hmac.digest(derived, b"Client Key", "sha256")
    final = b"c=biws,r=" + nonce
    signed = hmac.digest(
        hashlib.sha256(key).digest(), b",".join((bare, said, final)), "sha256"
    )
    proof = bytes(a ^ b for a, b in zip(key, signed, strict=True))
    answer = final + b",p=" + base64.b64encode(proof)
    code, text = smtp.docmd(base64.b64encode(answer).decode())
    if code == 334:  # the server's own proof; RFC 7677
        assert base64.b64decode(text).startswith(b"v=")
        code, _ = smtp.docmd("")
    return code


WAYS = [_plain, _login, _cram, _scram]


@pytest.mark.parametrize("way", WAYS)
def test_each_mechanism(
    served: Served, way: Callable[[smtplib.SMTP, bytes], int]
) -> None:
    with _client(served) as smtp:
        assert way(smtp, b"wrong") == 535
        assert way(smtp, b"secret") == 235
        smtp.sendmail("glenda@example.org", ["glenda@example.org"], LETTER)
    octets = next((served.root / "mail/box/glenda/mbox").iterdir()).read_bytes()
    assert b"with ESMTPA id" in octets
    assert b"\nDate: " in octets
    assert b"\nMessage-ID: <" in octets


def test_nobody_else_may_send(served: Served) -> None:
    with _client(served) as smtp:
        assert smtp.mail("glenda@example.org")[0] == 530


def test_nobody_sends_as_another(served: Served) -> None:
    (served.root / "mail/box/glenda/addresses").write_text("sales@shop.net # mine\n")
    with _client(served) as smtp:
        assert _plain(smtp, b"secret") == 235
        for address, code in (
            ("bob@example.org", 550),
            ("glenda@elsewhere.net", 550),
            ("Glenda+list@example.org", 250),
            ("sales@shop.net", 250),
            ("", 250),
        ):
            assert smtp.mail(address)[0] == code
            smtp.rset()
        for head in (b"", b"From: bob@example.org\r\n", b"From: glenda@x.net\r\n"):
            with pytest.raises(smtplib.SMTPDataError) as e:
                smtp.sendmail(
                    "glenda@example.org", ["bob@example.org"], head + b"X: y\r\n\r\n"
                )
            assert e.value.smtp_code == 550
        smtp.sendmail("sales@shop.net", ["x@elsewhere.net"], LETTER)  # and may relay


def test_three_failures_end_the_session(served: Served) -> None:
    with _client(served) as smtp:
        assert [_plain(smtp, b"wrong") for _ in range(3)] == [535, 535, 421]


def test_unknown_users_hear_the_same(served: Served) -> None:
    with _client(served) as smtp:
        known = smtp.docmd("AUTH", "PLAIN AGdsZW5kYQB4")  # glenda, x
        unknown = smtp.docmd("AUTH", "PLAIN AG5vYm9keQB4")  # nobody, x
    assert known == unknown
