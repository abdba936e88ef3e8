"""Records and RC4."""

import hashlib
import hmac
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailfs.secret import Secret
from mailfs.secstore import sconn
from mailfs.secstore.error import SecstoreError
from mailfs.secstore.sconn import MAX_DATA, Rc4, Records, stream

SIGMA = Secret(bytes(range(20)))


def test_rc4() -> None:
    """The first two lines of RFC 6229, 40-bit key."""
    out = Rc4(bytes.fromhex("0102030405")).update(bytes(32))
    assert out[:16] == bytes.fromhex("b2396305f03dc027ccc3524a0a1118a8")
    assert out[16:] == bytes.fromhex("6982944f18fc82d589c403a47a0d0919")


@given(st.binary(min_size=5, max_size=16), st.binary(max_size=50), st.binary())
def test_rc4_is_the_library_s(key: bytes, one: bytes, two: bytes) -> None:
    if len(key) not in (5, 7, 8, 10, 16):
        key = key[:5]
    ours, other = Rc4(key), stream(key)
    assert ours.update(one) + ours.update(two) == other.update(one) + other.update(two)


def test_library_without_rc4(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "cryptography.hazmat.decrepit.ciphers.algorithms"
    monkeypatch.setitem(sys.modules, name, None)
    assert isinstance(stream(bytes(16)), Rc4)


CLEAR = [
    (b"secstore\tPAK\nC=bob\nm=0\n", "8017"),
    (b"!account exists", "800f"),
    (b"x", "8001"),
    (bytes(MAX_DATA), "9000"),
]


@pytest.mark.parametrize(("data", "header"), CLEAR)
def test_clear_record(data: bytes, header: str) -> None:
    record = Records().seal(data)
    assert record == bytes.fromhex(header) + data
    reader = Records()
    assert reader.size(record[:2]) == len(data)
    assert reader.open(record[2:]) == data


def pair() -> tuple[Records, Records]:
    """Return client and server after the clear part: two records one way, one back."""
    client, server = Records(), Records()
    for data in (b"hello", b"proof"):
        server.open(client.seal(data)[2:])
    client.open(server.seal(b"reply")[2:])
    client.secret(SIGMA, server=False)
    server.secret(SIGMA, server=True)
    return client, server


def test_encrypted_both_ways() -> None:
    client, server = pair()
    for data in (b"GET factotum", b"x", bytes(MAX_DATA), b"y"):
        for one, two in ((client, server), (server, client)):
            record = one.seal(data)
            assert data == b"x" or data not in record
            assert two.size(record[:2]) == len(data) + 20 == len(record) - 2
            assert two.open(record[2:]) == data


def test_known_record() -> None:
    """Do by hand what the first encrypted record of a client is."""
    client, _ = pair()
    key = hmac.digest(b"two", SIGMA.reveal(), "sha1")
    digest = hashlib.sha1(key + b"OK" + (2).to_bytes(4, "big")).digest()
    record = b"\x80\x16" + Rc4(key[:16]).update(digest + b"OK")
    assert client.seal(b"OK") == record


def test_tampering_is_seen() -> None:
    record = pair()[0].seal(b"GET factotum")
    for at in range(2, len(record)):
        changed = record[2:at] + bytes((record[at] ^ 4,)) + record[at + 1 :]
        with pytest.raises(SecstoreError, match="integrity check failed"):
            pair()[1].open(changed)
    for cut in range(len(record) - 2):
        with pytest.raises(SecstoreError, match="integrity check failed"):
            pair()[1].open(record[2 : 2 + cut])


def test_replay_omission_and_reflection_are_seen() -> None:
    client, server = pair()
    first, second = client.seal(b"one"), client.seal(b"two")
    server.open(first[2:])
    with pytest.raises(SecstoreError, match="integrity"):
        server.open(first[2:])
    _, server = pair()
    with pytest.raises(SecstoreError, match="integrity"):
        server.open(second[2:])
    client, _ = pair()
    with pytest.raises(SecstoreError, match="integrity"):
        client.open(client.seal(b"one")[2:])


def test_sequence_counts_even_under_the_same_keystream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Null:
        def update(self, data: bytes) -> bytes:
            return data

    monkeypatch.setattr(sconn, "stream", lambda key: Null())
    client, server = pair()
    record = client.seal(b"one")
    assert server.open(record[2:]) == b"one"
    with pytest.raises(SecstoreError, match="integrity"):
        server.open(record[2:])


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("0001", "invalid count"),
        ("7fff", "invalid count"),
        ("8000", "implausible record length"),
        ("9001", "implausible record length"),
        ("ffff", "implausible record length"),
    ],
)
def test_bad_count(header: str, why: str) -> None:
    with pytest.raises(SecstoreError, match=why):
        Records().size(bytes.fromhex(header))


@pytest.mark.parametrize("header", ["8000", "8014", "9015", "ffff"])
def test_bad_count_when_encrypted(header: str) -> None:
    with pytest.raises(SecstoreError, match="implausible record length"):
        pair()[1].size(bytes.fromhex(header))


@pytest.mark.parametrize("size", [0, MAX_DATA + 1])
def test_no_such_record_is_written(size: int) -> None:
    with pytest.raises(SecstoreError, match=f"record of {size} octets"):
        Records().seal(bytes(size))


def test_sequence_does_not_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sconn, "MAX_SEQUENCE", 2)
    records = Records()
    records.seal(b"0")
    records.seal(b"1")
    with pytest.raises(SecstoreError, match="too many records"):
        records.seal(b"2")


@settings(max_examples=200)
@given(st.binary(min_size=2, max_size=2), st.binary(max_size=64))
def test_garbage(header: bytes, payload: bytes) -> None:
    for reader in (Records(), pair()[1]):
        try:
            assert 0 < reader.size(header) <= MAX_DATA + 20
        except SecstoreError:
            continue
    with pytest.raises(SecstoreError, match="integrity"):
        pair()[1].open(payload)
