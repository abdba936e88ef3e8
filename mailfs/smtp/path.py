"""Addresses in bang form and at form, and dial strings; smtp(8), RFC 5321.

Inside upas an address is ``dom!user``; at this edge it becomes ``user@dom``.
"""

import ipaddress
import re
from dataclasses import dataclass

from mailfs.errors import MailfsError
from mailfs.msg.escape import unescape
from mailfs.ndb import shipped

SMTP = 25
MAX_PATH = 254  # octets between the brackets; RFC 5321 section 4.5.3.1.3, errata 1690
MAX_DOMAIN = 253  # characters of a name; RFC 1035 section 2.3.4
MAX_LABEL = 63  # of one label; the same
NOBODY = "/dev/null"  # the sender of bounces

_ATOM = r"[^\s()<>\[\]:;@\\,\".\x00-\x1f\x7f]+"
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*\Z")
_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"\Z')
_DOMAIN = re.compile(r"[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)*\Z")
_LITERAL = re.compile(r"\[[\x21-\x5a\x5e-\x7e]+\]\Z")


class BadPath(MailfsError):
    """An address that no SMTP command can carry."""


@dataclass(frozen=True, slots=True)
class Dial:
    """``net!host!service`` taken apart; host may be ``$attr``, a name or an address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"net!{self.host}" + (f"!{self.port}" if self.port != SMTP else "")


def dial(text: str, default: int = SMTP) -> Dial:
    """Parse a destination: ``net!host[!service]``, or a host alone.

    Raises BadPath for an unknown service and for no host.
    """
    net, bang, rest = text.partition("!")
    if not bang:
        net, rest = "net", text
    host, _, service = rest.partition("!")
    if net.rpartition("/")[2] not in ("net", "tcp") or not host or "!" in service:
        raise BadPath(f"{text}: not a destination: want net!host[!service]")
    port = default
    if service:
        known = int(service) if service.isdecimal() else _PORTS.get(service)
        port = known or shipped.port(service) or 0
    if not 0 < port < 65536:
        raise BadPath(f"{text}: unknown service {service}")
    return Dial(host.removesuffix("."), port)


# Names that upas or others use and the shipped database may lack.
_PORTS = {"smtp": 25, "ssmtp": 465, "submissions": 465, "esmtp": 587}


def at(address: str, domain: str, *, local: str = "") -> str:
    """Return an address in at form: ``d!u`` becomes ``u@d``, and so on.

    Several leading parts with a dot become a route, ``@a.x:u@b.y``.  A part without
    one is a system's name: with local it gets that domain, else it stays in the local
    part.  What is still unqualified gets domain.  NOBODY becomes empty.
    """
    if address in (NOBODY, ""):
        return ""
    head, mark, tail = address.rpartition("@")
    if mark and '"' not in tail:
        return address if tail or not domain else f"{head}@{domain}"
    *systems, user = _bangs(address)
    if local and systems and "." not in systems[0]:
        systems[0] = f"{systems[0]}.{local.lstrip('.')}"
    hops = 0
    while hops < len(systems) and "." in systems[hops]:
        hops += 1
    user = "!".join([*systems[hops:], user])
    if not hops:
        return f"{user}@{domain}" if domain else user
    route = "".join(f"@{system}," for system in systems[: hops - 1])
    return (
        f"{route[:-1]}:{user}@{systems[hops - 1]}"
        if route
        else (f"{user}@{systems[hops - 1]}")
    )


def _bangs(address: str) -> list[str]:
    """Split at ``!`` outside double quotes."""
    parts, quoted = [""], False
    for c in address:
        quoted ^= c == '"'
        if c == "!" and not quoted:
            parts.append("")
        else:
            parts[-1] += c
    return parts


@dataclass(frozen=True, slots=True)
class Path:
    """What stands between the brackets of MAIL and RCPT; local is ready to send."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}" if self.domain else self.local

    @property
    def utf8(self) -> bool:
        """Whether only SMTPUTF8 can carry it: a domain alone has an ASCII form."""
        return not self.local.isascii()

    def ascii(self) -> "Path":
        """Return it with the domain in its ASCII form.  Raises BadPath."""
        return Path(self.local, ascii_domain(self.domain))


EMPTY = Path("", "")


def literal(host: str) -> str:
    """Return a host as the domain of an address; RFC 5321 section 4.1.3."""
    bare = host.strip("[]")
    try:
        version = ipaddress.ip_address(bare).version
    except ValueError:
        return host
    return f"[IPv6:{bare}]" if version == 6 else f"[{bare}]"


def ascii_domain(domain: str) -> str:
    """Return a domain's ASCII form.  Raises BadPath if DNS can hold none."""
    if domain.startswith("["):
        return domain
    try:
        text = domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError as e:
        raise BadPath(f"{domain!a}: not a domain") from e
    if len(text) > MAX_DOMAIN or max(map(len, text.split("."))) > MAX_LABEL:
        raise BadPath(f"{domain}: not a domain: too long")
    return text


def envelope(word: str, domain: str, *, local: str = "") -> Path:
    """Return the path for a sender or recipient as upas's programs give it.

    A route is dropped, as RFC 5321 section 3.6.1 tells receivers to; a local part that
    needs quotes gets them.  Raises BadPath for what is no address.
    """
    address = at(unescape(word), domain, local=local)
    if not address:
        return EMPTY
    if address.startswith("@") and ":" in address:
        address = address.partition(":")[2]
    user, mark, host = address.rpartition("@")
    host = host.removesuffix(".")
    if not mark or not user or not host:
        raise BadPath(f"{word}: not an address")
    if not (_DOMAIN.match(host) or _LITERAL.match(host)):
        raise BadPath(f"{word}: not a domain: {host}")
    if not (_DOT_ATOM.match(user) or _QUOTED.match(user)):
        user = '"' + re.sub(r'(["\\])', r"\\\1", user) + '"'
        if not _QUOTED.match(user):
            raise BadPath(f"{word}: illegal characters in address")
    path = Path(user, host)
    if len(str(path).encode(errors="surrogateescape")) > MAX_PATH:
        raise BadPath(f"{word[:80]}...: address over {MAX_PATH} octets")
    return path
