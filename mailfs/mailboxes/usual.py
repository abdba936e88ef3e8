"""Where a user's mail lies unless something else is said."""

import os
from collections.abc import Callable
from pathlib import Path

from mailfs import where
from mailfs.errors import MailfsError
from mailfs.mailbox.driver import Place


def mailbox(place: Place) -> str:
    """Find our own user's mailbox: the first that exists of the usual places.

    Raises MailfsError that names them if none does.
    """
    spool = f"/var/mail/{place.user}"
    usual = (spool, str(Path.home() / "Maildir"), _below(place))
    return _first(os.path.exists, *usual)


def mailbox_of(place: Place) -> str:
    """Find the mailbox of one of several users, following no link of theirs.

    Raises MailfsError.
    """
    return _first(os.path.lexists, _below(place), f"/var/mail/{place.user}")


def _below(place: Place) -> str:
    return where.box(place.root, "mbox", place.user)


def _first(exists: Callable[[str], bool], *paths: str) -> str:
    for path in paths:
        if exists(path):
            return path
    places = ", ".join(paths)
    raise MailfsError(f"no mailbox: {places}: none exists; name one with -f")
