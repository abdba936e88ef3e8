"""MTA-STS: what a domain says of its mail servers over HTTPS; RFC 8461."""

import contextlib
import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mailfs.disk.replace import replace
from mailfs.errors import MailfsError
from mailfs.smtp.dns import Dns
from mailfs.smtp.fate import DeliveryError
from mailfs.smtp.limit import DeliveryLimit
from mailfs.tls.vouch import authorities

MAX_POLICY = 64 << 10  # octets; RFC 8461 section 3.3
MAX_AGE = 31557600  # seconds; section 3.2
MAX_HOSTS = 1000  # patterns of a policy
TIMEOUT = 60.0  # seconds for all of fetching one; section 3.3
RENEW = 3 * 86400.0  # seconds before its end a policy is fetched anew, though unchanged
REFRESH = 86400.0  # seconds for which a cached policy needs no look at DNS's id
AGAIN = 300.0  # seconds to leave a server alone that gave none; section 3.3
MAX_ADDRESSES = 8  # of the host that has a policy
PATH = "/.well-known/mta-sts.txt"

Fetch = Callable[[str], bytes]
"""Return the policy file of a host; raises OSError or http.client.HTTPException."""

_RECORD = re.compile(r"v=STSv1\s*;\s*id=([A-Za-z0-9]{1,32})\s*(?:;|$)")
_HOST = re.compile(r"(?:\*\.)?[\w.-]{1,255}", re.ASCII)


class BadPolicy(MailfsError):
    """A policy that means nothing."""


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """A domain's policy: its id, its mode, whom it names, and when it holds.

    since and until are seconds since the epoch.
    """

    ident: str
    mode: str
    hosts: tuple[str, ...]
    since: float
    until: float

    @property
    def renewal(self) -> float:
        """When to fetch it anew, so that a failure to do so finds it still in force."""
        return self.until - min(RENEW, (self.until - self.since) / 2)

    def allows(self, host: str) -> bool:
        """Whether the policy names a mail server; section 4.1."""
        name = host.lower().removesuffix(".")
        for pattern in self.hosts:
            if pattern.startswith("*."):
                if name.partition(".")[2] == pattern[2:]:
                    return True
            elif name == pattern:
                return True
        return False


def parse(octets: bytes, ident: str, now: float) -> StsPolicy:
    """Read a policy file; section 3.2.  Raises BadPolicy."""
    if len(octets) > MAX_POLICY:
        raise BadPolicy("policy too long")
    pairs: dict[str, list[str]] = {}
    for line in octets.decode("ascii", "replace").split("\n"):
        name, colon, told = line.strip().partition(":")
        if colon:
            pairs.setdefault(name.strip(), []).append(told.strip())
    mode, age = pairs.get("mode", [""])[0], pairs.get("max_age", [""])[0]
    hosts = tuple(h.lower() for h in pairs.get("mx", []) if _HOST.fullmatch(h))
    if pairs.get("version", [""])[0] != "STSv1" or mode not in (
        "enforce",
        "testing",
        "none",
    ):
        raise BadPolicy("not a policy of version STSv1")
    if not age.isdecimal() or len(age) > 10 or (mode != "none" and not hosts):
        raise BadPolicy("policy lacks max_age or mx")
    until = now + min(int(age), MAX_AGE)
    return StsPolicy(ident, mode, hosts[:MAX_HOSTS], now, until)


class _Connection(http.client.HTTPSConnection):
    """One that ends when its time is over, however slowly the server talks."""

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext, end: float
    ) -> None:
        self._context = context
        self._end = end
        self._cut: threading.Timer | None = None
        super().__init__(host, port, timeout=_left(end), context=context)

    def connect(self) -> None:
        """Dial, and have a timer hang up at the end."""
        sock = _dial(self.host, self.port, self._end)
        whole = sock.dup()  # TLS takes the other

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                whole.shutdown(socket.SHUT_RDWR)

        self._cut = threading.Timer(_left(self._end), hang_up)
        self._cut.daemon = True
        self._cut.start()
        self._whole = whole
        self.sock = self._context.wrap_socket(sock, server_hostname=self.host)

    def finish(self) -> None:
        """Hang up; close() alone is called as soon as the header is read."""
        self.close()
        if self._cut is not None:
            self._cut.cancel()
            self._cut.join()
            self._whole.close()


