"""Mailboxes on disk that are a user's, whose server may do more than the user.

Whatever the driver of such a mailbox does is done with that user's rights, where the
system can (mailfs.disk.rights); and nothing the user has put there is followed out of
the mailbox, or believed if it is another's.
"""

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from mailfs.disk.rights import acting, check_path
from mailfs.errors import Refused, reason
from mailfs.mailbox.driver import Driver, Place

F = TypeVar("F", bound=Callable[..., Any])

# What touches the disk.
_ACTS = frozenset(
    {
        "add",
        "append",
        "close",
        "delete",
        "discard",
        "expunge",
        "heavy",
        "list",
        "make",
        "names",
        "remove",
        "rename",
        "restore",
        "set_flags",
        "signature",
    }
)


class LocalDriver(Driver):
    """A mailbox on disk.  What its kinds define to touch the disk acts as its owner."""

    def __init__(self, path: str, place: Place) -> None:
        super().__init__(path, place)
        self.owner = owner_of(path, place)
        self.owners = owners_of(
            place, self.owner
        )  # whose files are believed; None: all

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in _ACTS & cls.__dict__.keys():
            setattr(cls, name, _as_owner(cls.__dict__[name]))

    @property
    def confined(self) -> bool:
        """Whether links below the mailbox are not followed."""
        return self.owners is not None

    def check_beneath(self) -> None:
        """Raise Refused if the mailbox lies behind a link, or is another's."""
        if self.owners is None:
            return
        try:
            check_path(self.path, self.owners)
        except FileNotFoundError:
            return
        except OSError as e:
            raise Refused(f"{self.path}: {e.strerror or reason(e)}") from e


def _as_owner(method: F) -> F:
    """Return a driver's method, done with the owner's rights."""

    @wraps(method)
    def act(self: LocalDriver, *args: Any, **kwargs: Any) -> Any:
        if self.place.owner is None:
            return method(self, *args, **kwargs)
        with acting(self.owner):
            self.check_beneath()
            return method(self, *args, **kwargs)

    return act  # type: ignore[return-value]


def owner_of(path: str, place: Place) -> tuple[int, int] | None:
    """Choose the user to act as for a mailbox: its owner, or ourselves.

    It is ours if root or we own it and the directory it is in: then its user could not
    put anything in its place.
    """
    if place.owner is None:
        return None
    try:
        own = {os.lstat(path).st_uid, os.lstat(os.path.dirname(path) or ".").st_uid}
    except OSError:
        return place.owner
    return (os.geteuid(), os.getegid()) if own <= {0, os.geteuid()} else place.owner


def owners_of(place: Place, owner: tuple[int, int] | None) -> frozenset[int] | None:
    """Name the owner whose files are believed in a mailbox; None for anybody's."""
    if place.owner is None or owner is None:
        return None
    ours = set() if os.geteuid() == 0 else {os.geteuid()}
    return frozenset({owner[0], place.owner[0], *ours})
