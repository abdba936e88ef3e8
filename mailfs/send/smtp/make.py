"""A client for a site: its names, logs, keys, resolvers and trust lists together."""

from collections.abc import Callable
from pathlib import Path

from mailfs.factotum.client import Factotum
from mailfs.ndb.sysname import attribute
from mailfs.send.site import Site
from mailfs.send.smtp import sts
from mailfs.send.smtp.client import Client
from mailfs.send.smtp.dialogue import Opener
from mailfs.send.smtp.dkim import Signers
from mailfs.send.smtp.dns import Dns, listed
from mailfs.send.smtp.options import Options
from mailfs.send.smtp.route import Router
from mailfs.send.smtp.session import TIMEOUTS, Timeouts, Trace


def client(
    site: Site,
    options: Options,
    *,
    cache: Path | None = None,
    keys: Callable[[], Factotum] = Factotum,
    timeouts: Timeouts = TIMEOUTS,
    trace: Trace = lambda line: None,
) -> Client:
    """Return a client that delivers for a site; cache is for policies of domains.

    The resolvers are those of ``dns=`` in the database, else the system's.
    """
    told = attribute(site.ndb, site.names, "dns")
    dns = Dns(listed([told]) if told else None)
    opener = Opener(
        site.root,
        site.names.helo,
        site.log,
        keys,
        options,
        timeouts,
        trace=trace,
    )
    policies = sts.Policies(dns, cache / "mta-sts" if cache else None)
    router = Router(dns, policies, site.names.all)
    signers = Signers(keys)
    return Client(
        opener, router, site.ndb, site.names, site.log, signers, clock=site.clock
    )
