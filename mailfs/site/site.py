"""The world of whoever sends: where the files are, who we are, what time it is."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mailfs.msg.date import Local, localtime
from mailfs.ndb import sysname
from mailfs.ndb.db import Ndb, open_ndb
from mailfs.ndb.sysname import SystemNames
from mailfs.site.log import SysLog

# Paths of Plan 9 that lie below our root; any other absolute path is the system's.
_OURS = ("mail", "sys", "lib", "adm", "rc")


@dataclass(frozen=True, slots=True)
class Site:
    """A root, a user and the machine's names; safe in any thread.

    Make one with here(); tests give their own clock and zone.
    """

    root: Path
    user: str  # who we run for: the owner of mail/box/USER and mail/queue/USER
    ndb: Ndb
    names: SystemNames
    log: SysLog
    env: Mapping[str, str]
    clock: Callable[[], float] = time.time
    local: Local = localtime
    random: Callable[[int], bytes] = os.urandom

    @property
    def lib(self) -> Path:
        """The directory of rules, aliases and scripts."""
        return self.root / "mail" / "lib"

    @property
    def sender(self) -> str:
        """Who mail is from if nothing says otherwise: ``$upasname``, else the user."""
        return self.env.get("upasname") or self.user

    def box(self, user: str) -> Path:
        """Return the mail directory of a user."""
        return self.root / "mail" / "box" / user

    def path(self, name: str) -> Path:
        """Resolve a path in a rule or a list; relative ones lie in lib.

        ``/mail``, ``/sys``, ``/lib``, ``/adm`` and ``/rc`` are below the root; other
        absolute paths are the system's own.
        """
        if not name.startswith("/"):
            return self.lib / name
        first = name.lstrip("/").partition("/")[0]
        return self.root / name.lstrip("/") if first in _OURS else Path(name)

    def shown(self, path: Path) -> str:
        """Return the name a path has below the root; the reverse of path()."""
        if path.is_relative_to(self.root):
            return f"/{path.relative_to(self.root)}"
        return str(path)


def here(
    root: Path,
    user: str,
    env: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.time,
) -> Site:
    """Return the site below root on this machine.

    Raises OSError or MailfsError if the network database cannot be read.
    """
    env = os.environ if env is None else env
    ndb = open_ndb(root)
    names = sysname.names(ndb, env)
    return Site(root, user, ndb, names, SysLog(root, names.sysname, clock), env, clock)
