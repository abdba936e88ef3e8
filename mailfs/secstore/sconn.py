"""Records: a count, and after login a SHA-1 and RC4; no I/O.

Interoperation code: RC4 and this way of using SHA-1 protect nothing else here.  A
record is the count (top bit set, then 15 bits), SHA1(secret, data, sequence number)
and the data, the last two under RC4.  Numbers begin with the first clear record.
Source: the SConn of secstore(1).
"""

import hashlib
import hmac
import warnings
from typing import Protocol

from mailfs.secret import Secret
from mailfs.secstore.error import SecstoreError

HEADER = 2  # octets
MAX_DATA = 4096  # octets of data in a record; Plan 9 reads no more
DIGEST = 20  # octets
RC4_KEY = 16  # octets of the secret that key RC4
MAX_SEQUENCE = (1 << 32) - 1


class Stream(Protocol):
    """A keystream that goes on from call to call."""

    def update(self, data: bytes, /) -> bytes:
        """Return data under the next of the keystream."""


class Rc4:
    """RC4, for builds of OpenSSL that have dropped it; RFC 6229 has its vectors."""

    def __init__(self, key: bytes) -> None:
        s = list(range(256))
        j = 0
        for i in range(256):
            j = (j + s[i] + key[i % len(key)]) & 255
            s[i], s[j] = s[j], s[i]
        self._s, self._i, self._j = s, 0, 0

    def update(self, data: bytes) -> bytes:
        """Return data under the next of the keystream."""
        s, i, j = self._s, self._i, self._j
        out = bytearray(len(data))
        for at, octet in enumerate(data):
            i = (i + 1) & 255
            a = s[i]
            j = (j + a) & 255
            b = s[j]
            s[i], s[j] = b, a
            out[at] = octet ^ s[(a + b) & 255]
        self._i, self._j = i, j
        return bytes(out)


def stream(key: bytes) -> Stream:
    """Return RC4 with that key, from the library if it has it."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
        from cryptography.hazmat.primitives.ciphers import Cipher
    except ImportError:
        return Rc4(key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is weak, we know
        try:
            return Cipher(ARC4(key), mode=None).encryptor()
        except UnsupportedAlgorithm:
            return Rc4(key)


class _Half:
    """One direction of a connection."""

    def __init__(self) -> None:
        self.sequence = 0
        self.secret: Secret | None = None
        self.stream: Stream | None = None

    def key(self, sigma: bytes, label: bytes) -> None:
        raw = hmac.digest(label, sigma, "sha1")
        self.secret = Secret(raw)
        self.stream = stream(raw[:RC4_KEY])

    def mac(self, data: bytes) -> bytes:
        assert self.secret is not None
        seq = self.sequence.to_bytes(4, "big")
        return hashlib.sha1(self.secret.reveal() + data + seq).digest()  # noqa: S324

    def count(self) -> None:
        if self.sequence == MAX_SEQUENCE:  # a number must not come twice
            raise SecstoreError("too many records")
        self.sequence += 1


class Records:
    """Both directions: data to records and back."""

    def __init__(self) -> None:
        self._in, self._out = _Half(), _Half()

    def secret(self, sigma: Secret, *, server: bool) -> None:
        """Encrypt from now on, both ways, under the secret of a PAK session."""
        one, two = (self._out, self._in) if server else (self._in, self._out)
        one.key(sigma.reveal(), b"one")
        two.key(sigma.reveal(), b"two")

    def seal(self, data: bytes) -> bytes:
        """Return the record for 1 to MAX_DATA octets."""
        if not 0 < len(data) <= MAX_DATA:
            raise SecstoreError(f"record of {len(data)} octets")
        half = self._out
        payload = data
        if half.stream is not None:
            payload = half.stream.update(half.mac(data) + data)
        half.count()
        return (0x8000 | len(payload)).to_bytes(HEADER, "big") + payload

    def size(self, header: bytes) -> int:
        """Read the count of octets in a header.  Raises SecstoreError.

        The count is a stranger's until the login, so it is bounded before anything is
        read.
        """
        count = int.from_bytes(header, "big")
        if not count & 0x8000:
            raise SecstoreError("invalid count in a record")
        count &= 0x7FFF
        extra = 0 if self._in.stream is None else DIGEST
        if not extra < count <= MAX_DATA + extra:
            raise SecstoreError("implausible record length")
        return count

    def open(self, payload: bytes) -> bytes:
        """Return the data of a record.  Raises SecstoreError if it was changed."""
        half = self._in
        data = payload
        if half.stream is not None:
            clear = half.stream.update(payload)
            digest, data = clear[:DIGEST], clear[DIGEST:]
            if not hmac.compare_digest(digest, half.mac(data)):
                raise SecstoreError("integrity check failed")
        half.count()
        return data
