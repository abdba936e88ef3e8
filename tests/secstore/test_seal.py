"""Stored files, ours and Plan 9's."""

import hashlib
import random as weak

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from mailfs.secret import Secret
from mailfs.secstore import seal
from mailfs.secstore.error import SecstoreError
from mailfs.secstore.kdf import Cost
from mailfs.secstore.seal import SealFormat, Unreadable

SESAME = Secret("sesame123")
CHEAP = Cost(14)
RANDOM = weak.Random(1).randbytes
SIZES = [0, 1, 15, 16, 17, 31, 32, 33, 4063, 4064, 4065, 10000]


def sealed(data: bytes, name: str = "factotum") -> bytes:
    return seal.seal(data, SESAME, "bob", name, CHEAP, RANDOM)


@pytest.mark.parametrize("size", SIZES)
def test_plan9_both_ways(size: int) -> None:
    data = RANDOM(size)
    stored = seal.seal_plan9(data, SESAME, RANDOM)
    assert len(stored) == size + 32
    assert seal.form(stored) is SealFormat.PLAN9
    assert seal.unseal(stored, SESAME, "anyone", "any") == data
    assert stored != seal.seal_plan9(data, SESAME, RANDOM)


def test_plan9_key_and_chaining() -> None:
    key = hashlib.sha1(b"aescbc filesesame123").digest()[:16]
    assert key.hex() == "771453f92e4ffaebe06223e9891755eb"
    ecb = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    assert ecb.update(bytes(16)).hex() == "c757d85f3acb3fadf852f4132c1cbbfa"
    data = b"key a=b\n"
    stored = seal.seal_plan9(data, SESAME, bytes)  # an IV of zeros
    text = data + b"X" * 16
    first = ecb.update(text[:16])
    pad = ecb.update(first)
    rest = bytes(a ^ b for a, b in zip(text[16:], pad, strict=False))
    assert stored == bytes(16) + first + rest


def test_as_plan9_s_own_writer_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chain over the IV itself, as existing clients do: the first block is constant."""
    key = hashlib.sha1(b"aescbc filesesame123").digest()[:16]
    iv = b"0123456789abcdef"
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    stored = encryptor.update(iv + b"sixteen octets!!" + b"X" * 16)
    assert stored[:16].hex() == "c757d85f3acb3fadf852f4132c1cbbfa"
    assert seal.unseal(stored, SESAME, "bob", "f") == b"sixteen octets!!"


def test_plan9_refusals() -> None:
    stored = seal.seal_plan9(b"hello", SESAME, RANDOM)
    for cut in range(len(stored)):
        with pytest.raises(Unreadable):
            seal.unseal(stored[:cut], SESAME, "bob", "f")
    with pytest.raises(Unreadable, match="failed to authenticate"):
        seal.unseal(stored, Secret("other"), "bob", "f")


@pytest.mark.parametrize("size", SIZES)
def test_sealed_both_ways(size: int) -> None:
    data = RANDOM(size)
    stored = sealed(data)
    assert len(stored) == size + seal.OVERHEAD
    assert stored.startswith(b"mailfs secret 1\n\x0e\x08\x01")
    assert seal.form(stored) is SealFormat.SEALED
    assert seal.unseal(stored, SESAME, "bob", "factotum") == data
    assert sealed(data) != stored


def test_sealed_is_tied_to_owner_and_name() -> None:
    stored = sealed(b"hello")
    for owner, name in (("eve", "factotum"), ("bob", "other"), ("bobf", "actotum")):
        with pytest.raises(Unreadable, match="failed to authenticate"):
            seal.unseal(stored, SESAME, owner, name)
    with pytest.raises(Unreadable, match="failed to authenticate"):
        seal.unseal(stored, Secret("sesame124"), "bob", "factotum")


def test_every_octet_of_a_sealed_file_counts() -> None:
    stored = sealed(b"hi")
    for at in (*range(20), 30, 34, 35, 46, *range(47, len(stored))):
        changed = stored[:at] + bytes((stored[at] ^ 0x20,)) + stored[at + 1 :]
        with pytest.raises(SecstoreError):
            seal.unseal(changed, SESAME, "bob", "factotum")
    for cut in (*range(16, 64, 8), len(stored) - 1):
        with pytest.raises(Unreadable):
            seal.unseal(stored[:cut], SESAME, "bob", "factotum")
    with pytest.raises(Unreadable):
        seal.unseal(stored + b"x", SESAME, "bob", "factotum")


COSTS = [
    *((n, 8, 1) for n in (0, 13, 18, 255)),
    *((14, r, 1) for r in (0, 1, 9, 255)),
    *((14, 8, p) for p in (0, 5, 255)),
]


@pytest.mark.parametrize("cost", COSTS)
def test_cost_a_stranger_asks_for_is_bounded(cost: tuple[int, ...]) -> None:
    stored = seal.MAGIC + bytes(cost) + bytes(60)
    with pytest.raises(SecstoreError, match="implausible cost"):
        seal.unseal(stored, SESAME, "bob", "f")


@settings(max_examples=100)
@given(st.binary(max_size=80))
def test_garbage(stored: bytes) -> None:
    with pytest.raises(SecstoreError):
        seal.unseal(stored, SESAME, "bob", "f")
    with pytest.raises(SecstoreError):
        seal.unseal(seal.MAGIC + b"\x00" + stored, SESAME, "bob", "f")
