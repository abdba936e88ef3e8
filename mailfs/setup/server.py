"""One server of an account: a service at a host, written ``/SERVICE/HOST``.

HOST may be a dial string, ``tcp!HOST!PORT``.  Alone it stands for the service that
begins with TLS, or the one that its port tells.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mailfs import where
from mailfs.errors import UsageError
from mailfs.setup.host import is_host
from mailfs.tls.service import SERVICES, Peer
from mailfs.tls.service import peer as find_peer

IMAP = ("imaps", "imaptls", "imap")
POP = ("pops", "poptls", "pop", "apops", "apoptls", "apop")
SMTP = ("submissions", "submission", "smtp")
_CLEAR = ("imap", "pop", "apop")  # TLS if the server offers it, so on loopback only

_INCOMING = {0: "imaps", 993: "imaps", 143: "imaptls", 995: "pops", 110: "poptls"}
_OUTGOING = {0: "submissions", 465: "submissions", 587: "submission", 25: "smtp"}


@dataclass(frozen=True, slots=True)
class MailServer:
    """A service at a host; port 0 is the service's own."""

    service: str
    host: str
    port: int = 0

    @property
    def peer(self) -> Peer:
        """Whom to dial and to trust."""
        return find_peer(self.service, self.host, self.port)

    @property
    def loopback(self) -> bool:
        """Whether it is this machine."""
        return where.is_loopback(self.host)

    @property
    def tls(self) -> bool:
        """Whether nothing is said to it without TLS."""
        return self.service not in (*_CLEAR, "smtp")

    @property
    def place(self) -> str:
        """The host, as a dial string if the port is not the service's own."""
        own = SERVICES[self.service].port
        return self.host if self.port in (0, own) else f"tcp!{self.host}!{self.port}"

    @property
    def kind(self) -> str:
        """What keys call its service: imap, pop or smtp."""
        if self.service in SMTP:
            return "smtp"
        return "imap" if self.service in IMAP else "pop"

    @property
    def gateway(self) -> str:
        """What ``smtp=`` in ndb says to name it."""
        port = self.port or SERVICES[self.service].port
        return self.host if port == SERVICES["smtp"].port else f"net!{self.host}!{port}"

    def mailbox(self, user: str, folder: str = "") -> str:
        """Return the path of a user's mailbox there; upasfs(4)."""
        return f"/{self.service}/{self.place}/{user}" + (folder and f"/{folder}")

    def __str__(self) -> str:
        return f"/{self.service}/{self.place}"


def incoming(text: str) -> MailServer:
    """Read a server that mail is read from.  Raises UsageError."""
    found = _read(text, (*IMAP, *POP), _INCOMING)
    if found.service in _CLEAR and not found.loopback:
        raise UsageError(f"{text}: without TLS only this machine is spoken to")
    return found


def outgoing(text: str) -> MailServer:
    """Read a server that mail is sent to.  Raises UsageError."""
    return _read(text, SMTP, _OUTGOING)


def _read(text: str, services: tuple[str, ...], ports: Mapping[int, str]) -> MailServer:
    service, host = "", text
    if text.startswith("/"):
        service, _, host = text[1:].rstrip("/").partition("/")
        if service not in services or not host or "/" in host:
            known = " ".join(f"/{name}/" for name in services)
            raise UsageError(f"{text}: want {known} and a host behind it")
    elif not text.strip() or any(c in text for c in "/: \t"):
        raise UsageError(f"{text or 'nothing'}: want HOST or /{services[0]}/HOST")
    else:
        port = text.rpartition("!")[2] if text.count("!") == 2 else ""
        port = str(SERVICES[port].port) if port in SERVICES else port
        number = int(port) if port.isdecimal() and len(port) < 6 else 0
        if number not in ports:
            raise UsageError(
                f"{text}: say what that port is for: /{services[0]}/{text}"
            )
        service = ports[number]
    found = find_peer(service, host)
    if not is_host(found.host):
        raise UsageError(f"{text}: not the name of a host")
    own = found.port == found.service.port
    return MailServer(service, found.host, 0 if own else found.port)
