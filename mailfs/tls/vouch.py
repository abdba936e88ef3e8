"""What the system's certificate authorities say of a chain that was received.

OpenSSL verifies chains, but Python reaches that only from inside a handshake, where a
refusal ends the connection before the thumbprints were asked.  So the handshake with
the server verifies nothing, and its chain is then shown to OpenSSL in a second one
that happens in memory: a TLS 1.2 client is given a ServerHello and the chain, and
nothing more.  It either refuses the chain or goes on to wait for what would follow.

The verifier of the package cryptography would spare the records below, but it gives
other verdicts: it holds to what browsers want of public authorities and refuses what
the openssl command makes and OpenSSL accepts, an authority without keyUsage or with
basicConstraints that are not critical, a self-signed certificate among the
authorities.  Nor does it find the system's authorities, or say what a person can act
on (an authority that is not known is "candidates exhausted").
"""

import contextlib
import ssl
from collections.abc import Callable, Sequence

from mailfs.errors import MailfsError

MAX_CHAIN = 16  # certificates; public CAs send two or three
MAX_CERT = 64 << 10  # octets of one; the largest in public lists have a tenth
CONTROL = "control.mailfs.invalid"  # a name no authority may certify; RFC 2606

_CIPHERS = {  # by the kind of key the certificate holds; RFC 5289 section 3.2
    "ECDHE-RSA-AES128-GCM-SHA256": b"\xc0\x2f",
    "ECDHE-ECDSA-AES128-GCM-SHA256": b"\xc0\x2b",
}
_HANDSHAKE = 22  # record type; RFC 5246 section 6.2.1
_SERVER_HELLO = 2
_CERTIFICATE = 11
_SECURE_RENEGOTIATION = b"\xff\x01\x00\x01\x00"  # OpenSSL insists on it; RFC 5746
_MAX_RECORD = 1 << 14  # octets; RFC 5246 section 6.2.1


class Unvouched(MailfsError):
    """The authorities do not speak for the chain; the text says why not."""


def authorities() -> ssl.SSLContext:
    """Make a context of the system's authorities.

    Host names are those in subjectAltName; a CN is none; RFC 9525 section 2.
    """
    ctx = ssl.create_default_context()
    ctx.hostname_checks_common_name = False
    ctx.verify_flags &= ~ssl.VERIFY_X509_STRICT  # some Pythons set it, others do not
    return ctx


def vouch(
    chain: Sequence[bytes],
    host: str,
    roots: Callable[[], ssl.SSLContext] = authorities,
) -> None:
    """Return if the system's CAs accept the chain of DER certificates for host now.

    Raises Unvouched otherwise.  SSL_CERT_FILE and SSL_CERT_DIR name other authorities,
    as everywhere with OpenSSL.
    """
    if not 0 < len(chain) <= MAX_CHAIN or any(len(c) > MAX_CERT for c in chain):
        raise Unvouched(f"bad certificate chain of {len(chain)}")
    ctx = roots()
    ctx.minimum_version = ctx.maximum_version = ssl.TLSVersion.TLSv1_2
    ctx.set_ciphers(":".join(_CIPHERS))
    for cipher in _CIPHERS.values():
        why = _objection(chain, host, cipher, ctx)
        if why is None:
            # Silence means assent only from a checker that can object.
            if _objection(chain, CONTROL, cipher, ctx) is None:
                raise Unvouched("this OpenSSL does not check host names")
            return
        if why:
            raise Unvouched(why)
    raise Unvouched("the certificate's kind of key is not supported")


def _objection(
    chain: Sequence[bytes], host: str, cipher: bytes, ctx: ssl.SSLContext
) -> str | None:
    """Ask OpenSSL for its objection: None if it has none, empty for a wrong cipher."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        client = ctx.wrap_bio(incoming, outgoing, server_hostname=host)
    except ValueError:  # UnicodeError too
        return "not a host name"
    try:
        with contextlib.suppress(ssl.SSLWantReadError):  # its hello is written
            client.do_handshake()
        incoming.write(_flight(chain, cipher))
        client.do_handshake()
    except ssl.SSLWantReadError:
        return None
    except ssl.SSLCertVerificationError as e:
        return e.verify_message.rstrip(".")
    except ssl.SSLError as e:
        if e.reason == "WRONG_CERTIFICATE_TYPE":
            return ""
        return (e.reason or "TLS failure").lower().replace("_", " ")
    return "handshake ended early"


def _flight(chain: Sequence[bytes], cipher: bytes) -> bytes:
    """Make a server's first records; RFC 5246 sections 7.4.1.3 and 7.4.2."""
    version, random, session, compression = b"\x03\x03", bytes(32), b"\0", b"\0"
    extensions = _sized(_SECURE_RENEGOTIATION, 2)
    hello = version + random + session + cipher + compression + extensions
    certs = b"".join(_sized(cert, 3) for cert in chain)
    octets = bytes((_SERVER_HELLO,)) + _sized(hello, 3)
    octets += bytes((_CERTIFICATE,)) + _sized(_sized(certs, 3), 3)
    return b"".join(
        bytes((_HANDSHAKE,)) + version + _sized(octets[at : at + _MAX_RECORD], 2)
        for at in range(0, len(octets), _MAX_RECORD)
    )


def _sized(octets: bytes, width: int) -> bytes:
    return len(octets).to_bytes(width, "big") + octets
