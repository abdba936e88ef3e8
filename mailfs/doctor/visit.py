"""A visit to a server, watched: how far it came, how fast, and why no further."""

import datetime
import errno
import shlex
import socket
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from cryptography import x509

from mailfs.attr import quote, show, value
from mailfs.doctor.finding import Finding, bad, note, ok
from mailfs.doctor.world import DoctorWorld
from mailfs.errors import MailfsError
from mailfs.factotum.client import FactotumError, NeedKey
from mailfs.tls.dial import TlsError
from mailfs.tls.service import Peer
from mailfs.tls.trust import Trust, Untrusted

SOON = 14 * 86400.0  # seconds before its end that a certificate's owner should renew
_HOW = "; to trust it run: "  # what a remedy says better

# How a dial fails, and what tells more.
_DIAL: dict[int, str] = {
    errno.ECONNREFUSED: "nc -vz {host} {port}",
    errno.EHOSTUNREACH: "ip route get {host}",
    errno.ENETUNREACH: "ip route",
}


@dataclass(frozen=True, slots=True)
class ProbeWatch(Trust):
    """A Trust that remembers the chains it was asked about."""

    seen: list[Sequence[bytes]] = field(default_factory=list)

    def check(self, chain: Sequence[bytes], peer: Peer) -> None:
        """Return if the peer is right, as Trust.check does."""
        self.seen.append(chain)
        Trust.check(self, chain, peer)


