"""Which accounts there are to look at: named, open in a server, or with a key."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from mailfs.attr import Attrs, value
from mailfs.doctor import box, imap, pop, services
from mailfs.doctor.finding import Finding
from mailfs.doctor.rounds import ProbeJob
from mailfs.doctor.world import DoctorWorld
from mailfs.errors import MailfsError
from mailfs.imap import account as imap_account
from mailfs.mailbox.drivers.spec import is_network
from mailfs.mailboxes import listed as listed_mailboxes
from mailfs.mailboxes.spec import named
from mailfs.pop import account as pop_account

MAX_ACCOUNTS = 100  # looked at; each takes a thread and a connection
# What a key may call its service, and the SPEC that tries it.
_SERVICES = {"imap": "imaps", "imaps": "imaps", "imaptls": "imaptls"} | {
    name: "pops" if name in ("pop", "pop3") else name
    for name in ("pop", "pop3", *pop_account.FORMS)
}
_SENDING = ("smtp", "submission", "submissions", "ssmtp", "esmtp")


def jobs(
    world: DoctorWorld,
    specs: Iterable[str],
    keys: Sequence[Attrs],
    only: Sequence[Attrs] | None = None,
) -> Iterator[ProbeJob]:
    """Yield a check for each account.

    One that specs name or a running server has open is not looked at for its key.
    only: the keys that must fit, if others are looked at elsewhere.
    """
    paths = _paths(specs)
    paths += [path for path in services.paths(world) if is_network(path)]
    paths = list(dict.fromkeys(paths))
    known = set().union(*map(_uses, paths))
    paths += _of_keys(keys, known)
    if only is not None:
        hosts = {value(key, "server") for key in only}
        paths = [p for p in paths if {host for _, host in _uses(p)} & hosts]
    for path in list(dict.fromkeys(paths))[:MAX_ACCOUNTS]:
        yield ProbeJob(path, partial(_check, world, path))


def _paths(specs: Iterable[str]) -> list[str]:
    """List the paths of specifications, each once; their names do not matter here."""
    return list(dict.fromkeys(named([spec])[0][1] for spec in specs))


def named_in_list(world: DoctorWorld) -> list[str]:
    """List the accounts on servers that the user's list of mailboxes names."""
    try:
        lines = listed_mailboxes.read(world.root, world.user)
    except MailfsError:
        return []  # its own check tells
    return [line for line in lines if is_network(listed_mailboxes.split(line)[1])]


def _check(world: DoctorWorld, path: str) -> Iterator[Finding]:
    found = imap_account.parse(path)
    if found is not None:
        return imap.check(world, path, *found)
    drop = pop_account.parse(path)
    if drop is not None:
        return pop.check(world, path, drop)
    return box.check(world, path)


def _uses(path: str) -> set[tuple[str, str]]:
    """Return the (service, host) of the keys that a specification may use.

    Service is imap, pop, or empty for a key that names none.
    """
    words = path.split("/")
    if not is_network(path) or len(words) < 3:
        return set()
    kind = "imap" if words[1].startswith("imap") else "pop"
    host = words[2].split("!")[1] if "!" in words[2] else words[2]
    return {(kind, host), ("", host)}


def listed(world: DoctorWorld) -> list[Attrs]:
    """Return the public attributes of the factotum's keys; none if there is none."""
    try:
        with world.agent() as agent:
            return agent.keys()
    except MailfsError:
        return []  # the factotum's own check tells why


def _of_keys(keys: Sequence[Attrs], known: set[tuple[str, str]]) -> Iterator[str]:
    """Give a specification for each key that is not known to be used."""
    for key in keys:
        host, user = value(key, "server"), value(key, "user") or ""
        service = value(key, "service") or ""
        form = _SERVICES.get(service or _guess(host or ""))
        if not host or not form or value(key, "role") not in (None, "client"):
            continue
        kind = "imap" if form.startswith("imap") else "pop"
        if (kind if service else "", host) not in known:
            yield f"/{form}/{host}/{user}" if user else f"/{form}/{host}"


def _guess(host: str) -> str:
    """Return the service that a key without one is for, by the server's name."""
    first = host.partition(".")[0].lower()
    if first.startswith("pop"):
        return "pop"
    return "" if first.startswith(("smtp", "submission")) else "imap"


def senders(keys: Sequence[Attrs]) -> Iterator[tuple[str, str]]:
    """Give server and user of each key that is for sending."""
    for key in keys:
        host = value(key, "server")
        if host and value(key, "service") in _SENDING:
            yield host, value(key, "user") or ""
