"""TLSA records as what vouches for a mail server; RFC 6698, RFC 7672."""

import hashlib
import ssl
from collections.abc import Callable, Sequence

from dns.rdtypes.ANY.TLSA import TLSA

from mailfs.tls import der
from mailfs.tls.trust import Vouch
from mailfs.tls.vouch import Unvouched, vouch

ANCHOR, OWN = 2, 3  # usages: DANE-TA, DANE-EE; the PKIX ones mean nothing for SMTP
CERT, KEY = 0, 1  # selectors
_MATCHING: dict[int, Callable[[bytes], bytes]] = {
    0: lambda octets: octets,
    1: lambda octets: hashlib.sha256(octets).digest(),
    2: lambda octets: hashlib.sha512(octets).digest(),
}


def usable(records: Sequence[TLSA]) -> list[TLSA]:
    """Return the records that can be checked; RFC 7672 sections 2.1 and 3.1.3.

    If there are records but none of these, TLS is needed and nobody vouches.
    """
    return [
        r
        for r in records
        if r.usage in (ANCHOR, OWN)
        and r.selector in (CERT, KEY)
        and r.mtype in _MATCHING
    ]


def matches(record: TLSA, cert: bytes) -> bool:
    """Whether a DER certificate, or its public key, is what the record names."""
    octets = cert
    if record.selector == KEY:
        try:
            octets = der.public_key(cert)
        except der.DerError:
            return False
    return _MATCHING[record.mtype](octets) == bytes(record.cert)


def voucher(records: Sequence[TLSA], names: Sequence[str]) -> Vouch:
    """Find the usable record that vouches for a chain.

    names are those an anchored certificate may have: the server's and the domain's.
    With usage DANE-EE neither names nor dates count; RFC 7672 section 3.1.1.
    """
    found = usable(records)

    def check(chain: Sequence[bytes], host: str) -> None:
        if any(r.usage == OWN and matches(r, chain[0]) for r in found):
            return
        why = "no TLSA record matches"
        for anchor in _anchors(found, chain):
            for name in names:
                try:
                    vouch(chain, name, roots=lambda anchor=anchor: _context(anchor))  # type: ignore[misc]
                except Unvouched as e:
                    why = str(e)
                else:
                    return
        raise Unvouched(f"dane: {why}")

    return check


def _anchors(records: Sequence[TLSA], chain: Sequence[bytes]) -> list[bytes]:
    """Return the certificates that records make anchors, of the chain or their own."""
    found = [c for r in records if r.usage == ANCHOR for c in chain if matches(r, c)]
    own = [bytes(r.cert) for r in records if r.usage == ANCHOR]
    whole = [r.selector == CERT and r.mtype == 0 for r in records if r.usage == ANCHOR]
    return found + [cert for cert, it in zip(own, whole, strict=True) if it]


def _context(anchor: bytes) -> ssl.SSLContext:
    """Return a context that trusts one certificate, be it an intermediate one."""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        ctx.load_verify_locations(cadata=anchor)
    except ssl.SSLError as e:
        raise Unvouched("a TLSA record holds no certificate") from e
    return ctx
