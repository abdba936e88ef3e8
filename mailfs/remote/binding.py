"""tls-server-end-point channel binding: the server's certificate, hashed; RFC 5929.

Python tells neither tls-exporter nor, under TLS 1.3, tls-unique.
"""

import hashlib
import ssl

from mailfs.factotum.sasl import NONE, Binding

KIND = "tls-server-end-point"
_WEAK = ("md5", "sha1")  # replaced by SHA-256; RFC 5929 section 4.1


def endpoint(sock: object) -> Binding:
    """Compute the binding of a socket's TLS connection; NONE without TLS.

    NONE too for a certificate whose signature names no hash, such as Ed25519's, or
    that cannot be read: RFC 5929 defines nothing for those.
    """
    if not isinstance(sock, ssl.SSLSocket):
        return NONE
    cert = sock.getpeercert(binary_form=True)
    return certificate(cert) if cert else NONE


def certificate(cert: bytes) -> Binding:
    """Compute the binding of a DER certificate."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        algorithm = x509.load_der_x509_certificate(cert).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return NONE
    if algorithm is None:
        return NONE
    name = "sha256" if algorithm.name in _WEAK else algorithm.name
    try:
        return Binding(KIND, hashlib.new(name, cert).digest())
    except ValueError:
        return NONE
