"""As much of DER as finding the public key in a certificate takes; X.690.

A whole X.509 parser refuses the certificates that old Plan 9 tools make (serial
number 0, a modulus read as negative); where the key lies can be told without it.
"""

from mailfs.errors import MailfsError

SEQUENCE = 0x30
INTEGER = 0x02
BIT_STRING = 0x03
OID = 0x06
NULL = b"\x05\x00"
VERSION = 0xA0  # [0] EXPLICIT in TBSCertificate; absent in version 1

MAX_LENGTH_OCTETS = 4  # of a long-form length; nothing here comes near 4 GB


class DerError(MailfsError):
    """Octets that are not the DER they should be."""


def element(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Return (tag, start, stop) of the element at ``at``: its contents' octets.

    Raises DerError if it does not fit before end; X.690 section 8.1.
    """
    if at + 2 > end:
        raise DerError("certificate cut short")
    tag, length, start = data[at], data[at + 1], at + 2
    if length & 0x80:
        n = length & 0x7F
        if not 1 <= n <= MAX_LENGTH_OCTETS or start + n > end:
            raise DerError("bad length in certificate")
        length = int.from_bytes(data[start : start + n], "big")
        start += n
    if length > end - start:
        raise DerError("certificate cut short")
    return tag, start, start + length


def wrap(tag: int, contents: bytes) -> bytes:
    """Return one element with its tag and length."""
    n = len(contents)
    if n < 0x80:
        return bytes((tag, n)) + contents
    size = n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + contents


def _expect(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    found, start, stop = element(data, at, end)
    if found != tag:
        raise DerError(f"certificate has tag {found:#04x} where {tag:#04x} belongs")
    return start, stop


def public_key(cert: bytes) -> bytes:
    """Return the whole SubjectPublicKeyInfo of a certificate; RFC 5280 section 4.1.

    Raises DerError if the octets before it are not a certificate's.
    """
    at, end = _expect(cert, 0, len(cert), SEQUENCE)
    at, end = _expect(cert, at, end, SEQUENCE)  # TBSCertificate
    tag, _, stop = element(cert, at, end)
    if tag == VERSION:
        at = stop
    _, at = _expect(cert, at, end, INTEGER)  # serial number
    for _ in ("signature", "issuer", "validity", "subject"):
        _, at = _expect(cert, at, end, SEQUENCE)
    _, stop = _expect(cert, at, end, SEQUENCE)
    return cert[at:stop]


def bare_key(spki: bytes) -> bytes:
    """Return SubjectPublicKeyInfo as 9front writes it: NULL for every parameter.

    For RSA that is what it was; for an elliptic curve the curve is lost.
    """
    at, end = _expect(spki, 0, len(spki), SEQUENCE)
    alg, key_at = _expect(spki, at, end, SEQUENCE)
    _, oid_end = _expect(spki, alg, key_at, OID)
    _, stop = _expect(spki, key_at, end, BIT_STRING)
    algorithm = wrap(SEQUENCE, spki[alg:oid_end] + NULL)
    return wrap(SEQUENCE, algorithm + spki[key_at:stop])
