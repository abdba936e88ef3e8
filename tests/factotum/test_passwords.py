"""pass, apop, cram, plain, login, totp: published vectors, both roles, refusals."""

from dataclasses import replace

import pytest

from mailfs.errors import MailfsError
from mailfs.factotum.proto import totp
from mailfs.factotum.proto.digest import apop, cram
from mailfs.factotum.step import ProtoError
from tests.factotum.world import key, local, talk, world

# RFC 1939 section 7; RFC 2195 section 2; the others from plan9port's library.
APOP = [
    (
        b"<1896.697170952@dbc.mtview.ca.us>",
        "tanstaaf",
        "c4c9334bac560ecc979e58001b3e22fb",
    ),
    (
        b"<1896.697170952@dbc.mtview.ca.us>",
        "secret",
        "3f18b52881e44c0cc6067f46e0ced7bc",
    ),
]
CRAM = [
    (
        b"<1896.697170952@postoffice.reston.mci.net>",
        "tanstaaftanstaaf",
        "b913a602c7eda7a495b4e6e7334d3890",
    ),
    (
        b"<1896.697170952@postoffice.reston.mci.net>",
        "secret",
        "733ba87e64ed7e441f062c4ac6db0103",
    ),
]


@pytest.mark.parametrize(("challenge", "password", "want"), APOP)
def test_apop(challenge: bytes, password: str, want: str) -> None:
    assert apop(challenge, password.encode()).decode() == want
    conv = local("proto=apop role=client", f"proto=apop user=al !password={password}")
    conv.write(challenge)
    assert conv.read() == want.encode()
    assert conv.read() is None
    assert conv.ended


@pytest.mark.parametrize(("challenge", "password", "want"), CRAM)
def test_cram(challenge: bytes, password: str, want: str) -> None:
    assert cram(challenge, password.encode()).decode() == want


def test_cram_hashes_long_keys() -> None:
    # RFC 2202, HMAC-MD5 test case 6.
    text = b"Test Using Larger Than Block-Size Key - Hash Key First"
    want = b"6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"
    assert cram(text, b"\xaa" * 80) == want


@pytest.mark.parametrize("proto", ["apop", "cram"])
def test_challenge_and_response(proto: str) -> None:
    server = local(
        f"proto={proto} role=server dom=x.com",
        f"proto={proto} role=server user=al !password=secret",
    )
    client = local(
        f"proto={proto} role=client", f"proto={proto} user=al !password=secret"
    )
    challenge = server.read()
    assert challenge is not None
    assert challenge.endswith(b".1700000000@x.com>")
    server.write(b"al")
    client.write(challenge)
    response = client.read()
    assert response is not None
    server.write(response.upper())
    assert server.info is not None
    assert server.info.cuid == "al"


@pytest.mark.parametrize("proto", ["apop", "cram"])
@pytest.mark.parametrize("known", [True, False])
def test_wrong_response(proto: str, known: bool) -> None:
    keys = [f"proto={proto} role=server user=al !password=secret"] if known else []
    server = local(f"proto={proto} role=server", *keys)
    server.read()
    server.write(b"al")
    with pytest.raises(ProtoError, match="authentication failed"):
        server.write(b"0" * 32)


def test_an_unknown_user_has_no_password_to_guess() -> None:
    env = replace(world(), random=bytes)
    server = local("proto=apop role=server", env=env)
    challenge = server.read() or b""
    server.write(b"al")
    with pytest.raises(ProtoError, match="authentication failed"):
        server.write(apop(challenge, bytes(16)))


def test_pass() -> None:
    conv = local("proto=pass", "proto=pass user=bob !password='it''s a b=c'")
    assert conv.read() == b"bob 'it''s a b=c'"
    assert conv.read() is None


def test_plain() -> None:
    # RFC 4616 section 4.
    conv = local(
        "proto=plain role=client", "proto=plain user=tim !password=tanstaaftanstaaf"
    )
    assert conv.read() == b"\0tim\0tanstaaftanstaaf"
    conv = local(
        "proto=plain role=client authzid=Ursel",
        "proto=pass user=Kurt !password=xipj3plmq",
    )
    assert conv.read() == b"Ursel\0Kurt\0xipj3plmq"


PLAIN_SERVER = [
    (b"\0al\0secret", ""),
    (b"al\0al\0secret", ""),
    (b"bob\0al\0secret", "authentication failed"),
    (b"\0al\0Secret", "authentication failed"),
    (b"\0al\0", "authentication failed"),
    (b"al\0secret", "malformed message"),
    (b"\0al\0sec\0ret", "malformed message"),
    (b"", "malformed message"),
    (b"\0al\0" + b"x" * 256, "malformed message"),
]


@pytest.mark.parametrize(("message", "why"), PLAIN_SERVER)
def test_plain_server(message: bytes, why: str) -> None:
    server = local(
        "proto=plain role=server", "proto=plain role=server user=al !password=secret"
    )
    if why:
        with pytest.raises(ProtoError, match=why):
            server.write(message)
        return
    server.write(message)
    assert server.info is not None
    assert server.info.suid == "al"


def test_login() -> None:
    client = local("proto=login role=client", "proto=login user=al !password=secret")
    server = local(
        "proto=login role=server", "proto=login role=server user=al !password=secret"
    )
    assert talk(server, client) == [b"Username:", b"al", b"Password:", b"secret"]
    assert server.info is not None


@pytest.mark.parametrize("password", ["wrong", "x" * 300])
def test_login_refuses(password: str) -> None:
    server = local(
        "proto=login role=server", "proto=login role=server user=al !password=secret"
    )
    server.read()
    server.write(b"al")
    server.read()
    with pytest.raises(ProtoError, match=r"authentication failed|malformed message"):
        server.write(password.encode())


# RFC 6238 appendix B: seconds, code of eight digits, hash.
TOTP = [
    (59, "94287082", "sha1"),
    (59, "46119246", "sha256"),
    (59, "90693936", "sha512"),
    (1111111109, "07081804", "sha1"),
    (1111111111, "67062674", "sha256"),
    (1234567890, "93441116", "sha512"),
    (20000000000, "65353130", "sha1"),
]
SECRETS = {"sha1": 20, "sha256": 32, "sha512": 64}


@pytest.mark.parametrize(("when", "code", "name"), TOTP)
def test_totp(when: int, code: str, name: str) -> None:
    secret = (b"1234567890" * 7)[: SECRETS[name]]
    assert totp.hotp(secret, when // 30, 8, name) == code


def test_hotp() -> None:
    # RFC 4226 appendix D.
    codes = [totp.hotp(b"12345678901234567890", i) for i in range(3)]
    assert codes == ["755224", "287082", "359152"]


def test_totp_by_key() -> None:
    text = "proto=totp user=al !secret='gezd gnbv gy3t qojq gezd gnbv gy3t qojq'"
    conv = local("proto=totp", text)
    assert (
        conv.read() == totp.hotp(b"12345678901234567890", 1_700_000_000 // 30).encode()
    )


BAD_TOTP = [
    ("!secret=0189", "not base32"),
    ("!secret=''", "empty"),
    ("!secret=GEZDGNBV digits=9", "digits must be"),
    ("!secret=GEZDGNBV period=0", "period must be"),
    ("!secret=GEZDGNBV period=99999", "period must be"),
    ("!secret=GEZDGNBV hash=md5", "hash must be"),
]


@pytest.mark.parametrize(("text", "why"), BAD_TOTP)
def test_bad_totp_keys(text: str, why: str) -> None:
    with pytest.raises(MailfsError, match=why):
        totp.TOTP.check(key(f"proto=totp user=al {text}"))