def _dial(host: str, port: int, end: float) -> socket.socket:
    """Connect to the first address that answers before the end; raises OSError."""
    error: OSError = TimeoutError("timed out")
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, proto, _, address in found[:MAX_ADDRESSES]:
        sock = socket.socket(family, kind, proto)
        try:
            sock.settimeout(_left(end))
            sock.connect(address)
        except OSError as e:
            sock.close()
            error = e
        else:
            return sock
    raise error


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def fetch(
    domain: str,
    port: int = 443,
    context: ssl.SSLContext | None = None,
    seconds: float = TIMEOUT,
) -> bytes:
    """Return the policy file of a domain, within so many seconds in all.

    Redirects are not followed; section 3.3.  Raises OSError and HTTPException.
    """
    end = time.monotonic() + seconds
    context = context or authorities()
    conn = _Connection(f"mta-sts.{domain}", port, context, end)
    try:
        conn.request("GET", PATH, headers={"User-Agent": "mailfs"})
        reply = conn.getresponse()
        if reply.status != 200:
            raise http.client.HTTPException(f"status {reply.status}")
        octets = reply.read(MAX_POLICY + 1)
        _left(end)  # or half a policy that was cut off would pass for one
        return octets
    finally:
        conn.finish()


class Policies:
    """The policies of domains, cached in a directory; safe in any thread."""

    def __init__(
        self,
        dns: Dns,
        cache: Path | None,
        fetch: Fetch = fetch,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take where policies are cached; None keeps them in memory only."""
        self._dns = dns
        self._cache = cache
        self._fetch = fetch
        self._clock = clock
        self._known: dict[str, tuple[StsPolicy | None, float]] = {}  # and till when

    def find(self, domain: str, limit: DeliveryLimit | None = None) -> StsPolicy | None:
        """Find the policy in force for a domain, None if it has none.

        One that cannot be fetched is none, unless an old one still holds.
        """
        domain, now = domain.lower(), self._clock()
        known, till = self._known.get(domain, (None, 0.0))
        if now < till and (known is None or now < known.until):
            return known
        old = self._load(domain)
        if old is not None and now >= old.until:
            old = None
        found, till = self._fresh(domain, old, now, limit)
        self._known[domain] = found, till
        return found

    def _fresh(
        self,
        domain: str,
        old: StsPolicy | None,
        now: float,
        limit: DeliveryLimit | None,
    ) -> tuple[StsPolicy | None, float]:
        try:
            records = self._dns.txt(f"_mta-sts.{domain}", limit).records
        except DeliveryError:
            return old, now + AGAIN
        idents = [m[1] for m in map(_RECORD.match, records) if m]
        if len(idents) != 1:
            return old, now + AGAIN
        if old is not None and old.ident == idents[0] and now < old.renewal:
            return old, min(now + REFRESH, old.renewal)
        try:
            octets = self._fetch(domain)
            policy = parse(octets, idents[0], now)
        except (OSError, http.client.HTTPException, BadPolicy, ValueError):
            return old, now + AGAIN  # ValueError: a name no host can have
        self._save(domain, octets, policy)
        return policy, min(now + REFRESH, policy.renewal)

    def _path(self, domain: str) -> Path | None:
        if self._cache is None or not _HOST.fullmatch(domain) or domain.startswith("."):
            return None
        return self._cache / domain

    def _load(self, domain: str) -> StsPolicy | None:
        path = self._path(domain)
        if path is None:
            return None
        try:
            with path.open("rb") as f:
                octets = f.read(MAX_POLICY + 200)
            first, _, rest = octets.partition(b"\n")
            ident, stamp = first.decode("ascii").split()
            return parse(rest, ident, float(stamp))
        except (OSError, ValueError, BadPolicy):
            return None

    def _save(self, domain: str, octets: bytes, policy: StsPolicy) -> None:
        path = self._path(domain)
        if path is None:
            return
        first = f"{policy.ident} {self._clock():.0f}\n".encode()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace(path, first + octets)
        except OSError:
            pass  # the next process fetches it again
