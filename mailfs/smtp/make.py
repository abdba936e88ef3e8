"""A client for a site: its names, logs, keys, resolvers and trust lists together."""

from collections.abc import Callable
from pathlib import Path

from mailfs.factotum.client import Factotum
from mailfs.ndb.sysname import attribute
from mailfs.site.site import Site
from mailfs.smtp import sts
from mailfs.smtp.client import SmtpClient, qualified
from mailfs.smtp.dialogue import Opener
from mailfs.smtp.dkim import Signers
from mailfs.smtp.dns import Dns, listed
from mailfs.smtp.options import Options
from mailfs.smtp.route import MxRouter, assigned
from mailfs.smtp.session import TIMEOUTS, Timeouts, Trace


def client(
    site: Site,
    options: Options,
    *,
    cache: Path | None = None,
    keys: Callable[[], Factotum] = Factotum,
    timeouts: Timeouts = TIMEOUTS,
    trace: Trace = lambda line: None,
) -> SmtpClient:
    """Make a client that delivers for a site; cache is for policies of domains.

    With ``-h`` that domain is what HELO says and what addresses get.

    The resolvers are those of ``dns=`` in the database, else the system's.
    """
    told = attribute(site.ndb, site.names, "dns")
    dns = Dns(listed([told]) if told else None)
    domain = qualified(options.domain, site.names)
    opener = Opener(
        site.root,
        domain if options.domain else site.names.helo,
        site.log,
        keys,
        options,
        timeouts,
        trace=trace,
    )
    policies = sts.Policies(dns, cache / "mta-sts" if cache else None)
    router = MxRouter(dns, policies, site.names.all, ours=assigned)
    signers = Signers(keys)
    return SmtpClient(
        opener, router, site.ndb, site.names, site.log, signers, clock=site.clock
    )
