"""A certificate in words, for whoever must decide about it."""

import hashlib
import ipaddress
import warnings
from typing import TYPE_CHECKING

from mailfs.tls import der

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MAX_SHOWN = 400  # characters of one field; names are the peer's to choose


def describe(cert: bytes) -> list[tuple[str, str]]:
    """Return (label, text) rows for a DER certificate: names, dates, hashes.

    One that no parser accepts still has its hashes.
    """
    rows = _names(cert)
    for name in ("sha1", "sha256"):
        rows.append((name, hashlib.new(name, cert).hexdigest()))
    try:
        key = der.public_key(cert)
    except der.DerError:
        return rows
    return [*rows, ("key sha256", hashlib.sha256(key).hexdigest())]


def summary(cert: bytes) -> str:
    """Say in a few words whose a DER certificate is, and until when it is good."""
    rows = dict(_names(cert))
    if "subject" not in rows:
        return "it cannot be read"
    return f"of {rows['subject'] or 'nobody'}, until {rows['until'][:10]}"


def doubts(cert: bytes, host: str, now: float) -> list[str]:
    """List what is wrong with a DER certificate itself, but for who speaks for it.

    now is in seconds since the epoch.
    """
    from cryptography import x509

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            parsed = x509.load_der_x509_certificate(cert)
            found = []
            if parsed.not_valid_after_utc.timestamp() < now:
                found.append(f"it expired on {parsed.not_valid_after_utc:%Y-%m-%d}")
            if parsed.not_valid_before_utc.timestamp() > now:
                found.append(
                    f"it is not valid before {parsed.not_valid_before_utc:%Y-%m-%d}"
                )
            named = _alternatives(parsed)
        except ValueError as e:
            return [f"it cannot be read: {shown(str(e))}"]
    if not any(_fits(name, host) for name in named):
        told = shown(" ".join(named)) or "none"
        found.append(f"it is not for {host}; its host names are {told}")
    return found


def _fits(name: str, host: str) -> bool:
    """Whether a name of a certificate is a host's; RFC 9525 section 6.3."""
    name, host = name.lower().removesuffix("."), host.lower().removesuffix(".")
    if name.startswith("*."):
        return name[2:] == host.partition(".")[2]
    try:
        return ipaddress.ip_address(name) == ipaddress.ip_address(host)
    except ValueError:
        return name == host


def _alternatives(parsed: "Certificate") -> list[str]:
    """List the hosts and addresses in subjectAltName.  Raises ValueError."""
    from cryptography import x509

    try:
        ext = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    except x509.DuplicateExtension as e:
        raise ValueError(str(e)) from e
    kinds = (x509.DNSName, x509.IPAddress)
    return [str(n.value) for n in ext.value if isinstance(n, kinds)]


def _names(cert: bytes) -> list[tuple[str, str]]:
    from cryptography import x509

    with warnings.catch_warnings():  # of serial number 0 and the like
        warnings.simplefilter("ignore")
        try:
            parsed = x509.load_der_x509_certificate(cert)
            rows = [
                ("subject", shown(parsed.subject.rfc4514_string())),
                ("issuer", shown(parsed.issuer.rfc4514_string())),
                ("from", f"{parsed.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC"),
                ("until", f"{parsed.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC"),
            ]
        except ValueError as e:
            return [("unreadable", shown(str(e)))]
        try:
            ext = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except (x509.ExtensionNotFound, ValueError, x509.DuplicateExtension):
            return rows
    names = [
        str(n.value)
        for n in ext.value
        if isinstance(n, (x509.DNSName, x509.IPAddress, x509.RFC822Name))
    ]
    return [rows[0], ("names", shown(" ".join(names))), *rows[1:]]


def shown(text: str) -> str:
    """Return a stranger's text fit for a terminal: one line, no control characters."""
    plain = "".join(c if c.isprintable() else "?" for c in text[:MAX_SHOWN])
    return plain + "..." if len(text) > MAX_SHOWN else plain
