"""rsa: sign, verify, encrypt and decrypt with RSA keys; factotum(4), rsa(8).

A key is ``proto=rsa size= ek= n= !dk= !p= !q= !kp= !kq= !c2=``, numbers in hex, as
rsagen writes it; without the private half it can verify and encrypt.  ``role=client``
is how a TLS server finds the key of its certificate: it reads moduli until one fits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils

from mailfs.errors import MailfsError
from mailfs.factotum.key import Key
from mailfs.factotum.step import (
    ConvStart,
    Find,
    Poll,
    Proto,
    ProtoError,
    Steps,
    find,
    recv,
    send,
)

PRIVATE = ("!dk", "!p", "!q", "!kp", "!kq", "!c2")
MAX_BITS = 16384  # of a modulus; more is a mistake and takes seconds
MIN_BITS = 512  # what a test may want; a size to trust is the maker's concern
HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "md5": hashes.MD5,
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha512": hashes.SHA512,
}


@dataclass(frozen=True, slots=True)
class Numbers:
    """A key's numbers; p and q are named as Plan 9 names them, swapped in ASN.1."""

    e: int
    n: int
    private: tuple[int, int, int, int, int, int] | None = None  # dk p q kp kq c2

    @property
    def octets(self) -> int:
        """How many octets the modulus has."""
        return (self.n.bit_length() + 7) // 8

    def public(self) -> rsa.RSAPublicKey:
        """Return the public half."""
        return rsa.RSAPublicNumbers(self.e, self.n).public_key()

    def secret(self) -> rsa.RSAPrivateKey:
        """Return the whole key.  Raises ProtoError if half of it is missing."""
        if self.private is None:
            raise ProtoError("key has no private half")
        d, p, q, kp, kq, c2 = self.private
        numbers = rsa.RSAPrivateNumbers(
            q, p, d, kq, kp, c2, rsa.RSAPublicNumbers(self.e, self.n)
        )
        # Checked when it was added; checking primes takes as long as signing.
        return numbers.private_key(unsafe_skip_rsa_key_validation=True)

    def raise_to_d(self, text: int, random: Callable[[int], bytes]) -> int:
        """Return text to the power d modulo n: RSA without padding.

        The number is blinded, since Python's pow tells its operands by its time.
        """
        if self.private is None:
            raise ProtoError("key has no private half")
        if not 0 <= text < self.n:
            raise ProtoError("number is not less than the modulus")
        blind = int.from_bytes(random(self.octets)) % (self.n - 2) + 2
        hidden = text * pow(blind, self.e, self.n) % self.n
        result = pow(hidden, self.private[0], self.n) * pow(blind, -1, self.n) % self.n
        if pow(result, self.e, self.n) != text:
            raise ProtoError("key is inconsistent")
        return result


def numbers(key: Key) -> Numbers:
    """Return a key's numbers.  Raises MailfsError if they are not a key's."""
    try:
        e, n = int(key.get("ek"), 16), int(key.get("n"), 16)
        secrets = [
            int(key.secret(name).text(), 16) for name in PRIVATE if key.has(name)
        ]
    except ValueError:
        raise MailfsError("malformed key data") from None
    if not MIN_BITS <= n.bit_length() <= MAX_BITS or not 2 < e < n or not e & n & 1:
        raise MailfsError("malformed key data")
    if not secrets:
        return Numbers(e, n)
    if len(secrets) != len(PRIVATE):
        raise MailfsError(f"missing attributes -- want {' '.join(PRIVATE)}")
    d, p, q, kp, kq, c2 = secrets
    if p * q != n or min(p, q) < 3 or not 0 < d < n:
        raise MailfsError("malformed key data")
    if (d % (p - 1), d % (q - 1)) != (kp, kq) or c2 * p % q != 1:
        raise MailfsError("malformed key data")
    return Numbers(e, n, (d, p, q, kp, kq, c2))


def client(start: ConvStart) -> Steps:
    """Out, as often as read: modulus and exponent of the next key.

    In: hex of a number.  Out: hex of it to the power d, under the key shown last.
    """
    keys: list[Key] = yield Find(start.template(""), "", every=True)
    current: Numbers | None = None
    for known in [numbers(key) for key in keys]:
        if known.private is None:
            continue
        asked: bytes | None = yield Poll(b"%X %X" % (known.n, known.e))
        if asked is not None:
            return (yield from _raise(start, current, asked))
        current = known
    asked = yield Poll(None)
    return (yield from _raise(start, current, asked or b""))


def _raise(start: ConvStart, known: Numbers | None, asked: bytes) -> Steps:
    if known is None:
        raise ProtoError("no key chosen: read one first")
    try:
        text = int(asked.rstrip(b"\0\n").decode("ascii"), 16)
    except ValueError:
        raise ProtoError("bad hex") from None
    result = known.raise_to_d(text, start.env.random)
    yield from send(b"%X" % result)
    return None


def _hash(start: ConvStart, key: Key) -> hashes.HashAlgorithm:
    name = key.get("hash") or start.get("hash", "sha1")
    if name not in HASHES:
        raise ProtoError(f"unknown hash {name}")
    return HASHES[name]()


def sign(start: ConvStart) -> Steps:
    """In: a digest.  Out: its PKCS#1 v1.5 signature, as long as the modulus."""
    key = yield from find(start, "")
    known, algorithm = numbers(key), _hash(start, key)
    digest = yield from recv(algorithm.digest_size)
    signer = known.secret()
    yield from send(signer.sign(digest, padding.PKCS1v15(), utils.Prehashed(algorithm)))
    return None


def verify(start: ConvStart) -> Steps:
    """In: a digest, then a signature.  Out: ``ok`` or why not."""
    key = yield from find(start, "")
    known, algorithm = numbers(key), _hash(start, key)
    digest = yield from recv(algorithm.digest_size)
    signature = yield from recv()
    try:
        known.public().verify(
            signature, digest, padding.PKCS1v15(), utils.Prehashed(algorithm)
        )
    except InvalidSignature:
        yield from send(b"signature does not verify")
    else:
        yield from send(b"ok")
    return None


def _crypt(way: Literal["encrypt", "decrypt"]) -> Callable[[ConvStart], Steps]:
    def crypt(start: ConvStart) -> Steps:
        """In: a number, most significant octet first.  Out: the result, zeros cut."""
        key = yield from find(start, "")
        known = numbers(key)
        text = int.from_bytes((yield from recv()))
        if text >= known.n:
            raise ProtoError("number is not less than the modulus")
        if way == "encrypt":
            result = pow(text, known.e, known.n)
        else:
            result = known.raise_to_d(text, start.env.random)
        yield from send(result.to_bytes((result.bit_length() + 7) // 8))
        return None

    return crypt


def _check(key: Key) -> None:
    known = numbers(key)
    if known.private is None:
        return
    two = pow(2, known.private[0], known.n)
    if pow(two, known.e, known.n) != 2:  # prime factors are the maker's promise
        raise MailfsError("malformed key data")


RSA = Proto(
    "rsa",
    {
        "client": client,
        "sign": sign,
        "verify": verify,
        "encrypt": _crypt("encrypt"),
        "decrypt": _crypt("decrypt"),
    },
    "ek? n?",
    check=_check,
)
