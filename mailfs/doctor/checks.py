"""All that is looked at, in the order in which it is told."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from mailfs.doctor import (
    account,
    agent,
    clock,
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
    "clock": clock.check,
    "factotum": agent.check,
    "trust": trust.check,
    "fuse": fuse.check,
    "services": services.sockets,
    "mailboxes": services.mailboxes,
    "plumber": services.plumber,
    "ndb": sending.ndb,
    "rewrite": sending.rules,
    "queue": sending.queue,
}


def examine(world: DoctorWorld, specs: Iterable[str]) -> Iterator[Finding]:
    """Give everything that is found, of these mailboxes and of all that is set up."""
    jobs = [ProbeJob(what, partial(check, world)) for what, check in CHECKS.items()]
    yield from rounds.run(jobs, LIMIT * world.timeout)
    keys = account.listed(world)
    jobs = [*account.jobs(world, specs, keys), *sending.servers(world, keys)]
    yield from rounds.run(jobs, LIMIT * world.timeout)
