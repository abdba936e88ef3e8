"""Several users on one server: whose mailboxes are whose.

A file names them, a user a line, as lists of attr=value:

    user=glenda box=/home/glenda/Maildir box=lists=/home/glenda/lists
    user=rob    aname=upas/newest=1000/ro

box= is a mailbox as ``-f`` takes it, by default the user's mbox in mail/box below the
root or in /var/mail; aname= binds the user to an attach name.  Nobody sees what is
another's, and nobody opens, closes or removes mailboxes: the server runs as one user
of the system, who may read more than each of them.  So a user's mailbox is opened as
that user where the server is root, and no link the user put there is followed.
"""

import asyncio
import logging
import os
import pwd
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mailfs.attr import parse
from mailfs.errors import EPERM, MailfsError, Refused, UsageError, reason
from mailfs.factotum.guard import peer_uid
from mailfs.fs import aname as names
from mailfs.fs.aname import Aname
from mailfs.fs.root import attach
from mailfs.mailbox.driver import Place
from mailfs.mailbox.mailbox import told
from mailfs.mailboxes import usual
from mailfs.mailboxes.registry import MailboxRegistry
from mailfs.mailboxes.scope import Scope
from mailfs.mailboxes.spec import named
from mailfs.p9.file import File

log = logging.getLogger(__name__)

MAX_FILE = 1 << 20  # octets; ten thousand users
_ATTRS = {"user", "box", "aname"}


@dataclass(frozen=True, slots=True)
class User:
    """One user: the mailboxes, as -f takes them, and what an attach is bound to."""

    name: str
    boxes: tuple[str, ...] = ()
    bound: Aname = Aname()  # noqa: RUF009  # a value


def load(path: Path) -> dict[str, User]:
    """Read the file.  Raises UsageError with the line that cannot be meant."""
    try:
        text = path.read_bytes()[: MAX_FILE + 1].decode()
    except OSError as e:
        raise UsageError(f"{path}: {reason(e)}") from e
    except UnicodeDecodeError as e:
        raise UsageError(f"{path}: not UTF-8 at octet {e.start}") from e
    if len(text.encode()) > MAX_FILE:
        raise UsageError(f"{path}: over {MAX_FILE} octets")
    users: dict[str, User] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            user = read(line)
        except MailfsError as e:
            raise UsageError(f"{path}:{number}: {e}") from e
        if user.name in users:
            raise UsageError(f"{path}:{number}: {user.name} again")
        users[user.name] = user
    return users


def read(line: str) -> User:
    """Read one line.  Raises MailfsError if it cannot be meant."""
    attrs = parse(line)
    for attr in attrs:
        if attr.name not in _ATTRS or not attr.value:
            raise UsageError(f"{attr}: want user= box= aname=")
    values = {name: [a.value or "" for a in attrs if a.name == name] for name in _ATTRS}
    if len(values["user"]) != 1 or len(values["aname"]) > 1:
        raise UsageError("want one user=, and one aname= at most")
    name = values["user"][0]
    if "/" in name or name in (".", "..") or not name.isprintable():
        raise UsageError(f"user={name!r}: not a user's name")
    bound = names.parse("".join(values["aname"]))
    return User(name, tuple(values["box"]), bound)


class Users:
    """The mailboxes of each user, opened when the user first attaches."""

    def __init__(
        self,
        users: dict[str, User],
        make: Callable[[Place], MailboxRegistry],
        place: Place,
    ) -> None:
        """Open none yet.  make gives a user's mailboxes; place is the server's own."""
        self._users = users
        self._make = make
        self._place = place
        self._opening: dict[str, asyncio.Task[MailboxRegistry]] = {}

    async def attach(self, uname: str, aname: str, bound: Aname) -> File:
        """Return the root for an attach by a user who is proved.

        Raises Refused for one who is not in the list; otherwise as fs.root.attach.
        """
        user = self._users.get(uname)
        if user is None:
            raise Refused(EPERM)
        limit = Aname(
            bound.dialect or user.bound.dialect,
            bound.everything or user.bound.everything,
            bound.scope.narrowed(user.bound.scope).narrowed(Scope(free=False)),
            bound.modes or user.bound.modes,
        )
        return attach(await self._boxes(user), uname, aname, limit)

    async def _boxes(self, user: User) -> MailboxRegistry:
        opening = self._opening.get(user.name)
        if opening is None:
            opening = asyncio.ensure_future(self._open(user))
            self._opening[user.name] = opening
        try:
            return await asyncio.shield(opening)
        except (MailfsError, OSError):
            self._opening.pop(user.name, None)  # it may go well the next time
            raise

    async def _open(self, user: User) -> MailboxRegistry:
        place = replace(self._place, user=user.name)
        specs = named(user.boxes or (usual.mailbox_of(place),))
        place = replace(place, owner=owner(user.name, [path for _, path in specs]))
        boxes = self._make(place)
        try:
            for name, path in specs:
                why = await boxes.serve(path, name)
                if why is not None:
                    text = "%s of %s (%s): %s; tried again"
                    log.warning(text, name, user.name, path, told(why))
        except BaseException:
            await boxes.close_all()
            raise
        return boxes

    async def close_all(self) -> None:
        """Close every mailbox of everybody."""
        for opening in self._opening.values():
            await asyncio.wait([opening])
            if not opening.cancelled() and opening.exception() is None:
                await opening.result().close_all()


def owner(name: str, paths: Iterable[str]) -> tuple[int, int]:
    """Return the ids of a user: as the system knows the name, else as mailboxes tell.

    A user whom the system does not know cannot have made anything on its disks: then
    whoever has the first mailbox that is there is meant, else ourselves.
    """
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        pass
    else:
        return entry.pw_uid, entry.pw_gid
    for path in paths:
        with suppress(OSError):
            st = os.lstat(path)
            return st.st_uid, st.st_gid
    return os.geteuid(), os.getegid()


def unix_user(transport: asyncio.BaseTransport) -> str:
    """Return the user at the other end of a Unix socket, empty if it cannot be told."""
    sock = transport.get_extra_info("socket")
    uid = None if sock is None else peer_uid(sock)
    try:
        return "" if uid is None else pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""
