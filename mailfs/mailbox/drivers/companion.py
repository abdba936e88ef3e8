"""The files that belong to a mailbox and lie beside it."""

import os
from contextlib import suppress

from mailfs.disk.replace import sync_dir
from mailfs.errors import Refused
from mailfs.mailbox.flagfile import FlagFile

SUFFIXES = (".idx", ".imp")  # 9front's index, and its imap4d's uids; upasfs(4)


def check_free(old: str, new: str) -> None:
    """Raise Refused if the new name of a mailbox is taken or cannot be used."""
    if os.path.lexists(new) or not os.path.isdir(os.path.dirname(new) or "."):
        raise Refused(f"{old}: can't rename")


def move_companions(old: str, new: str, flags: FlagFile) -> None:
    """Give the companions of the mailbox old the names that go with new."""
    for suffix in SUFFIXES:
        if os.path.lexists(old + suffix):
            os.replace(old + suffix, new + suffix)
    flags.move(new)
    sync_dir(os.path.dirname(os.path.abspath(new)))


def remove_companions(path: str, flags: FlagFile, *, truncate: bool) -> None:
    """Remove the companions; imap4d's uids stay with a mailbox that is emptied."""
    for suffix in SUFFIXES:
        if suffix == ".imp" and truncate:
            continue
        with suppress(FileNotFoundError, IsADirectoryError):
            os.unlink(path + suffix)
    flags.remove()
