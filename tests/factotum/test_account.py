"""Accounts of our servers: verifiers, several passwords, the same answer to anybody."""

import hashlib
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path

import pytest

from mailfs.attr import parse
from mailfs.errors import MailfsError
from mailfs.factotum import account
from mailfs.factotum.proto import scram
from mailfs.factotum.step import ProtoError
from mailfs.secret import Secret
from tests.factotum.world import local, talk, world

SALT = account.Salt(b"salt of this user", 4096)
WORDS = {"main": "correct horse", "phone": "battery stapl\u00e9", "tv": "x" * 200}
PROTOS = ("scram-sha-256", "scram-sha-1")


def lines(words: dict[str, str], proto: str = "") -> list[str]:
    """Make the keys of glenda's apps, those of one protocol if one is named."""
    made = [
        line.text().removeprefix("key ")
        for app, word in words.items()
        for line in account.verifiers("glenda", app, Secret(word), SALT)
    ]
    return [one for one in made if not proto or one.startswith(f"proto={proto} ")]


def by_scram(proto: str, password: str, keys: Sequence[str]) -> str:
    """Log in; the user that the server names."""
    client = local(
        f"proto={proto} role=client",
        f"proto=pass user=glenda !password='{password}'",
        env=world("client"),
    )
    server = local(f"proto={proto} role=server", *keys)
    talk(client, server)
    assert server.info is not None
    return server.info.cuid


def by_password(proto: str, password: bytes, keys: Sequence[str]) -> str:
    server = local(f"proto={proto} role=server", *keys)
    if proto == "plain":
        server.write(b"\0glenda\0" + password)
    else:
        server.read()
        server.write(b"glenda")
        server.read()
        server.write(password)
    assert server.info is not None
    return server.info.cuid


@pytest.mark.parametrize("proto", PROTOS)
def test_each_password_opens_scram(proto: str) -> None:
    keys = lines(WORDS, proto)
    for word in WORDS.values():
        assert by_scram(proto, word, keys) == "glenda"
    rest = lines({a: w for a, w in WORDS.items() if a != "phone"}, proto)
    with pytest.raises(ProtoError, match="invalid-proof"):
        by_scram(proto, WORDS["phone"], rest)


@pytest.mark.parametrize("proto", ["plain", "login"])
def test_each_password_is_known_by_its_verifier(proto: str) -> None:
    keys = lines(WORDS)
    for word in WORDS.values():
        assert by_password(proto, word.encode(), keys) == "glenda"
    wrong = [b"", b"correct horse ", b"\xff\xfe", "\u0007".encode()]
    for raw in wrong:
        with pytest.raises(ProtoError, match=r"^authentication failed$"):
            by_password(proto, raw, keys)
        with pytest.raises(ProtoError, match=r"^authentication failed$"):
            by_password(proto, raw, [])
    # SHA-1's alone will do, and a key that has the password, beside them.
    assert by_password(proto, b"correct horse", lines(WORDS, "scram-sha-1"))
    more = [*keys, f"proto={proto} role=server user=glenda !password=old"]
    assert by_password(proto, b"old", more) == "glenda"
    assert by_password(proto, b"correct horse", more) == "glenda"


def test_cram_tries_all_passwords() -> None:
    keys = [f"proto=cram role=server user=al !password={word}" for word in ("a", "b")]
    for word in ("a", "b"):
        server = local("proto=cram role=server", *keys)
        challenge = server.read() or b""
        client = local("proto=cram role=client", f"proto=cram user=al !password={word}")
        client.write(challenge)
        server.write(b"al")
        server.write(client.read() or b"")
        assert server.info is not None


@pytest.mark.parametrize(
    "keys", [[], lines({"main": "abcdefgh"}), lines(WORDS)], ids=["none", "one", "many"]
)
@pytest.mark.parametrize("proto", ["plain", "login", *PROTOS])
def test_anybody_costs_one_derivation(
    monkeypatch: pytest.MonkeyPatch, proto: str, keys: list[str]
) -> None:
    derived: list[int] = []
    derive = hashlib.pbkdf2_hmac

    def count(name: str, raw: bytes, salt: bytes, rounds: int) -> bytes:
        derived.append(rounds)
        return derive(name, raw, salt, rounds)

    if proto in PROTOS:
        keys = [key for key in keys if key.startswith(f"proto={proto} ")]
        server = local(f"proto={proto} role=server", *keys)
        monkeypatch.setattr(hashlib, "pbkdf2_hmac", count)
        server.write(b"n,,n=glenda,r=abcdef")
        assert server.read()
    else:
        monkeypatch.setattr(hashlib, "pbkdf2_hmac", count)
        with pytest.raises(ProtoError, match="authentication failed"):
            by_password(proto, b"wrong", keys)
    assert len(derived) == 1


def test_nobody_can_tell_a_salt_that_was_made_up() -> None:
    """It is the same each time, and not to be had from the name alone."""

    def first(secret: bytes, user: bytes) -> bytes:
        from dataclasses import replace

        env = replace(world("x"), secret=secret)
        server = local(f"proto={PROTOS[0]} role=server", env=env)
        server.write(b"n,,n=" + user + b",r=abcdef")
        return (server.read() or b"").partition(b",s=")[2]

    one = first(b"a" * 32, b"al")
    assert one == first(b"a" * 32, b"al")
    assert one != first(b"b" * 32, b"al")
    assert one != first(b"a" * 32, b"bo")
    salt, _, count = one.partition(b",i=")
    assert len(b64decode(salt)) == account.SALT
    assert int(count) == account.Salt(b"").rounds


def test_what_is_no_password() -> None:
    for word, why in (
        ("short", "at least 8"),
        ("x" * 256, "at most 255"),
        ("with \u0007 a bell", "prohibited"),
    ):
        with pytest.raises(MailfsError, match=why):
            account.verifiers("glenda", "main", Secret(word), SALT)


def test_the_salt_of_a_user() -> None:
    keys = [parse(line) for line in lines({"main": "abcdefgh"})]
    assert account.salt_of(keys, "glenda") == SALT
    assert account.salt_of(keys, "other") is None
    for bad in ("salt=xyz iter=4096", "salt=00 iter=x", "salt=00 iter=1", "salt=00"):
        listed = [parse(f"proto=scram-sha-256 role=server user=glenda {bad}")]
        assert account.salt_of([*listed, *keys], "glenda") == SALT


def test_invented_passwords() -> None:
    made = account.invented(lambda n: bytes(range(n)))
    assert made.text() == "abcd-efgh-ijkm-npqr"
    made = account.invented(lambda n: bytes([255]) * n)
    assert made.text() == "9999-9999-9999-9999"
    assert account.verifiers("a", "b", made, SALT)


@pytest.mark.live
@pytest.mark.skipif(shutil.which("doveadm") is None, reason="no doveadm here")
@pytest.mark.parametrize("proto", PROTOS)
def test_dovecot_makes_the_same(proto: str, tmp_path: Path) -> None:
    (tmp_path / "conf").write_text("")
    scheme = proto.upper()
    done = subprocess.run(
        ["doveadm", "-c", "conf", "pw", "-s", scheme, "-p", "correct horse"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    rounds, salt, stored, server = done.stdout.strip().partition("}")[2].split(",")
    made = scram.derive(
        scram.Scram(scram.HASHES[proto]), "correct horse", b64decode(salt), int(rounds)
    )
    assert (made.stored, made.server) == (b64decode(stored), b64decode(server))
