"""Certificates and signing requests for our own keys; rsa(8), RFC 5280, RFC 2986."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from mailfs.errors import MailfsError
from mailfs.tls.names import CertNames
from mailfs.tls.rsa import RsaKey

LIFETIME = 3 * 366 * 24 * 3600  # seconds; what rsa2x509 gives
MAX_LIFETIME = 100 * 366 * 24 * 3600  # seconds; dates have four digits for the year


class CertError(MailfsError):
    """What was asked for cannot be put into a certificate."""


def self_signed(
    key: RsaKey, names: CertNames, now: float, lifetime: int, serial: int
) -> bytes:
    """Return a DER certificate, version 3, signed with SHA-256 by the key itself.

    now is in seconds since the epoch, lifetime in seconds; serial is a positive
    number below 2**159, random (RFC 5280 section 4.1.2.2).
    """
    if not 0 < lifetime <= MAX_LIFETIME:
        raise CertError(f"lifetime of {lifetime} seconds: want 1 to {MAX_LIFETIME}")
    start = datetime.datetime.fromtimestamp(int(now), datetime.UTC)
    public = key.public
    builder = (
        x509.CertificateBuilder()
        .subject_name(names.subject)
        .issuer_name(names.subject)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(seconds=lifetime))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False
        )
    )
    if names.others:
        builder = builder.add_extension(_others(names), critical=False)
    signed = builder.sign(key.private, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


def request(key: RsaKey, names: CertNames) -> bytes:
    """Return a DER signing request for the key, signed with SHA-256."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(names.subject)
    if names.others:
        builder = builder.add_extension(_others(names), critical=False)
    signed = builder.sign(key.private, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


def _others(names: CertNames) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(names.others)
