"""Distinguished names as ``'C=FR O=Fakedom CN=mail.fakedom.dom, mx.fakedom.dom'``.

Words are rc's: ``C= ST= L= O= OU= CN= E= DC=``, others are skipped.  What follows an
unquoted comma are further names of the same owner: hosts, addresses, or people with
an @.  Source: rsa(8) of 9front.
"""

import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from mailfs.attr import tokenize
from mailfs.errors import MailfsError

MAX_WORDS = 20  # of a name, rsa2x509's own limit
MAX_NAMES = 100  # beside it; authorities stop there

_OIDS = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
    "E": NameOID.EMAIL_ADDRESS,
    "DC": NameOID.DOMAIN_COMPONENT,
}


class BadHostName(MailfsError):
    """A name that no certificate can carry."""


@dataclass(frozen=True, slots=True)
class CertNames:
    """Whom a certificate is for: the subject, and what its extension lists."""

    subject: x509.Name
    others: tuple[x509.GeneralName, ...]


def parse(text: str) -> CertNames:
    """Read a certinfo argument.  Raises BadName for one without any known word.

    Without names after a comma, a CN that looks like a host is one: programs of today
    look for hosts in the extension only (RFC 9525 section 2).
    """
    first, *rest = _split(text)
    words = tokenize(first, MAX_WORDS + 1)
    if len(words) > MAX_WORDS:
        raise BadHostName(f"more than {MAX_WORDS} words in a name")
    known = []
    for word in words:
        kind, equals, name = word.partition("=")
        if equals and kind in _OIDS:
            known.append((kind, name))
    if not known:
        raise BadHostName(f"no name in {text!r}: want something like 'C=US CN=host'")
    try:
        subject = x509.Name([x509.NameAttribute(_OIDS[k], v) for k, v in known])
        others = [n for n in map(_general, rest) if n is not None]
        hosts = [v for k, v in known if k == "CN" and _hostlike(v)]
        if not rest and hosts:
            others = [_host(hosts[0])]
    except ValueError as e:
        raise BadHostName(f"{text}: {e}") from e
    if len(others) > MAX_NAMES:
        raise BadHostName(f"more than {MAX_NAMES} names")
    return CertNames(subject, tuple(others))


def _split(text: str) -> list[str]:
    """Cut at commas outside quotes."""
    parts, quoted = [""], False
    for c in text:
        if c == "'":
            quoted = not quoted
        if c == "," and not quoted:
            parts.append("")
        else:
            parts[-1] += c
    return parts


def _general(text: str) -> x509.GeneralName | None:
    name = " ".join(tokenize(text))
    if not name:
        return None
    if "=" in name:
        return x509.DirectoryName(parse(text.strip()).subject)
    if "@" in name:
        return x509.RFC822Name(name)
    return _host(name)


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _hostlike(name: str) -> bool:
    return name.isascii() and not any(c <= " " or c in "/:@=" for c in name)
