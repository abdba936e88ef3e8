"""From a target to a session that is ready: dial, TLS as policy has it, log in."""

import hashlib
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mailfs.attr import quote
from mailfs.errors import reason
from mailfs.site.log import SysLog
from mailfs.smtp import auth, dane, route
from mailfs.smtp.fate import DeliveryError
from mailfs.smtp.limit import DeliveryLimit
from mailfs.smtp.options import DEFAULT, PING, Options
from mailfs.smtp.route import Dialer, Target
from mailfs.smtp.session import (
    TIMEOUTS,
    SmtpSession,
    StarttlsRefused,
    Timeouts,
    Trace,
)
from mailfs.tls import store
from mailfs.tls.dial import TlsError
from mailfs.tls.service import SERVICES, Peer
from mailfs.tls.thumb import BadThumbprint, plain
from mailfs.tls.trust import Policy, Trust, Untrusted, Vouch
from mailfs.tls.vouch import Unvouched
from mailfs.tls.vouch import vouch as authorities

SUBMISSIONS = 465
UNTRUSTED = "4.7.5"  # a certificate, or a list of certificates; RFC 3463


@dataclass(frozen=True, slots=True)
class Demand:
    """Whether there must be TLS, and what speaks for a certificate no line lists."""

    tls: bool
    vouch: Vouch


def anybody(chain: Sequence[bytes], host: str) -> None:
    """Accept: without a policy, TLS with a stranger beats clear text; RFC 7435."""


CLEAR = Demand(False, anybody)  # no TLS, even if it is offered


@dataclass(frozen=True, slots=True)
class Opener:
    """What it takes to open sessions."""

    root: Path
    helo: str
    log: SysLog
    keys: auth.Keys
    options: Options = DEFAULT
    timeouts: Timeouts = TIMEOUTS
    dialer: Dialer | None = None  # route.connect
    vouch: Vouch = authorities
    trace: Trace = lambda line: None

    def open(self, target: Target, limit: DeliveryLimit | None = None) -> SmtpSession:
        """Begin a session with a target: greeted, over TLS and logged in as needed.

        limit bounds the whole of it.  Raises DeliveryError, a temporary one for
        what a person can mend: a certificate that is not trusted, a missing key.
        """
        demand, limit = self._demand(target), limit or DeliveryLimit()
        try:
            return self._open(target, demand, limit)
        except (TlsError, StarttlsRefused) as e:
            if demand.tls:
                raise _unable(str(e), UNTRUSTED) from e
            self.log.write("smtp", f"{e}; going on without TLS")
        return self._open(target, CLEAR, limit)

    def _demand(self, target: Target) -> Demand:
        """Find the TLS demands on a target."""
        if target.tlsa:
            if dane.usable(target.tlsa):
                names = (target.host, target.domain)
                return Demand(True, dane.voucher(target.tlsa, names))
            return Demand(True, anybody)
        if target.verified:
            return Demand(True, self.vouch)
        options = self.options
        needed = options.needs_tls or self._pinned(target)
        if options.unverified or not (needed or options.auth):
            return Demand(needed, anybody)
        return Demand(needed, self._nobody if options.strict else self.vouch)

    def _nobody(self, chain: Sequence[bytes], host: str) -> None:
        raise Unvouched(f"not listed in {store.trusted(self.root, 'smtp')}")

    def _pinned(self, target: Target) -> bool:
        """Whether the trust list names this host: then it has to be what is listed."""
        try:
            lines = store.load(store.trusted(self.root, "smtp"), self.root)
        except BadThumbprint as e:
            raise _unable(f"bad thumbprints: {e}", UNTRUSTED) from e
        except OSError as e:
            raise _unable(reason(e), "4.3.0") from e
        return any(plain(target.host) in line.servers for line in lines)

    def _open(
        self, target: Target, demand: Demand, limit: DeliveryLimit
    ) -> SmtpSession:
        timeouts = self.timeouts
        if self.options.ping:
            timeouts = timeouts.divided(PING)
        sock = route.reach(target, timeouts.connect, self.dialer, limit)
        name = greeting_name(self.helo, sock)
        session = SmtpSession(sock, target.host, name, timeouts, self.trace, limit)
        try:
            self._prepare(session, target, demand)
        except Untrusted as e:
            session.close()
            raise _unable(str(e), UNTRUSTED) from e
        except OSError as e:
            session.close()
            raise _unable(f"{target.host}: {reason(e)}", "4.4.2") from e
        except BaseException:
            session.close()
            raise
        return session

    def _prepare(self, session: SmtpSession, target: Target, demand: Demand) -> None:
        implicit = self.options.tls or target.port == SUBMISSIONS
        service = SERVICES["ssmtp" if implicit else "smtp"]
        peer = Peer(service, plain(target.host), target.port)
        if implicit:
            self._secure(session.wrap, peer, demand)
        session.greet(silent=self.options.silent)
        if not implicit and demand is not CLEAR and session.has("starttls"):
            self._secure(session.secure, peer, demand)
        if session.tls:
            self.log.write("smtp", f"started TLS to {quote(target.host)}")
        elif demand.tls and (target.direct or not session.loopback):
            raise _unable(f"{target.host}: server does not offer starttls", "4.7.4")
        if self.options.auth:
            if not (session.tls or session.loopback or self.options.insecure):
                raise _unable(f"{target.host}: no login without TLS", "4.7.4")
            auth.authenticate(session, self.keys, peer.host, self.options.user)

    def _secure(
        self, begin: Callable[[Peer, Trust], None], peer: Peer, demand: Demand
    ) -> None:
        """Begin TLS; a certificate that is refused is logged as smtp(8) does."""
        shown: list[bytes] = []

        def vouch(chain: Sequence[bytes], host: str) -> None:
            shown[:] = chain[:1]
            demand.vouch(chain, host)

        try:
            begin(peer, Trust(self.root, Policy.CA, vouch))
        except Untrusted as e:
            if shown:
                sha1 = hashlib.sha1(shown[0]).hexdigest()  # noqa: S324  thumbprint(6)
                self.log.write(
                    "smtp",
                    "remote cert. has bad thumbprint: "
                    f"x509 sha1={sha1} server={quote(peer.host)}",
                )
            if e.line:
                self.log.write("smtp", f"to trust it append to {e.file}: {e.line}")
            raise


def greeting_name(helo: str, sock: socket.socket) -> str:
    """Choose the name for EHLO: our name, or our address if that has no dot.

    RFC 5321 section 4.1.4.
    """
    if "." in helo or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return helo
    host = str(sock.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{host}]" if ":" in host else f"[{host}]"


def _unable(text: str, enhanced: str) -> DeliveryError:
    """Return the error for what a person or time can mend."""
    return DeliveryError(text, permanent=False, enhanced=enhanced)
