"""From a name to a connection that may be logged in on: dial, greeting, TLS."""

from collections.abc import Callable
from dataclasses import dataclass

from mailfs.imap.account import Account
from mailfs.imap.error import ImapError, broken
from mailfs.imap.line import Clock, Transport
from mailfs.imap.wire import ImapWire, Status, named, status
from mailfs.remote.stream import Dial, Opened, dial
from mailfs.tls.trust import Trust


@dataclass(slots=True)
class Greeted:
    """A connection before login.

    secure  whether nobody on the way can listen: TLS, or it never leaves the machine
    known   whether the member capabilities is the server's word for this state
    """

    wire: ImapWire
    greeting: Status
    secure: bool
    capabilities: frozenset[str]
    known: bool


def connect(
    account: Account,
    trust: Trust,
    hear: Callable[[bytes], None],
    *,
    dialer: Dial,
    opened: Opened,
    timeout: float,
    clock: Clock,
) -> Greeted:
    """Dial, wait for the greeting and begin TLS where the service or the server says.

    ``imaps`` has TLS from the first octet, ``imaptls`` insists on STARTTLS, ``imap``
    takes it if it is offered.  Raises OSError, Untrusted, TlsError, ImapError.
    """
    server = str(account)
    peer = account.peer
    began = clock()
    stream = dial(server, peer, timeout, dialer)
    opened(stream)
    line = Transport(stream, server, timeout, clock)
    line.trip = clock() - began
    wire = ImapWire(line, hear)
    try:
        if account.service == "imaps":
            line.start_tls(peer, trust)
        greeting = _greeting(wire)
        found = Greeted(wire, greeting, stream.local, frozenset(), known=False)
        found.secure |= line.tls is not None
        _told(found, greeting)
        if account.service != "imaps":
            _upgrade(found, account, trust)
    except BaseException:
        wire.close()
        raise
    return found


def _greeting(wire: ImapWire) -> Status:
    """Read the greeting; RFC 9051 section 7.1.4."""
    raw = wire.reader.response()
    said = status(raw) if raw.startswith(b"* ") else None
    if said is None or said.kind not in ("OK", "PREAUTH", "BYE"):
        raise ImapError(wire.server, "error in initial IMAP handshake")
    if said.kind == "BYE":
        text = said.text or "bye"
        raise broken(wire.server, f"server said bye: {text}")
    return said


def capabilities(text: bytes) -> frozenset[str]:
    """Return the names in a CAPABILITY response or code, upper case."""
    return frozenset(text.decode("ascii", "replace").upper().split())


def _told(found: Greeted, said: Status) -> None:
    if said.code == "CAPABILITY":
        found.capabilities = capabilities(said.args)
        found.known = True


def ask(found: Greeted) -> None:
    """Find out the capabilities, if they were not told."""
    if found.known:
        return
    raws, done = found.wire.ask(named(b"CAPABILITY"), b"CAPABILITY")
    for raw in raws:
        found.capabilities = capabilities(raw.partition(b"CAPABILITY")[2])
    _told(found, done)
    found.known = True


def _upgrade(found: Greeted, account: Account, trust: Trust) -> None:
    """Begin TLS on a connection that is in clear."""
    insist = account.service == "imaptls"
    wire = found.wire
    if found.greeting.kind == "PREAUTH":
        if insist:  # nothing can begin TLS once logged in; RFC 9051 section 6.2.1
            raise ImapError(wire.server, "server logs in before TLS can begin")
        return
    ask(found)
    if "STARTTLS" not in found.capabilities:
        if insist:
            raise ImapError(wire.server, "server does not offer starttls")
        return
    wire.command(b"STARTTLS")
    if wire.reader.buffered:  # somebody on the way put words into the server's mouth
        raise ImapError(wire.server, "server sent clear text after agreeing to TLS")
    wire.line.start_tls(account.peer, trust)
    found.secure = True
    # What was said in clear does not count; RFC 9051 section 6.2.1.
    found.capabilities, found.known = frozenset(), False
