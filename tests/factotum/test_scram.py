"""SCRAM: the RFCs' own dialogues, both roles, channel binding, liars on either side."""

from base64 import b64decode, b64encode
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailfs.errors import MailfsError
from mailfs.factotum.key import Key
from mailfs.factotum.local import Local
from mailfs.factotum.proto import scram
from mailfs.factotum.step import ProtoError
from tests.factotum.world import key, local, talk, world

PENCIL = "user=user !password=pencil"
# protocol, the nonce, then the four messages.  RFC 5802 section 5, RFC 7677 section 3.
DIALOGUES = [
    (
        "scram-sha-1",
        b"fyko+d2lbbFgONRv9qkxdawL",
        b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
        b"p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    (
        "scram-sha-256",
        b"rOprNGfwEbeRWgbNEkqO",
        b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
]


def client(proto: str, nonce: bytes, more: str = "") -> Local:
    env = replace(world(), random=lambda size: b64decode(nonce))
    return local(
        f"proto={proto} role=client {more}", f"proto={proto} {PENCIL}", env=env
    )


@pytest.mark.parametrize(("proto", "nonce", "c1", "s1", "c2", "s2"), DIALOGUES)
def test_the_rfc(
    proto: str, nonce: bytes, c1: bytes, s1: bytes, c2: bytes, s2: bytes
) -> None:
    conv = client(proto, nonce)
    assert conv.read() == c1
    conv.write(s1)
    assert conv.read() == c2
    conv.write(s2)
    assert conv.read() is None


PROTO, NONCE, C1, S1, C2, S2 = DIALOGUES[1]
BAD_FIRST = [
    (S1.replace(b"rOprN", b"xOprN"), "nonce"),
    (b"r=" + NONCE + b",s=QSXC,i=4096", "nonce"),
    (S1.replace(b"%hv", b"\x80hv"), "nonce"),
    (S1.replace(b"4096", b"4095"), "iteration count 4095 refused"),
    (S1.replace(b"4096", b"999999999"), "iteration count 999999999 refused"),
    (S1.replace(b"4096", b"9999999999"), "malformed iteration count"),
    (S1.replace(b"4096", b"-4096"), "malformed iteration count"),
    (S1.replace(b"W22Z", b"W22!"), "malformed base64"),
    (S1.replace(b"W22Z", b"W22Z" * 500), "message too long"),
    (b"m=x," + S1, "malformed message"),
    (S1 + b",m=x", "extension not supported"),
    (S1 + b",", "malformed message"),
    (b"e=other-error", "malformed message"),
    (b"", "malformed message"),
]


@pytest.mark.parametrize(("first", "why"), BAD_FIRST)
def test_a_server_that_makes_no_sense(first: bytes, why: str) -> None:
    conv = client(PROTO, NONCE)
    conv.read()
    with pytest.raises(ProtoError, match=why):
        conv.write(first)


BAD_FINAL = [
    (S2.replace(b"6rri", b"7rri"), "does not know the password"),
    (b"v=", "does not know the password"),
    (b"v=6rri", "does not know the password"),
    (b"e=invalid-proof", "server refuses: invalid-proof"),
    (b"", "malformed message"),
    (b"ok", "malformed message"),
]


@pytest.mark.parametrize(("final", "why"), BAD_FINAL)
def test_a_server_that_does_not_know(final: bytes, why: str) -> None:
    conv = client(PROTO, NONCE)
    conv.read()
    conv.write(S1)
    conv.read()
    with pytest.raises(ProtoError, match=why):
        conv.write(final)


def test_an_extension_that_may_be_ignored() -> None:
    conv = client(PROTO, NONCE)
    conv.read()
    conv.write(S1 + b",x=y")
    assert conv.read()


def stored(password: str) -> str:
    """Return a verifier made the way a server's administrator would."""
    rows = scram.Scram("sha256")
    salt = b"sixteen octets ."
    ckey, skey = rows.keys(password, salt, 4096)
    return (
        f"salt={salt.hex()} iter=4096"
        f" !storedkey={rows.h(ckey).hex()} !serverkey={skey.hex()}"
    )


BINDINGS = [
    ("", "", b"n"),
    ("cb=tls-exporter cbdata=00ff", "cb=tls-exporter cbdata=00ff", b"p=tls-exporter"),
    ("cb=tls-unique cbdata=01", "cb=tls-unique cbdata=01", b"p=tls-unique"),
    ("cb=y", "", b"y"),
    ("", "cb=y", b"n"),
]


@pytest.mark.parametrize(("mine", "theirs", "flag"), BINDINGS)
@pytest.mark.parametrize("kept", ["!password=pencil", stored("pencil")])
def test_both_roles(mine: str, theirs: str, flag: bytes, kept: str) -> None:
    env = world("client")
    c = local(f"proto={PROTO} role=client {mine}", f"proto=pass {PENCIL}", env=env)
    s = local(
        f"proto={PROTO} role=server {theirs}",
        f"proto={PROTO} role=server user=user {kept}",
    )
    said = talk(c, s)
    assert said[0].startswith(flag + b",,n=user,r=")
    assert len(said) == 4
    assert s.info is not None
    assert s.info.cuid == "user"


MISBOUND = [
    ("cb=tls-exporter cbdata=00ff", "cb=tls-exporter cbdata=00fe", "dont-match"),
    ("cb=tls-unique cbdata=00ff", "cb=tls-exporter cbdata=00ff", "does-support"),
    ("cb=tls-exporter cbdata=00ff", "", "not-supported"),
    ("", "cb=tls-exporter cbdata=00ff", "does-support"),
    ("cb=y", "cb=y", "does-support"),
    ("cb=y", "cb=tls-exporter cbdata=00ff", "does-support"),
]


@pytest.mark.parametrize(("mine", "theirs", "why"), MISBOUND)
def test_binding_that_does_not_fit(mine: str, theirs: str, why: str) -> None:
    env = world("client")
    c = local(f"proto={PROTO} role=client {mine}", f"proto=pass {PENCIL}", env=env)
    s = local(
        f"proto={PROTO} role=server {theirs}",
        f"proto={PROTO} role=server {PENCIL}",
    )
    with pytest.raises(ProtoError, match=why):
        talk(c, s)


@pytest.mark.parametrize(
    "cb", ["cb=x cbdata=00", "cb=tls-unique", "cb=tls-unique cbdata=0"]
)
def test_bad_parameters(cb: str) -> None:
    with pytest.raises(ProtoError, match=r"cbdata|channel binding"):
        local(f"proto={PROTO} role=client {cb}", f"proto=pass {PENCIL}")


SERVER_KEY = f"proto={PROTO} role=server {PENCIL}"
BAD_CLIENT_FIRST = [
    (b"", "malformed message"),
    (b"n,n=user,r=abc", "malformed message"),
    (b"n,x,n=user,r=abc", "malformed message"),
    (b"n,,n=user", "malformed message"),
    (b"n,,m=x,n=user,r=abc", "malformed message"),
    (b"n,a=other,n=user,r=abc", "authorization identity refused"),
    (b"n,,n=us=2Der,r=abc", "malformed user"),
    (b"n,,n=,r=abc", "malformed user"),
    (b"n,,n=\xff,r=abc", "malformed user"),
    (b"n,,n=user,r=", "malformed nonce"),
    (b"n,,n=user,r=a b", "malformed nonce"),
    (b"x,,n=user,r=abc", "does-support"),
]


@pytest.mark.parametrize(("first", "why"), BAD_CLIENT_FIRST)
def test_a_client_that_makes_no_sense(first: bytes, why: str) -> None:
    with pytest.raises(ProtoError, match=why):
        local(f"proto={PROTO} role=server", SERVER_KEY).write(first)


def proved(password: str, *keys: str) -> tuple[Local, bytes]:
    """Return a server that waits for client-final, and one for that password."""
    c = local(
        f"proto={PROTO} role=client",
        f"proto=pass user=user !password={password}",
        env=world("client"),
    )
    s = local(f"proto={PROTO} role=server", *keys)
    s.write(c.read() or b"")
    c.write(s.read() or b"")
    return s, c.read() or b""


def test_wrong_password_and_unknown_user_look_alike() -> None:
    for password, keys in (("pencil", []), ("pen", [SERVER_KEY])):
        server, final = proved(password, *keys)
        with pytest.raises(ProtoError, match=r"^e=invalid-proof$"):
            server.write(final)


def test_a_client_that_lies() -> None:
    for old, new, why in (
        (b"r=", b"r=x", "nonce is not the one"),
        (b"c=biws", b"c=eSws", "dont-match"),
        (b",p=", b",q=", "malformed message"),
        (b",p=", b",p=!", "malformed base64"),
    ):
        server, final = proved("pencil", SERVER_KEY)
        with pytest.raises(ProtoError, match=why):
            server.write(final.replace(old, new, 1))
    for proof in (b"", b"AAAA", b64encode(bytes(32)), b64encode(bytes(33))):
        server, final = proved("pencil", SERVER_KEY)
        with pytest.raises(ProtoError, match=r"invalid-proof|too long|malformed"):
            server.write(final.partition(b",p=")[0] + b",p=" + proof)


def test_a_replay_is_refused() -> None:
    _, final = proved("pencil", SERVER_KEY)
    c = local(f"proto={PROTO} role=client", f"proto=pass {PENCIL}", env=world("client"))
    again = local(f"proto={PROTO} role=server", SERVER_KEY, env=world("later"))
    again.write(c.read() or b"")
    again.read()
    with pytest.raises(ProtoError, match="nonce is not the one"):
        again.write(final)


# RFC 4013 section 3.
PREPARED = [
    ("I\u00adX", "IX"),
    ("user", "user"),
    ("USER", "USER"),
    ("\u00aa", "a"),
    ("\u2168", "IX"),
    ("a\u00a0b", "a b"),
]


@pytest.mark.parametrize(("text", "want"), PREPARED)
def test_saslprep(text: str, want: str) -> None:
    assert scram.saslprep(text) == want


@pytest.mark.parametrize(
    "text", ["\u0007", "\u0627\u0031", "\u0627a\u0627", "\ue000", "\u0221"]
)
def test_saslprep_refuses(text: str) -> None:
    with pytest.raises(ProtoError):
        scram.saslprep(text)


@given(
    st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1)
)
def test_names_go_and_come(name: str) -> None:
    raw = scram.escape(name)
    assert b"," not in raw
    assert scram.unescape(raw) == name


