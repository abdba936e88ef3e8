"""From an account's settings to the changes of files that put them into force."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mailfs.errors import MailfsError
from mailfs.mailboxes import listed
from mailfs.ndb import shipped
from mailfs.ndb.install import FILES
from mailfs.ndb.sysname import attribute
from mailfs.setup import change, text
from mailfs.setup.change import FileChange
from mailfs.setup.server import MailServer
from mailfs.setup.text import DIRECT, DOMAIN, GATEWAY
from mailfs.site.site import Site

Edit = Callable[[str], str]
"""Return a file's new text, given the old."""

NAMES = "# Personal aliases: a name and what it stands for, a line each; marshal(1).\n"


@dataclass(frozen=True, slots=True)
class Sending:
    """How mail leaves.

    gateway  the server for all, None for each domain's own
    words    the options of smtp in remotemail
    bare     what a name without a domain means, LOCAL or DOMAIN
    later    queue and wait for kickqueue
    """

    gateway: MailServer | None
    words: tuple[str, ...] = ()
    bare: str = DOMAIN
    dom: str = ""
    later: bool = False

    @property
    def routing(self) -> str:
        """Which rules."""
        return DIRECT if self.gateway is None else GATEWAY


@dataclass(frozen=True, slots=True)
class Settings:
    """An account: who, what is opened under which name, and how mail leaves.

    copies  the mailbox of copies of what is sent, empty for none, None for as it is
    """

    name: str
    address: str
    mailbox: str = ""
    spec: str = ""
    sending: Sending | None = None
    copies: str | None = None

    @property
    def domain(self) -> str:
        """The domain of the address."""
        return self.address.rpartition("@")[2]


def changes(site: Site, told: Settings) -> list[FileChange]:
    """List the changes, in their order.

    What others need comes first: killed in the middle, no file names what is not
    there yet.
    """
    found = []
    if told.sending is not None:
        found = _sending(site, told, told.sending)
    if told.spec:
        path = listed.path(site.root, site.user)
        found.append(
            _change(path, lambda old: text.mailboxes(old, told.mailbox, told.spec))
        )
    return [one for one in found if one.needed]


def _sending(site: Site, told: Settings, how: Sending) -> list[FileChange]:
    box, lib = site.box(site.user), site.lib
    found = [_network(site, how)]
    if how.gateway is not None:
        # What is for the user here goes to where the user reads.
        found.append(
            _change(
                lib / "names.local",
                lambda old: text.alias(old, site.user, told.address),
                f"\npostmaster\t{site.user}\n",
            )
        )
    found.append(_change(box / "headers", lambda old: _headers(box, old, told)))
    if change.read(box / "names") is None:
        found.append(FileChange(box / "names", None, NAMES))
    remote = _shipped("remotemail")
    found.append(
        _change(
            lib / "remotemail",
            lambda old: text.remotemail(remote, old, list(how.words)),
            mode=0o755,
        )
    )
    found.append(_change(lib / "rewrite", lambda old: _rules(told.domain, how)))
    return found


def _headers(box: Path, old: str, told: Settings) -> str:
    try:
        new = text.headers(old, told.name, told.address)
    except MailfsError as e:
        raise MailfsError(f"{box / 'headers'}: {e}; mailfs doctor mends it") from e
    return new if told.copies is None else text.copies(new, told.copies)


def _network(site: Site, how: Sending) -> FileChange:
    names = site.names
    short = names.sysname.partition(".")[0]
    listed = [
        name for name in (names.sysname, short) if any(site.ndb.search("sys", name))
    ]
    told = {}
    if how.dom and how.dom not in names.doms:
        told["dom"] = how.dom
    gateway = how.gateway.gateway if how.gateway is not None else None
    if gateway is not None and attribute(site.ndb, names, "smtp") != gateway:
        told["smtp"] = gateway
    path = site.root / "lib" / "ndb" / "local"
    if not told:
        old = change.read(path)
        return FileChange(path, old, old or "")
    name = (listed or [names.sysname])[0]
    return _change(path, lambda old: text.network(old, name, told))


def _rules(domain: str, how: Sending) -> str:
    ships = _shipped(f"rewrite.{how.routing}")
    return text.rules(ships, how.routing, domain, bare=how.bare, later=how.later)


def _shipped(name: str) -> str:
    return shipped.path(name).read_text()


def _change(
    path: Path, new: Edit, added: str = "", mode: int = change.SHARED
) -> FileChange:
    """Return the change of a file; added is what install puts behind what ships."""
    old = change.read(path)
    source = next((name for name, to, _ in FILES if path.match(to)), "")
    usual = _shipped(source) + added if source else None
    begin = old if old is not None else (usual or "")
    return FileChange(
        path, old, new(begin), mode, usual=old is not None and old == usual
    )


def verify(site: Site, how: Sending) -> None:
    """Raise MailfsError if the database does not say what was written.

    An entry elsewhere, under another name of this machine, may come first.
    """
    if how.gateway is None:
        return
    told = attribute(site.ndb, site.names, "smtp")
    if told != how.gateway.gateway:
        raise MailfsError(
            f"ndb says smtp={told} for {site.names.sysname}, not "
            f"{how.gateway.gateway}: another entry comes first"
        )
