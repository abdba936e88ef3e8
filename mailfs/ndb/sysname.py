"""What this machine is called in mail: site, system name, domain; ndb(8), smtp(8).

``$site`` comes before ``$sysname``, and that before what the system calls itself.
The database may say more with ``dom=`` in the entry with ``sys=`` that name.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from mailfs.ndb.db import Ndb
from mailfs.ndb.ipinfo import ipinfo


@dataclass(frozen=True, slots=True)
class SystemNames:
    r"""The names of this machine.

    site    $site if set, else sysname: what ``\l`` means in rewrite rules first
    sysname what the machine calls itself, and its entries in the database
    doms    every ``dom=`` of those entries
    """

    site: str
    sysname: str
    doms: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Every name once, the site's first."""
        return tuple(dict.fromkeys((self.site, self.sysname, *self.doms)))

    @property
    def domain(self) -> str:
        """The first name that has a dot, or the site."""
        return next((name for name in self.all if "." in name), self.site)

    @property
    def helo(self) -> str:
        """The qualified name for HELO, as far as there is one; smtp(8).

        A site without a dot gets what follows the first dot of the domain.
        """
        if "." in self.site or "." not in self.domain:
            return self.site
        return f"{self.site}.{self.domain.partition('.')[2]}"


def names(ndb: Ndb, env: Mapping[str, str], host: str | None = None) -> SystemNames:
    """Return this machine's names; host is what the system calls itself.

    A host that has no entry ``sys=`` may have one without its domain, or one with it
    as ``dom=``.
    """
    sysname = env.get("sysname") or host or os.uname().nodename
    site = env.get("site") or sysname
    short = sysname.partition(".")[0]
    doms: list[str] = []
    for attr, value in (("sys", sysname), ("sys", short), ("dom", sysname)):
        doms = [
            dom
            for match in ndb.search(attr, value)
            for name, dom in match.pairs
            if name == "dom" and not dom.startswith("*")
        ]
        if doms:
            break
    return SystemNames(site, sysname, tuple(dict.fromkeys(doms)))


def attribute(
    ndb: Ndb, names: SystemNames, wanted: str, address: str = ""
) -> str | None:
    """Return an attribute of this machine or its network, such as ``smtp``.

    address is the one it has by now, for the networks of a machine that has no
    entry; where a rule or dial string says ``$smtp`` this is what it means.
    """
    for attr, value in (
        ("sys", names.sysname),
        ("sys", names.sysname.partition(".")[0]),
        ("dom", names.sysname),
        ("ip", address),
    ):
        if value:
            found = ipinfo(ndb, attr, value, [wanted])
            if wanted in found:
                return found[wanted]
    return None
