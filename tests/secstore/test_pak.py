"""PAK: vectors, both sides against each other, and everything altered."""

import base64
import random as weak
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailfs.secret import Secret
from mailfs.secstore import pak
from mailfs.secstore.error import SecstoreError, WrongPassword

BOB, SESAME = b"bob", Secret("sesame123")
HI = (  # what plan9port's secuser stores
    "MAH9VR8mTgvYDa7rvVjJ5NyTpq85EkKJ6JDOAlVtJkeZaeBrKi5o7hz81l/B1ZS+21f/l/5ytE1dxqu3"
    "Hfhp2FOObKJIg0jpaqCRz6Znm12FEOrsXNm+Ow2nEOaWquO4dTHD+stvk2CO543MdzByoZjreOZYC8sa"
    "JhD6vjHakFo="
)


def seeded(seed: int) -> pak.Random:
    return weak.Random(seed).randbytes


def start(
    password: Secret = SESAME, seed: int = 1
) -> tuple[pak.PakClient, pak.Hello, pak.PakServer]:
    client = pak.PakClient(BOB, password, seeded(seed))
    said = pak.hello(client.hello())
    _, hi = pak.verifier(BOB, SESAME)
    return client, said, pak.PakServer(b"srv", said, hi, seeded(seed + 100))


def test_group() -> None:
    assert pak.P.bit_length() == 1024
    assert pak.Q.bit_length() == 160
    assert (pak.P - 1) % pak.Q == 0
    assert pow(pak.G, pak.Q, pak.P) == 1


def test_verifier() -> None:
    h, hi = pak.verifier(BOB, SESAME)
    assert pak.b64(hi) == HI.encode()
    assert h * hi % pak.P == 1
    assert pak.word(h) == "bravo"
    assert pak.verifier(b"eve", SESAME)[1] != hi


NUMBERS = [
    (0, b""),
    (1, b"AQ=="),
    (255, b"/w=="),
    (256, b"AQA="),
    (0x010203, b"AQID"),
    (0x01020304, b"AQIDBA=="),
]


@pytest.mark.parametrize(("n", "text"), NUMBERS)
def test_number(n: int, text: bytes) -> None:
    assert pak.b64(n) == text
    for variant in (text, text.rstrip(b"="), text + b"!x", text.rstrip(b"=") + b"\nQ"):
        assert pak.number(variant) == n


def test_number_of_the_probe_and_too_long() -> None:
    assert pak.number(b"0") == 0
    with pytest.raises(SecstoreError, match="number too long"):
        pak.number(b"A" * (pak.MAX_NUMBER + 1))
    assert pak.number(b"A" * pak.MAX_NUMBER) == 0


OUTSIDE = [0, 1, 2, 3, pak.P - 1, pak.P, pak.P + 1, pak.P + pak.G, pak.Q]


@pytest.mark.parametrize("n", OUTSIDE)
def test_outside_the_group(n: int) -> None:
    text = pak.b64(n)
    with pytest.raises(SecstoreError, match="number outside the group"):
        pak.element(text)
    _, said, _ = start()
    client = pak.PakClient(BOB, SESAME, seeded(1))
    with pytest.raises(SecstoreError, match="number outside the group"):
        client.answer(b"mu=%s\nk=x\nS=y\n" % text)
    with pytest.raises(SecstoreError, match="number outside the group"):
        pak.PakServer(b"s", pak.Hello(BOB, text), 5, seeded(2))
    assert said.m


def test_client_that_sends_the_bare_hash() -> None:
    h, hi = pak.verifier(BOB, SESAME)
    with pytest.raises(SecstoreError, match="number outside the group"):
        pak.PakServer(b"s", pak.Hello(BOB, pak.b64(h)), hi, seeded(2))


def test_both_sides_agree() -> None:
    client, said, server = start()
    assert client.word == "bravo"
    assert said.user == BOB
    assert not said.probe
    answer, done = client.answer(server.reply())
    assert done.server == b"srv"
    session = server.check(answer)
    assert session == done
    assert len(session.secret.reveal()) == 20
    other = start(seed=7)
    assert other[0].answer(other[2].reply())[1].secret != done.secret


