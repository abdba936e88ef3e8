"""rsa: every role against the library, and keys that are none."""

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from mailfs.errors import MailfsError
from mailfs.factotum.proto.rsa import RSA, numbers
from mailfs.factotum.step import ProtoError
from tests.factotum.world import key, local

PRIVATE = rsa.generate_private_key(65537, 1024)
OTHER = rsa.generate_private_key(65537, 1024)


def line(private: rsa.RSAPrivateKey, *, secret: bool = True) -> str:
    """Return a key as rsagen writes it: p and q change places."""
    n = private.private_numbers()
    text = f"proto=rsa size=1024 ek={n.public_numbers.e:x} n={n.public_numbers.n:x}"
    if secret:
        text += f" !dk={n.d:x} !p={n.q:x} !q={n.p:x} !kp={n.dmq1:x} !kq={n.dmp1:x}"
        text += f" !c2={n.iqmp:x}"
    return text


KEY, PUBLIC = line(PRIVATE), line(PRIVATE, secret=False)
N = PRIVATE.private_numbers().public_numbers.n
HASHES = {
    "md5": hashes.MD5(),
    "sha1": hashes.SHA1(),
    "sha256": hashes.SHA256(),
    "sha512": hashes.SHA512(),
}


@pytest.mark.parametrize("name", HASHES)
def test_sign_and_verify(name: str) -> None:
    text = f"{KEY} hash={name}"
    digest = hashlib.new(name, b"message").digest()
    signer = local(f"proto=rsa role=sign hash={name}", text)
    signer.write(digest)
    signature = signer.read()
    assert signature is not None
    PRIVATE.public_key().verify(signature, b"message", padding.PKCS1v15(), HASHES[name])
    for sent, answer in (
        (signature, b"ok"),
        (bytes(128), b"signature does not verify"),
    ):
        judge = local(f"proto=rsa role=verify hash={name}", f"{PUBLIC} hash={name}")
        judge.write(digest)
        judge.write(sent)
        assert judge.read() == answer
    with pytest.raises(InvalidSignature):
        OTHER.public_key().verify(
            signature, b"message", padding.PKCS1v15(), HASHES[name]
        )


def test_a_public_key_does_not_sign() -> None:
    conv = local("proto=rsa role=sign", PUBLIC)
    with pytest.raises(ProtoError, match="no private half"):
        conv.write(bytes(20))


def test_a_tls_server_finds_its_key() -> None:
    text = f"{line(OTHER)} role=client"
    conv = local(
        "proto=rsa role=client", text, f"{PUBLIC} role=client", f"{KEY} role=client"
    )
    moduli = [conv.read(), conv.read()]
    want = [OTHER.private_numbers().public_numbers.n, N]
    assert [int((m or b"").split()[0], 16) for m in moduli] == want
    cipher = PRIVATE.public_key().encrypt(b"premaster", padding.PKCS1v15())
    conv.write(cipher.hex().encode())
    plain = int(conv.read() or b"", 16).to_bytes(128)
    assert plain[:2] == b"\0\2"
    assert plain.endswith(b"\0premaster")
    assert conv.read() is None


def test_the_key_shown_last_is_used() -> None:
    conv = local("proto=rsa role=client", KEY, line(OTHER))
    conv.read()
    conv.write(b"2")
    assert int(conv.read() or b"", 16) == pow(2, PRIVATE.private_numbers().d, N)


def test_misuse_of_role_client() -> None:
    for text, why in (
        (b"2", "no key chosen"),
        (b"zz", "bad hex"),
        (b"%x" % N, "not less"),
    ):
        conv = local("proto=rsa role=client", KEY)
        if why != "no key chosen":
            conv.read()
        with pytest.raises(ProtoError, match=why):
            conv.write(text)


def test_encrypt_and_decrypt() -> None:
    plain = bytes(10) + bytes(range(1, 100))
    coder = local("proto=rsa role=encrypt", PUBLIC)
    coder.write(plain)
    decoder = local("proto=rsa role=decrypt", KEY)
    decoder.write(coder.read() or b"")
    assert decoder.read() == plain.lstrip(b"\0")
    for role in ("encrypt", "decrypt"):
        conv = local(f"proto=rsa role={role}", KEY)
        with pytest.raises(ProtoError, match="not less than the modulus"):
            conv.write(b"\xff" * 128)


BAD = [
    ("ek=10001 n=", "malformed key data"),
    ("ek=10001 n=zz", "malformed key data"),
    ("ek=10001 n=" + "f" * 10, "malformed key data"),
    ("ek=10001 n=" + "f" * 5000, "malformed key data"),
    (f"ek=10000 n={N:x}", "malformed key data"),
    (f"ek=1 n={N:x}", "malformed key data"),
    (f"ek=10001 n={N - 1:x}", "malformed key data"),
    (KEY.replace("!dk", "!xx"), "missing attributes"),
    (KEY.replace("!kp=", "!kp=1"), "malformed key data"),
    (KEY.replace("!c2=", "!c2=1"), "malformed key data"),
    (KEY.replace("!p=", "!p=1"), "malformed key data"),
    (KEY.replace("ek=10001", "ek=3"), "malformed key data"),
]


@pytest.mark.parametrize(("text", "why"), BAD)
def test_bad_keys(text: str, why: str) -> None:
    with pytest.raises(MailfsError, match=why):
        RSA.check(key(f"proto=rsa {text}" if "proto" not in text else text))
    RSA.check(key(KEY))
    RSA.check(key(f"proto=rsa ek=010001 n={N:X}"))


def test_a_modulus_of_other_primes() -> None:
    with pytest.raises(MailfsError, match="malformed key data"):
        numbers(key(KEY.replace(f" n={N:x}", f" n={N + 2:x}")))


def test_an_exponent_that_does_not_fit() -> None:
    n = PRIVATE.private_numbers()
    d, p, q = n.d - 2, n.q, n.p
    text = (
        f"proto=rsa ek={n.public_numbers.e:x} n={N:x} !dk={d:x} !p={p:x} !q={q:x}"
        f" !kp={d % (p - 1):x} !kq={d % (q - 1):x} !c2={n.iqmp:x}"
    )
    with pytest.raises(MailfsError, match="malformed key data"):
        RSA.check(key(text))
    # Nor does a result go out that would give the factors away.
    conv = local("proto=rsa role=decrypt", text)
    with pytest.raises(ProtoError, match="key is inconsistent"):
        conv.write(b"2")


def test_plan9_names_swap_p_and_q() -> None:
    private = numbers(key(KEY)).secret().private_numbers()
    assert private == PRIVATE.private_numbers()
