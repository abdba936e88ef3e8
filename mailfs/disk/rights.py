"""Doing file work with the rights of a user, in one thread of a server that is root.

Linux has a user and group for file access that are each thread's own (setfsuid(2));
with them go the rights of root over other people's files.  So whatever the user has put
in the way, links above all, leads nowhere the user could not go alone.

A server that is not root has no rights to give up; then, and elsewhere than on Linux,
what check_path and the openers refuse has to do.
"""

import ctypes
import errno
import os
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

_LINKS = 8  # followed on the way to one file
_NOBODY = -1  # asks setfsuid(2) for the present user: none has that id


class _Acting(threading.local):
    """Whom a thread acts as."""

    owner: tuple[int, int] | None = None


_acting = _Acting()


@contextmanager
def acting(owner: tuple[int, int] | None) -> Iterator[None]:
    """Access files in this thread as (uid, gid) during the block; None changes nothing.

    Blocks may nest.  Nothing changes either unless we are root and may become another.
    Raises PermissionError if the system does not grant it.
    """
    before = _acting.owner
    if owner is None or os.geteuid() != 0 or owner[0] == 0 or owner == before:
        yield
        return
    _become(*owner)
    _acting.owner = owner
    try:
        yield
    finally:
        _acting.owner = before
        _become(*(before or (os.geteuid(), os.getegid())))


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    if sys.platform != "linux":
        raise PermissionError(errno.EPERM, "only Linux can act as another in a thread")
    return ctypes.CDLL(None, use_errno=True)


def _become(uid: int, gid: int) -> None:
    """Set this thread's user and group for file access.  Raises PermissionError."""
    libc = _libc()
    libc.setfsgid(gid)
    libc.setfsuid(uid)
    if libc.setfsuid(_NOBODY) != uid or libc.setfsgid(_NOBODY) != gid:
        raise PermissionError(errno.EPERM, f"cannot act as user {uid}")


def check_path(path: str, owners: frozenset[int]) -> None:
    """Raise PermissionError if a user's path leads through what cannot be believed.

    A symbolic link is followed only where neither the user nor a stranger could have
    put it: root or we own it, and the directory it is in.  What the path leads to
    belongs to one of owners.
    """
    _follow(os.path.abspath(path), owners, 0)


def _follow(path: str, owners: frozenset[int], links: int) -> None:
    ours = {0, os.geteuid()}
    here = "/"
    parts = path.strip("/").split("/")
    for i, part in enumerate(parts):
        folder, here = here, os.path.join(here, part)
        st = os.lstat(here)
        last = i + 1 == len(parts)
        if not stat.S_ISLNK(st.st_mode):
            if last and st.st_uid not in owners:
                raise PermissionError(errno.EACCES, "owner is another user", here)
            continue
        trusted = st.st_uid in ours and os.lstat(folder).st_uid in ours
        if not trusted or links > _LINKS:
            raise PermissionError(errno.EACCES, "is a symbolic link", here)
        target = os.path.join(folder, os.readlink(here), *parts[i + 1 :])
        _follow(os.path.abspath(target), owners, links + 1)
        return
