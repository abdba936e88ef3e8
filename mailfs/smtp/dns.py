"""Questions to the name service, and whether the answers are proven; dnspython.

An answer is secure if a resolver that we trust says it was validated: the AD bit of
RFC 6840 from one on this machine, or from any if resolv.conf has ``trust-ad``.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import dns.exception
import dns.flags
import dns.name
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TLSA import TLSA

from mailfs import where
from mailfs.smtp.fate import DeliveryError
from mailfs.smtp.limit import DeliveryLimit

LIFETIME = 30.0  # seconds for one question, over all resolvers
MAX_RECORDS = 100  # of one answer; who has more means harm
PAYLOAD = 1232  # octets of a datagram that pass everywhere; DNS flag day 2020
RESOLV = Path("/etc/resolv.conf")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What a question gave.

    exists  whether the name exists at all
    secure  whether that, and the records or their absence, are proven
    """

    records: tuple[T, ...]
    exists: bool = True
    secure: bool = False


class DnsError(DeliveryError):
    """No answer; another time there may be one."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"dns: {name}: {why}", permanent=False, enhanced="4.4.3")


@dataclass(frozen=True, slots=True)
class Resolvers:
    """Whom to ask: addresses, the port of all, and whether their AD bit counts."""

    addresses: tuple[str, ...]
    port: int = 53
    trusted: bool = False


def system(path: Path = RESOLV) -> Resolvers:
    """Return the resolvers of this machine; resolv.conf(5).  None: this machine."""
    try:
        lines = path.read_text(errors="replace").split("\n")
    except OSError:
        lines = []
    words = [line.split() for line in lines]
    found = tuple(w[1] for w in words if len(w) > 1 and w[0] == "nameserver")
    trust = any(w and w[0] == "options" and "trust-ad" in w for w in words)
    return Resolvers(found or ("127.0.0.1",), trusted=trust or _local(found))


def listed(servers: Iterable[str]) -> Resolvers | None:
    """Return the resolvers that ``dns=`` in the database names, None if none.

    A value is an address, or ``tcp!ADDRESS!PORT``; the last port holds for all.
    """
    found, port = [], 53
    for text in servers:
        words = text.split("!")
        if len(words) == 3 and words[2].isdecimal():
            port = int(words[2])
        host = words[1] if len(words) > 1 else text
        try:
            ipaddress.ip_address(host)
        except ValueError:
            continue
        found.append(host)
    if not found:
        return None
    return Resolvers(tuple(found), port, _local(tuple(found)))


def _local(addresses: tuple[str, ...]) -> bool:
    return bool(addresses) and all(map(where.is_loopback, addresses))


class Dns:
    """A client of the resolvers; safe in any thread."""

    def __init__(self, resolvers: Resolvers | None = None) -> None:
        resolvers = resolvers or system()
        self._trusted = resolvers.trusted
        self._resolver = dns.resolver.Resolver(configure=False)
        self._resolver.nameservers = list(resolvers.addresses)
        self._resolver.port = resolvers.port
        self._resolver.cache = dns.resolver.LRUCache(1000)
        self._resolver.use_edns(0, dns.flags.DO, PAYLOAD)
        self._resolver.flags = dns.flags.RD | dns.flags.AD

    def mx(
        self, domain: str, limit: DeliveryLimit | None = None
    ) -> Answer[tuple[int, str]]:
        """Ask for (preference, host) pairs; the host is empty for a null MX."""
        found = self._ask(domain, "MX", limit)
        return Answer(
            tuple(
                (r.preference, _text(r.exchange))
                for r in found.records
                if isinstance(r, MX)
            ),
            found.exists,
            found.secure,
        )

    def addresses(self, host: str, limit: DeliveryLimit | None = None) -> Answer[str]:
        """Ask for the addresses of a host, IPv6 first.

        Raises DnsError only if neither kind could be asked for.  A failure of one kind
        leaves fewer addresses, and those as proven as they are: who can suppress an
        answer must not be able to switch DANE off.
        """
        answers, error = [], None
        for kind in ("AAAA", "A"):
            try:
                answers.append(self._ask(host, kind, limit))
            except DnsError as e:
                error = e
        records = tuple(str(r) for a in answers for r in a.records)
        if error is not None and not records:
            raise error
        return Answer(
            records,
            any(a.exists for a in answers),
            all(a.secure for a in answers),
        )

    def tlsa(
        self, host: str, port: int, limit: DeliveryLimit | None = None
    ) -> Answer[TLSA]:
        """Ask for the TLSA records of a host's port; RFC 6698 section 3."""
        found = self._ask(f"_{port}._tcp.{host}", "TLSA", limit)
        records = tuple(r for r in found.records if isinstance(r, TLSA))
        return Answer(records, found.exists, found.secure)

    def txt(self, name: str, limit: DeliveryLimit | None = None) -> Answer[str]:
        """Ask for the texts of a name, the strings of each joined."""
        found = self._ask(name, "TXT", limit)
        return Answer(
            tuple(
                b"".join(r.strings).decode(errors="replace")  # type: ignore[attr-defined]
                for r in found.records
            ),
            found.exists,
            found.secure,
        )

    def _ask(
        self, name: str, kind: str, limit: DeliveryLimit | None
    ) -> Answer[dns.rdata.Rdata]:
        """Ask one question; limit, if given, ends it before LIFETIME does."""
        lifetime = LIFETIME if limit is None else limit.left(LIFETIME)
        try:
            asked = dns.name.from_text(name)
        except dns.exception.DNSException as e:
            raise DeliveryError(
                f"{name}: illegal address", permanent=True, enhanced="5.1.2"
            ) from e
        try:
            answer = self._resolver.resolve(
                asked,
                kind,
                raise_on_no_answer=False,
                search=False,
                lifetime=lifetime,
            )
        except dns.resolver.NXDOMAIN as e:
            responses = e.kwargs.get("responses", {}).values()
            return Answer((), exists=False, secure=any(map(self._proven, responses)))
        except dns.resolver.LifetimeTimeout as e:
            raise DnsError(name, "no answer in time") from e
        except dns.exception.DNSException as e:
            raise DnsError(name, _why(e)) from e
        except OSError as e:
            raise DnsError(name, e.strerror or str(e)) from e
        if limit is not None:
            limit.heard()
        records = tuple(answer.rrset or ())[:MAX_RECORDS]
        return Answer(records, True, self._proven(answer.response))

    def _proven(self, response: dns.message.Message) -> bool:
        return self._trusted and bool(response.flags & dns.flags.AD)


def _why(e: dns.exception.DNSException) -> str:
    if isinstance(e, dns.resolver.NoNameservers):
        return "dns failure"
    return type(e).__name__


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).removesuffix(".")
