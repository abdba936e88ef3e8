"""Which servers take the mail of a destination, and what they must prove.

RFC 5321 section 5.1, RFC 7505 (null MX), RFC 7672 (DANE), RFC 8461 (MTA-STS).
"""

import errno
import ipaddress
import random
import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from dns.rdtypes.ANY.TLSA import TLSA

from mailfs.smtp import dane
from mailfs.smtp.dns import Dns
from mailfs.smtp.fate import DeliveryError
from mailfs.smtp.limit import DeliveryLimit
from mailfs.smtp.path import SMTP, BadPath, Dial, ascii_domain
from mailfs.smtp.sts import Policies

SUBMISSION = (465, 587)  # no MX leads to these; RFC 6409, RFC 8314
MAX_HOSTS = 16  # of a domain that are tried
MAX_ADDRESSES = 8  # of a host

# Carriers of an IPv4 address in their last 32 bits: compatible, mapped, translated.
_CARRIERS = tuple(
    ipaddress.IPv6Network(text) for text in ("::/96", "::ffff:0:0/96", "64:ff9b::/96")
)
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
_FUTURE = ipaddress.ip_network("240.0.0.0/4")  # and the broadcast address

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Shuffle = Callable[[list[tuple[int, str]]], None]


@dataclass(frozen=True, slots=True)
class Target:
    """A server to try.

    addresses  empty: the system resolves the host
    tlsa       its proven TLSA records; any of them makes TLS a must
    verified   a policy wants the authorities to vouch for the host
    direct     it was found by MX, not named by us
    """

    host: str
    port: int
    addresses: tuple[str, ...] = ()
    tlsa: tuple[TLSA, ...] = ()
    verified: bool = False
    direct: bool = False
    domain: str = ""


def illegal(address: str) -> bool:
    """Whether no mail server of a domain can have an address.

    Such are those that mean this machine or its link, and those of no machine; also
    where IPv6 carries them: mapped, translated (RFC 6052), 6to4, Teredo.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    return any(
        one.is_loopback
        or one.is_unspecified
        or one.is_multicast
        or one.is_link_local
        or one in _THIS_NETWORK
        or one in _FUTURE
        for one in (ip, *_carried(ip))
    )


def _carried(ip: Ip) -> Iterator[ipaddress.IPv4Address]:
    """Yield the IPv4 addresses in an IPv6 address."""
    if isinstance(ip, ipaddress.IPv4Address):
        return
    if ip.sixtofour is not None:
        yield ip.sixtofour
    if ip.teredo is not None:
        yield ip.teredo[1]
    if any(ip in network for network in _CARRIERS) and int(ip) > 1:
        yield ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)


def assigned(address: str) -> bool:
    """Whether an address is one of this machine's: a socket can be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
    except OSError:
        return False
    return True


class MxRouter:
    """Finds targets; own are the names of this machine, ours knows its addresses."""

    def __init__(
        self,
        dns: Dns,
        policies: Policies | None,
        own: Collection[str] = (),
        shuffle: Shuffle = random.shuffle,
        ours: Callable[[str], bool] = lambda address: False,
    ) -> None:
        self._dns = dns
        self._policies = policies
        self._own = {name.lower() for name in own}
        self._shuffle = shuffle
        self._ours = ours

    def targets(
        self,
        dest: Dial,
        *,
        busted: Collection[str] = (),
        limit: DeliveryLimit | None = None,
    ) -> list[Target]:
        """List the servers for a destination in the order to try them.

        limit bounds the look-ups.  Raises DeliveryError: permanent where the domain
        has none.
        """
        if named(dest):
            return [Target(dest.host.strip("[]"), dest.port)]
        try:
            domain = ascii_domain(dest.host).lower()
        except BadPath as e:
            raise _none(f"{dest.host[:80]!a}", "illegal address", "5.1.2") from e
        hosts, secure = self._hosts(domain, dest.port, limit)
        skipped = {name.lower() for name in busted}
        hosts = [host for host in hosts if host not in skipped]
        if not hosts:
            raise _none(
                domain, "all mail servers are skipped", "4.4.4", permanent=False
            )
        policy = self._policies.find(domain, limit) if self._policies else None
        enforced = policy is not None and policy.mode == "enforce"
        found, error = [], None
        for host in hosts[:MAX_HOSTS]:
            if enforced and policy is not None and not policy.allows(host):
                error = _none(
                    domain,
                    f"its policy does not name {host}",
                    "4.7.5",
                    permanent=False,
                )
                continue
            try:
                target = self._target(host, domain, dest.port, limit, secure=secure)
            except DeliveryError as e:
                error = e
                continue
            if enforced and not dane.usable(target[3]):
                target = (*target[:3], ())  # what proves nothing cancels no policy
            found.append(Target(*target, verified=enforced, direct=True, domain=domain))
        if not found:
            raise error or _none(domain, "no mail server", "5.4.4")
        return found

    def _hosts(
        self, domain: str, port: int, limit: DeliveryLimit | None
    ) -> tuple[list[str], bool]:
        """List the hosts of a domain by preference, and say whether that is proven."""
        answer = self._dns.mx(domain, limit)
        if not answer.exists:
            raise _none(domain, "unknown domain", "5.1.2")
        if not answer.records:
            return [domain], answer.secure
        records = [(pref, host.lower()) for pref, host in answer.records]
        if all(not host for _, host in records):
            raise _none(domain, "domain does not accept mail", "5.1.10")
        records = [pair for pair in records if pair[1]]
        self._shuffle(records)
        records.sort(key=lambda pair: pair[0])
        ours = [pref for pref, host in records if host in self._own]
        if ours and port == SMTP:
            # Those we relay for, if they are nearer; RFC 5321 section 5.1.
            records = [pair for pair in records if pair[0] < min(ours)]
            if not records:
                raise _none(domain, "mail for it loops back to us", "5.4.6")
        return list(dict.fromkeys(host for _, host in records)), answer.secure

    def _target(
        self,
        host: str,
        domain: str,
        port: int,
        limit: DeliveryLimit | None,
        *,
        secure: bool,
    ) -> tuple[str, int, tuple[str, ...], tuple[TLSA, ...]]:
        answer = self._dns.addresses(host, limit)
        if not answer.records:
            raise _none(domain, f"{host} has no address", "5.4.4")
        records = answer.records
        if port == SMTP:
            records = tuple(a for a in records if not (illegal(a) or self._ours(a)))
            if not records:
                why = f"illegal: domain lists {host} as mail server"
                raise _none(domain, why, "5.4.6")
        tlsa: tuple[TLSA, ...] = ()
        if secure and answer.secure:
            found = self._dns.tlsa(host, port, limit)  # no answer is no delivery
            tlsa = found.records if found.secure else ()
        return host, port, order(records)[:MAX_ADDRESSES], tlsa