class Probe:
    """One attempt to log in somewhere.

    what   the specification that findings are about
    user   who would log in, empty if the key says
    again  how to do it with more patience
    """

    def __init__(
        self, world: DoctorWorld, what: str, peer: Peer, user: str, again: str
    ) -> None:
        self.world = world
        self.user = user
        self.what = what if world.source is None else f"{what} by {world.source}"
        self.peer = peer
        self.again = again
        self.keys = world.keys()
        trust = world.trust
        self.trust = ProbeWatch(trust.root, trust.policy, trust.vouch)
        self.address = ""
        self._began = time.monotonic()
        self._connected = 0.0

    def dial(self, host: str, port: int, timeout: float) -> socket.socket:
        """Connect, and note where to and when."""
        self._began = time.monotonic()
        sock = socket.create_connection((host, port), timeout)
        self._connected = time.monotonic()
        self.address = str(sock.getpeername()[0])
        return sock

    def reached(self) -> Iterator[Finding]:
        """Tell what went well: the dial, TLS."""
        if not self._connected:
            return
        seconds = self._connected - self._began
        where = f"{self.address} port {self.peer.port}"
        yield ok(f"{self.what}: dial", f"{where}, {milliseconds(seconds)}")

    def secured(self) -> Iterator[Finding]:
        """Tell of the certificate that was accepted, if there was one."""
        what = f"{self.what}: tls"
        if not self.trust.seen:
            yield note(what, "no TLS; the server is on this machine")
            return
        cert = self.trust.seen[-1][0]
        listed = self.trust.listed(cert, self.peer)
        who = f"authorities vouch for it as {self.peer.host}"
        if listed:
            who = f"{listed} lists it"
        life = lifetime(cert)
        if life is None:
            yield ok(what, who)
            return
        now, (_, end) = self.world.clock(), life
        text = f"{who}; valid until {_day(end)}"
        if end < now:
            text = f"{who}; expired on {_day(end)}"
        yield note(what, text) if end < now + SOON else ok(what, text)

    def logged_in(self, user: str) -> Finding:
        """Tell of the login."""
        seconds = time.monotonic() - self._connected
        who = f"as {user}, " if user else ""
        return ok(f"{self.what}: login", f"{who}{milliseconds(seconds)}")

    def failed(self, error: MailfsError | OSError) -> Iterator[Finding]:
        """Tell how far it came and what went wrong then."""
        yield from self.reached()
        if not self._connected:
            yield self._unreached(error)
            return
        if isinstance(error, Untrusted):
            yield self._untrusted(error)
            return
        if isinstance(error, TlsError):
            yield bad(f"{self.what}: tls", _short(error), self._look())
            return
        if self.trust.seen or self.keys.asked:
            yield from self.secured()
        if isinstance(error, OSError):
            yield self._broken(error)
        elif isinstance(error, FactotumError) or self.keys.asked:
            yield self._locked_out(error)
        else:
            yield bad(f"{self.what}: greeting", _short(error), self._look())

    def _unreached(self, error: Exception) -> Finding:
        host, port = self.peer.host, self.peer.port
        what = f"{self.what}: dial"
        number = getattr(error, "errno", None)
        cause = error.__cause__ or error
        if isinstance(cause, socket.gaierror):
            return bad(what, f"{host}: no such host", f"getent hosts {host}")
        if isinstance(cause, TimeoutError):
            text = f"{host} port {port}: no answer"
            return bad(what, text, f"nc -vz -w 30 {host} {port}")
        remedy = _DIAL.get(number or 0, "nc -vz {host} {port}")
        text = _short(error) if str(error) else "cannot be dialled"
        return bad(what, text, remedy.format(host=host, port=port))

    def _broken(self, error: OSError) -> Finding:
        stage = "login" if self.keys.asked else "greeting"
        if isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError):
            text = f"no answer within {self.world.timeout:.0f} s"
            return bad(f"{self.what}: {stage}", text, self.again)
        return bad(f"{self.what}: {stage}", _short(error), self._look())

    def _untrusted(self, error: Untrusted) -> Finding:
        what = f"{self.what}: tls"
        text = str(error).partition(_HOW)[0]
        chain = self.trust.seen[-1] if self.trust.seen else ()
        life = lifetime(chain[0]) if chain else None
        now = self.world.clock()
        if life is not None and not life[0] <= now <= life[1]:
            text += f"; valid from {_day(life[0])} to {_day(life[1])}, and today is "
            text += _day(now)
        elif chain and "mismatch" in text and (shown := names(chain[0])):
            text += f"; it names {' '.join(shown)}"
        if life is not None and now < life[0]:
            return bad(what, text, "date; sudo timedatectl set-ntp true")
        return bad(what, text, error.command or self._look())

    def _locked_out(self, error: MailfsError) -> Finding:
        what = f"{self.what}: login"
        if isinstance(error, NeedKey):
            remedy = self.world.add_key(error.wanted)
            return bad(what, f"no key for {error.wanted}", remedy)
        if not self.keys.reached:
            return bad(what, f"no factotum to ask: {error}", "mailfs factotum &")
        return bad(what, _short(error), self.world.add_key(self._key()))

    def _key(self) -> str:
        """Make the template that selects the refused key and asks for its secret."""
        host, user = self.peer.host, self.user
        listed = self.keys.keys()
        for key in listed:
            mine = value(key, "user") == user or not user
            if value(key, "server") == host and mine:
                return show(key)
        who = f"user={quote(user)}" if user else "user?"
        return f"proto=pass server={quote(host)} {who} !password?"

    def _look(self) -> str:
        return shlex.join(["mailfs", "trust", *self.peer.words()])


def lifetime(cert: bytes) -> tuple[float, float] | None:
    """Return from when to when a DER certificate is valid, seconds since the epoch."""
    parsed = _parsed(cert)
    if parsed is None:
        return None
    ends = parsed.not_valid_before_utc, parsed.not_valid_after_utc
    return ends[0].timestamp(), ends[1].timestamp()


def names(cert: bytes) -> list[str]:
    """Return the hosts that a DER certificate names."""
    parsed = _parsed(cert)
    if parsed is None:
        return []
    try:
        found = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return []
    return found.value.get_values_for_type(x509.DNSName)


def _parsed(cert: bytes) -> x509.Certificate | None:
    with warnings.catch_warnings():  # of what is odd and no matter
        warnings.simplefilter("ignore")
        try:
            return x509.load_der_x509_certificate(cert)
        except ValueError:
            return None


def milliseconds(seconds: float) -> str:
    """Return a duration as people read it."""
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.0f} s"


def median(work: Callable[[], None], times: int = 3) -> float:
    """Time a call, in seconds."""
    took = []
    for _ in range(times):
        began = time.monotonic()
        work()
        took.append(time.monotonic() - began)
    return sorted(took)[times // 2]


def _day(seconds: float) -> str:
    try:
        day = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (OverflowError, ValueError):
        return "?"
    return f"{day:%Y-%m-%d}"


def _short(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
