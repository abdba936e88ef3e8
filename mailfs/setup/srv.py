"""What the name service says of a domain's mail servers: RFC 6186, RFC 8314, and MX."""

import dns.exception
import dns.resolver
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.IN.SRV import SRV

from mailfs.errors import UsageError
from mailfs.setup import server
from mailfs.setup.server import MailServer
from mailfs.smtp.dns import Resolvers, system

LIFETIME = 5.0  # seconds for one question; a person waits
MAX_REASON = 200  # characters of the resolvers' complaint
MAX_RECORDS = 16  # of one answer that are looked at

# Labels and services, best first: TLS from the first octet, RFC 8314 section 3.
INCOMING = (
    ("_imaps", "imaps"),
    ("_imap", "imaptls"),
    ("_pop3s", "pops"),
    ("_pop3", "poptls"),
)
OUTGOING = (("_submissions", "submissions"), ("_submission", "submission"))


class Srv:
    """A client of the resolvers; what they do not tell is not there."""

    def __init__(self, resolvers: Resolvers | None = None) -> None:
        told = resolvers or system()
        self._resolver = dns.resolver.Resolver(configure=False)
        self._resolver.nameservers = list(told.addresses)
        self._resolver.port = told.port
        self.failures: list[str] = []  # questions without an answer, and why

    def exchangers(self, domain: str) -> list[str]:
        """Return the hosts that take a domain's mail, the preferred first."""
        found = [r for r in self._ask(domain, "MX") if isinstance(r, MX)]
        found.sort(key=lambda r: r.preference)
        return [r.exchange.to_text(omit_final_dot=True) for r in found]

    def incoming(self, domain: str) -> MailServer | None:
        """Return the best server that mail of a domain is read from."""
        return self._best(domain, INCOMING)

    def outgoing(self, domain: str) -> MailServer | None:
        """Return the best server that mail of a domain is sent to."""
        return self._best(domain, OUTGOING)

    def _best(
        self, domain: str, kinds: tuple[tuple[str, str], ...]
    ) -> MailServer | None:
        for label, service in kinds:
            records = self._ask(f"{label}._tcp.{domain}", "SRV")
            found = [r for r in records if isinstance(r, SRV)]
            # The weights spread load over equals; one machine may take the heaviest.
            found.sort(key=lambda r: (r.priority, -r.weight))
            for record in found:
                host = record.target.to_text(omit_final_dot=True)
                try:  # the root means that it is not offered; RFC 6186 section 3.4
                    return _server(f"/{service}/tcp!{host}!{record.port}")
                except UsageError:
                    continue
        return None

    def _ask(self, name: str, kind: str) -> list[dns.rdata.Rdata]:
        try:
            answer = self._resolver.resolve(
                name, kind, raise_on_no_answer=False, search=False, lifetime=LIFETIME
            )
        except dns.resolver.NXDOMAIN:
            return []
        except (dns.exception.DNSException, OSError) as e:
            why = " ".join(str(e).split()) or type(e).__name__
            self.failures.append(f"{name}: {why[:MAX_REASON]}")
            return []
        return list(answer.rrset or ())[:MAX_RECORDS]


def _server(text: str) -> MailServer:
    service = text[1:].partition("/")[0]
    return (server.outgoing if service in server.SMTP else server.incoming)(text)


def within(host: str, domain: str) -> bool:
    """Whether a host belongs to a domain; RFC 6186 section 6.

    An answer that names another's host may have been made up on the way: it is asked
    about, or proven by its certificate only to who expects that name.
    """
    host, domain = host.lower().removesuffix("."), domain.lower()
    return host == domain or host.endswith(f".{domain}")