@settings(max_examples=60)
@given(st.binary(max_size=60) | st.sampled_from([C1, S1, C2, S2]), st.integers(0, 80))
def test_garbage_is_refused(message: bytes, cut: int) -> None:
    conv = client(PROTO, NONCE)
    conv.read()
    part = message[:cut]
    if part == S1:
        return
    with pytest.raises(ProtoError):
        conv.write(part)
    server = local(f"proto={PROTO} role=server", SERVER_KEY)
    try:
        server.write(part)
    except ProtoError:
        return
    assert server.read()


def check(text: str) -> Key:
    made = key(f"proto={PROTO} {text}")
    scram.SHA256.check(made)
    return made


@pytest.mark.parametrize(
    "text",
    [
        "user=a",
        "user=a !storedkey=00 !serverkey=00 salt=00 iter=4096",
        "role=server user=a !storedkey=0 !serverkey=00 salt=00 iter=4096",
        "role=server user=a !storedkey=00 salt=00 iter=4096",
        "role=server user=a !storedkey=00 !serverkey=00 salt=00 iter=0",
    ],
)
def test_bad_keys(text: str) -> None:
    with pytest.raises(MailfsError):
        check(text)
    check(f"role=server user=a {stored('pencil')}")


@pytest.mark.parametrize("known", [True, False])
def test_a_server_derives_off_the_loop_for_anybody(known: bool) -> None:
    """An unknown user costs the same derivation, in a thread as well."""
    from mailfs.attr import parse
    from mailfs.factotum.proto import PROTOS
    from mailfs.factotum.step import ConvStart, Work
    from tests.factotum.world import key, world

    row = PROTOS["scram-sha-256"]
    steps = row.roles["server"](ConvStart(parse("role=server"), world("agent")))
    step = next(steps)
    step = steps.send(b"n,,n=glenda,r=abcdef")
    keys = [key("proto=scram-sha-256 role=server user=glenda !password=x")]
    step = steps.send(keys if known else [])
    assert isinstance(step, Work)
    found = step.job()
    assert isinstance(found, list)
    assert [verifier.rounds for verifier in found] == [10000]
