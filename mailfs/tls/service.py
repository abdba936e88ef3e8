"""The services a mail program dials, and the peer that was meant.

Ports: the services file; STARTTLS: RFC 2595, RFC 3207.  The upas names of upasfs(4)
stand beside them.
"""

import enum
from dataclasses import dataclass

from mailfs.errors import UsageError
from mailfs.tls.thumb import plain


class TlsStart(enum.Enum):
    """How TLS begins on a connection."""

    AT_ONCE = enum.auto()
    IMAP = enum.auto()  # STARTTLS, RFC 9051 section 6.2.1
    POP3 = enum.auto()  # STLS, RFC 2595 section 4
    SMTP = enum.auto()  # STARTTLS, RFC 3207


@dataclass(frozen=True, slots=True)
class TlsService:
    """A name, its port, how TLS begins, and which list of thumbprints counts."""

    name: str
    port: int
    start: TlsStart
    file: str = "mail"


SERVICES: dict[str, TlsService] = {
    s.name: s
    for s in (
        TlsService("imaps", 993, TlsStart.AT_ONCE),
        TlsService("imap", 143, TlsStart.IMAP),
        TlsService("imaptls", 143, TlsStart.IMAP),
        TlsService("pop3s", 995, TlsStart.AT_ONCE),
        TlsService("pops", 995, TlsStart.AT_ONCE),
        TlsService("apops", 995, TlsStart.AT_ONCE),
        TlsService("pop3", 110, TlsStart.POP3),
        TlsService("pop", 110, TlsStart.POP3),
        TlsService("poptls", 110, TlsStart.POP3),
        TlsService("apop", 110, TlsStart.POP3),
        TlsService("apoptls", 110, TlsStart.POP3),
        TlsService("ssmtp", 465, TlsStart.AT_ONCE, "smtp"),
        TlsService("smtps", 465, TlsStart.AT_ONCE, "smtp"),
        TlsService("submissions", 465, TlsStart.AT_ONCE, "smtp"),
        TlsService("smtp", 25, TlsStart.SMTP, "smtp"),
        TlsService("submission", 587, TlsStart.SMTP, "smtp"),
        TlsService("esmtp", 587, TlsStart.SMTP, "smtp"),
        TlsService("t9fs", 17020, TlsStart.AT_ONCE, "9fs"),
    )
}


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom we mean to talk to; host is what its certificate must name."""

    service: TlsService
    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp!{self.host}!{self.port}"

    def words(self) -> list[str]:
        """Return the arguments by which ``mailfs trust`` finds the same peer."""
        if self.port == self.service.port:
            return [self.service.name, self.host]
        return [self.service.name, str(self)]


def peer(service: str, host: str, port: int = 0) -> Peer:
    """Find the peer of a service and a host.

    host may be a dial string, ``net!HOST!SERVICE``, whose last part is then the port;
    service may be empty if that part tells it.  Raises UsageError.
    """
    net, bang, rest = host.partition("!")
    if bang:
        if net not in ("tcp", "net"):
            raise UsageError(f"{host}: not an address: want tcp!HOST!PORT")
        host, _, tail = rest.partition("!")
        if not tail and not service:
            raise UsageError(f"{net}!{rest}: which service?")
        if tail:
            service, port = _tail(tail, service)
    if service not in SERVICES:
        known = " ".join(SERVICES)
        raise UsageError(f"{service}: unknown service: want one of {known}")
    name = plain(host)
    if not name or any(c <= " " for c in name):
        raise UsageError("no host")
    kind = SERVICES[service]
    return Peer(kind, name, port or kind.port)


def _tail(tail: str, service: str) -> tuple[str, int]:
    if tail in SERVICES:
        return service or tail, SERVICES[tail].port
    if not tail.isdecimal() or not 0 < int(tail) < 65536:
        raise UsageError(f"{tail}: not a port")
    port = int(tail)
    if not service:
        names = [s.name for s in SERVICES.values() if s.port == port]
        if not names:
            raise UsageError(f"{tail}: say which service this port is for")
        service = names[0]
    return service, port
