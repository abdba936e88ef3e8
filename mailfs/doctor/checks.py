"""All that is looked at, in the order in which it is told."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from mailfs.doctor import (
    account,
    agent,
    clock,
    files,
    fuse,
    local,
    rounds,
    sending,
    services,
    trust,
)
from mailfs.doctor.finding import Finding
from mailfs.doctor.rounds import LIMIT, ProbeJob
from mailfs.doctor.world import DoctorWorld

# What everybody has; accounts and servers come behind these.
CHECKS: dict[str, Callable[[DoctorWorld], Iterator[Finding]]] = {
    "mailfs": local.version,
    "namespace": local.namespace,
    "root": local.root,
    "permissions": local.permissions,
    "cache": local.cache,
    "box": files.box,
    "tmp": files.temporary,
    "clock": clock.check,
    "factotum": agent.check,
    "keys": files.keys,
    "trust": trust.check,
    "fuse": fuse.check,
    "services": services.sockets,
    "mailboxes": services.mailboxes,
    "list": files.mailboxes,
    "plumber": services.plumber,
    "ndb": sending.ndb,
    "rewrite": sending.rules,
    "scripts": files.scripts,
    "remotemail": files.default_domain,
    "headers": files.headers,
    "queue": sending.queue,
}


def examine(world: DoctorWorld, specs: Iterable[str]) -> Iterator[Finding]:
    """Give everything that is found, of these mailboxes and of all that is set up."""
    jobs = [ProbeJob(what, partial(check, world)) for what, check in CHECKS.items()]
    yield from rounds.run(jobs, LIMIT * world.timeout)
    specs = [*specs, *account.named_in_list(world)]
    with world.by_file() as filed:
        jobs = list(_accounts(world, specs, filed))
        yield from rounds.run(jobs, LIMIT * world.timeout)


def _accounts(
    world: DoctorWorld, specs: Sequence[str], filed: DoctorWorld | None
) -> Iterator[ProbeJob]:
    """Yield a check of each account: by the factotum's keys, and by those of the file.

    What the file has no key for is not tried by it.
    """
    keys = account.listed(world)
    if keys or filed is None:
        yield from account.jobs(world, specs, keys)
        yield from sending.servers(world, keys)
    if filed is not None:
        mine = account.listed(filed)
        only = mine if keys else None
        yield from account.jobs(filed, specs, mine, only)
        yield from sending.servers(filed, mine, only)