def known_here(name: str) -> bool:
    """Whether the system may know a host by a name without a dot: not if it says no."""
    try:
        socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as e:
        return e.errno not in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5))
    except (OSError, UnicodeError):
        return True  # what is wrong with it, dialling will say
    return True


def named(dest: Dial) -> bool:
    """Whether a destination is a server, not a domain with some."""
    host = dest.host.strip("[]")
    if dest.port in SUBMISSION or not ("." in host or ":" in host):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _none(
    domain: str, why: str, enhanced: str, *, permanent: bool = True
) -> DeliveryError:
    return DeliveryError(f"{domain}: {why}", permanent=permanent, enhanced=enhanced)


Dialer = Callable[[str, int, float], socket.socket]
"""Connect to an address or host and a port, within so many seconds; raises OSError."""


def connect(
    host: str, port: int, timeout: float, limit: DeliveryLimit | None = None
) -> socket.socket:
    """Dial, without waiting for company before a short segment is sent.

    limit may cut it.  Raises OSError.
    """
    limit = limit or DeliveryLimit()
    error: OSError = OSError(errno.EADDRNOTAVAIL, "no address")
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, proto, _, address in found[:MAX_ADDRESSES]:
        sock = socket.socket(family, kind, proto)
        try:
            sock.settimeout(timeout)
            with limit.interruptible(partial(_sever, sock)):
                sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as e:
            sock.close()
            error = e
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise error


def _sever(sock: socket.socket) -> None:
    """Have another thread's connect() on a socket fail."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def reach(
    target: Target,
    seconds: float,
    dialer: Dialer | None = None,
    limit: DeliveryLimit | None = None,
) -> socket.socket:
    """Connect to the first address that answers; the dialer is connect() by default.

    Raises DeliveryError: temporary, with the reason of the last one.
    """
    limit = limit or DeliveryLimit()
    dialer = dialer or partial(connect, limit=limit)
    error: OSError | None = None
    for address in target.addresses or (target.host,):
        try:
            sock = dialer(address, target.port, limit.left(seconds))
        except UnicodeError as e:  # a name that no resolver can be asked for
            raise DeliveryError(
                f"smtp: {target.host[:80]!a}: illegal address",
                permanent=True,
                enhanced="5.1.2",
            ) from e
        except OSError as e:
            error = e
        else:
            limit.heard()
            return sock
    why = "timed out" if isinstance(error, TimeoutError) else _reason(error)
    raise DeliveryError(
        f"smtp: tcp!{target.host}!{target.port} ({why})",
        permanent=False,
        enhanced="4.4.1",
    )


def _reason(error: OSError | None) -> str:
    return (error.strerror or str(error)).lower() if error else "no address"


def order(addresses: Sequence[str]) -> tuple[str, ...]:
    """Return addresses with the families in turn, IPv6 first; RFC 8305 section 4."""
    six = [a for a in addresses if ":" in a]
    four = [a for a in addresses if ":" not in a]
    mixed = []
    for i in range(max(len(six), len(four))):
        mixed += six[i : i + 1] + four[i : i + 1]
    return tuple(mixed)