def test_shape_of_the_messages() -> None:
    client, _, server = start()
    number = rb"[A-Za-z0-9+/]+=*"
    assert re.fullmatch(rb"secstore\tPAK\nC=bob\nm=%s\n" % number, client.hello())
    reply = server.reply()
    assert re.fullmatch(rb"mu=%s\nk=[A-Za-z0-9+/]{27}=\nS=srv\n" % number, reply)
    answer, _ = client.answer(reply + b"and=more\n")
    assert re.fullmatch(rb"k'=[A-Za-z0-9+/]{27}=\n", answer)


def test_wrong_password_is_seen_by_the_client_first() -> None:
    client, _, server = start(Secret("sesame124"))
    with pytest.raises(WrongPassword, match="mistyped"):
        client.answer(server.reply())


def test_proof_of_another_talk_is_refused() -> None:
    answer, _ = (one := start())[0].answer(one[2].reply())
    again = start(seed=9)
    with pytest.raises(WrongPassword):
        again[2].check(answer)
    with pytest.raises(WrongPassword):
        again[0].answer(one[2].reply())
    mirror = one[2].reply().split(b"\n")[1].replace(b"k=", b"k'=") + b"\n"
    with pytest.raises(WrongPassword):
        one[2].check(mirror)


def test_every_octet_counts() -> None:
    client, _, server = start()
    reply = server.reply()
    answer, _ = client.answer(reply)
    for at in range(len(reply)):
        with pytest.raises(SecstoreError):
            client.answer(reply[:at] + bytes((reply[at] ^ 1,)) + reply[at + 1 :])
        with pytest.raises(SecstoreError):
            client.answer(reply[:at])
    for at in range(len(answer)):
        with pytest.raises(SecstoreError):
            server.check(answer[:at] + bytes((answer[at] ^ 1,)) + answer[at + 1 :])
        with pytest.raises(SecstoreError):
            server.check(answer[:at])


HELLOS = [
    (b"", "protocol should start with ver alg"),
    (b"secstore\tPAK", "protocol should start with ver alg"),
    (b"secstore\tSRP\nC=bob\nm=AA\n", "protocol should start with ver alg"),
    (b"secstore\tPAK\n", "PAK version mismatch"),
    (b"secstore\tPAK\nC=bob\n", "PAK version mismatch"),
    (b"secstore\tPAK\nm=AA\nC=bob\n", "PAK version mismatch"),
    (b"secstore\tPAK\nC=bob\nm=AA", "PAK version mismatch"),
    (b"secstore\tPAK\nC=bob\nm=" + b"A" * 999 + b"\n", "number too long"),
]


@pytest.mark.parametrize(("message", "why"), HELLOS)
def test_bad_hello(message: bytes, why: str) -> None:
    with pytest.raises(SecstoreError, match=why):
        pak.hello(message)


@pytest.mark.parametrize("m", [b"0", b"", b"AA==", pak.b64(pak.P), b"\0"])
def test_probe(m: bytes) -> None:
    said = pak.hello(b"secstore\tPAK\nC=b ob\nm=%s\nrest" % m)
    assert said.probe
    assert said.user == b"b ob"


def test_long_server_name() -> None:
    client, said, _ = start()
    _, hi = pak.verifier(BOB, SESAME)
    long = pak.PakServer(b"s" * 300, said, hi, seeded(5))
    with pytest.raises(SecstoreError, match="name too long"):
        client.answer(long.reply())


def test_no_exponent_is_zero() -> None:
    assert pak.exponent(bytes) == 1
    assert pak.exponent(lambda n: pak.Q.to_bytes(n, "big")) == 1
    assert 1 <= pak.exponent(lambda n: b"\xff" * n) < pak.Q


def test_nothing_prints() -> None:
    client, _, server = start()
    _, done = client.answer(server.reply())
    assert "sesame" not in f"{client!r} {server!r} {done!r} {vars(client)}"
    assert base64.b64encode(done.secret.reveal()).decode() not in repr(done)


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_garbage(octets: bytes) -> None:
    try:
        said = pak.hello(b"secstore\tPAK\nC=" + octets)
    except SecstoreError:
        said = pak.Hello(b"bob", octets)
    assert isinstance(said.probe, bool)
    client = pak.PakClient(BOB, SESAME, seeded(3))
    with pytest.raises(SecstoreError):
        client.answer(b"mu=" + octets)
    with pytest.raises(SecstoreError):
        client.answer(octets)
