"""Mozilla's autoconfig: a provider's XML that names its servers; pure text here.

Source: the document "Autoconfiguration", config file format 1.1.  Only over https, so
the domain itself vouches for what is in it; what is read is bounded and has no DTD.
"""

from dataclasses import dataclass, field
from urllib.parse import quote
from xml.parsers import expat

from mailfs.errors import MailfsError, UsageError
from mailfs.setup import server
from mailfs.setup.server import MailServer

MAX_XML = 64 << 10  # octets; real ones have 3 kB
MAX_ELEMENTS = 1000
MAX_DEPTH = 16
MAX_TEXT = 1024  # characters of one element; a host has at most 253

ISPDB = "https://autoconfig.thunderbird.net/v1.1/{domain}"
OWN = (
    "https://autoconfig.{domain}/mail/config-v1.1.xml?emailaddress={address}",
    "https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml",
)

# (type, socketType) to a service; what is neither is passed over.
_SERVICES = {
    ("imap", "SSL"): "imaps",
    ("imap", "STARTTLS"): "imaptls",
    ("pop3", "SSL"): "pops",
    ("pop3", "STARTTLS"): "poptls",
    ("smtp", "SSL"): "submissions",
    ("smtp", "STARTTLS"): "submission",
}
_ORDER = ("imaps", "imaptls", "pops", "poptls", "submissions", "submission")


class BadConfig(MailfsError):
    """What came is no such file."""


@dataclass(frozen=True, slots=True)
class Named:
    """A server and the user name that goes with it."""

    server: MailServer
    user: str


def urls(address: str) -> list[str]:
    """List the URLs where the domain of an address may have its file."""
    local, _, domain = address.rpartition("@")
    told = quote(f"{local}@{domain}")
    return [url.format(domain=domain, address=told) for url in OWN]


@dataclass(slots=True)
class _Reader:
    """Collects the servers while expat reads."""

    found: list[dict[str, str]] = field(default_factory=list)
    path: list[str] = field(default_factory=list)
    text: str = ""
    count: int = 0

    def start(self, name: str, attrs: dict[str, str]) -> None:
        self.count += 1
        self.path.append(name)
        if self.count > MAX_ELEMENTS or len(self.path) > MAX_DEPTH:
            raise BadConfig("too much in it")
        if name in ("incomingServer", "outgoingServer"):
            self.found.append({"type": attrs.get("type", "")})
        self.text = ""

    def data(self, text: str) -> None:
        self.text = (self.text + text)[:MAX_TEXT]

    def end(self, name: str) -> None:
        self.path.pop()
        if self.path and self.path[-1] in ("incomingServer", "outgoingServer"):
            self.found[-1].setdefault(name, self.text.strip())
        self.text = ""


def _refuse(*_: object) -> None:
    raise BadConfig("it has a document type")


def parse(xml: bytes, address: str) -> list[Named]:
    """Return the servers that XML names for an address, best first.

    Raises BadConfig for what is no such file.
    """
    if len(xml) > MAX_XML:
        raise BadConfig(f"over {MAX_XML} octets")
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse  # so there are no entities to expand
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    try:
        parser.Parse(xml, True)
    except (expat.ExpatError, ValueError, LookupError) as e:
        raise BadConfig("no XML that could be read") from e
    named = [one for row in reader.found if (one := _named(row, address)) is not None]
    return sorted(named, key=lambda one: _ORDER.index(one.server.service))


def _named(row: dict[str, str], address: str) -> Named | None:
    service = _SERVICES.get((row["type"].lower(), row.get("socketType", "").upper()))
    host, port = row.get("hostname", ""), row.get("port", "")
    if service is None or not host or "!" in host or "/" in host:
        return None
    place = f"/{service}/tcp!{_filled(host, address)}!{port}"
    read = server.outgoing if service in server.SMTP else server.incoming
    try:
        return Named(read(place), _filled(row.get("username", ""), address) or address)
    except UsageError:
        return None


def _filled(text: str, address: str) -> str:
    local, _, domain = address.rpartition("@")
    for name, told in (
        ("%EMAILADDRESS%", address),
        ("%EMAILLOCALPART%", local),
        ("%EMAILDOMAIN%", domain),
    ):
        text = text.replace(name, told)
    plain = text.isprintable() and not any(c.isspace() or c in "\"'/" for c in text)
    return text if plain and "%" not in text else ""
