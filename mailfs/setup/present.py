"""What is configured by now: the defaults of a run after the first."""

from contextlib import suppress
from dataclasses import dataclass, field

from mailfs.errors import MailfsError
from mailfs.mailboxes import listed
from mailfs.ndb.sysname import attribute
from mailfs.runq import script
from mailfs.setup import change, server, text
from mailfs.setup.server import MailServer
from mailfs.site.site import Site
from mailfs.smtp.options import DEFAULT, Options
from mailfs.smtp.path import Dial, dial


@dataclass(frozen=True, slots=True)
class CurrentMailbox:
    """A line of the list of mailboxes that names one on a server."""

    name: str
    server: MailServer
    user: str
    every: bool  # all folders


@dataclass(frozen=True, slots=True)
class Present:
    """What is there; empty where nothing is.

    routing  GATEWAY, DIRECT, or empty if there are no rules or they are a person's own
    bare     LOCAL or DOMAIN, as far as the rules are known
    """

    name: str = ""
    address: str = ""
    boxes: tuple[CurrentMailbox, ...] = ()
    names: tuple[str, ...] = ()  # of all mailboxes, those on disk too
    outgoing: MailServer | None = None
    smtp: Options = field(default=DEFAULT)
    routing: str = ""
    bare: str = ""
    dom: str = ""
    copies: str = ""  # the mailbox of copies of what is sent

    def box(self, user: str) -> CurrentMailbox | None:
        """Return the mailbox of a user; by address, of whoever From names."""
        for one in self.boxes:
            if user in (one.user, f"{one.user}@{one.server.host}"):
                return one
        return self.boxes[0] if self.boxes and user == self.address else None


def present(site: Site) -> Present:
    """Read the configuration below a site's root.

    Raises MailfsError or OSError if one cannot be read.
    """
    box = site.box(site.user)
    author = _author(change.read(box / "headers") or "")
    lines = listed.read(site.root, site.user)
    rewrite = change.read(site.lib / "rewrite") or ""
    outgoing, options = _outgoing(site)
    found = [one for one in map(_box, lines) if one is not None]
    return Present(
        author[0],
        author[1],
        tuple(found),
        tuple(listed.split(line)[0] for line in lines),
        outgoing,
        options,
        _routing(rewrite),
        _bare(rewrite),
        next((dom for dom in site.names.doms if "." in dom), ""),
        text.copied(change.read(box / "headers") or ""),
    )


def _author(headers: str) -> tuple[str, str]:
    for line in headers.split("\n"):
        if line.lower().startswith("from:"):
            found = text.written(line.partition(":")[2])
            return found.name, found.addr
    return "", ""


def _box(line: str) -> CurrentMailbox | None:
    """Return a line's mailbox; None if it is on disk."""
    name, path = listed.split(line)
    service, _, rest = path.removeprefix("/").partition("/")
    host, _, rest = rest.partition("/")
    user, _, folder = rest.partition("/")
    try:
        found = server.incoming(f"/{service}/{host}")
    except MailfsError:
        return None
    return CurrentMailbox(name or "mbox", found, user, folder == "*")


def _outgoing(site: Site) -> tuple[MailServer | None, Options]:
    options = DEFAULT
    with suppress(MailfsError, OSError):  # as good as none: what is written is shown
        options = script.options(site.lib / "remotemail") or DEFAULT
    told = attribute(site.ndb, site.names, "smtp")
    if told is None:
        return None, options
    try:
        where = dial(told)
        return _served(where, options), options
    except MailfsError:
        return None, options


def _served(where: Dial, options: Options) -> MailServer:
    service = {465: "submissions", 587: "submission"}.get(where.port, "smtp")
    if options.tls:
        service = "submissions"
    elif service == "smtp" and (options.auth or options.starttls):
        service = "submission"
    return server.outgoing(f"/{service}/tcp!{where.host}!{where.port}")


def _rules(rewrite: str) -> list[str]:
    return [line for line in rewrite.split("\n") if line and not line.startswith("#")]


def _routing(rewrite: str) -> str:
    last = (_rules(rewrite) or [""])[-1]
    if "'net!$smtp'" in last:
        return text.GATEWAY
    return text.DIRECT if r"'net!\1'" in last else ""


def _bare(rewrite: str) -> str:
    for line in _rules(rewrite):
        if text.unqualified(line):
            return text.LOCAL if ">>" in line else text.DOMAIN
    return ""
