"""A directory of mailboxes: ``DIR/*`` is each mailbox below DIR.

Those are mailbox files, Maildirs with their subfolders (``.Work.2024``), folders of MH
and mdirs, at any depth.  DIR itself is the main one if it is a Maildir.  What is no
mailbox is passed over: a text file, an index, a directory without mail in it.
"""

import os
from collections.abc import Iterator
from functools import partial

from mailfs.disk.rights import acting
from mailfs.errors import MailfsError
from mailfs.mailbox.driver import Driver, Member, Place
from mailfs.mailbox.drivers import maildir, mdir, mh
from mailfs.mailbox.drivers.called import called
from mailfs.mailbox.drivers.mbox import driver as spool
from mailfs.mailbox.drivers.owned import owner_of
from mailfs.mailbox.drivers.spec import SEVERAL

MAX_FOLDERS = 10_000  # mailboxes of one directory; the rest is passed over
MAX_DEPTH = 16  # levels of directories; more are a loop or a mistake
# Files that programs keep beside mailboxes.
_BESIDE = (".flags", ".idx", ".imp", ".lock", ".tmp", ".journal")


def members(path: str, place: Place) -> list[Member] | None:
    """List the mailboxes below a directory; None unless path is ``DIR/*``.

    Raises OSError if the directory cannot be read.
    """
    above = path.removesuffix(SEVERAL) or "/"
    if above == path or os.path.lexists(path):
        return None
    with acting(owner_of(above, place)):
        os.listdir(above)
        found = dict(_bounded(_found(above, place)))
    folders = {name: "." if name.startswith(".") else "/" for name in found}
    titles = called({name.removeprefix("."): d for name, d in folders.items()}, "")
    return [
        Member(titles[name.removeprefix(".")], one, partial(_driver, one, place))
        for name, one in found.items()
    ]


def _driver(path: str, place: Place) -> Driver:
    from mailfs.mailbox.drivers import open_store

    return open_store(path, place)


def _bounded(found: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for _, one in zip(range(MAX_FOLDERS), found, strict=False):
        yield one


def _found(above: str, place: Place) -> Iterator[tuple[str, str]]:
    """Give the names and paths of the mailboxes; of the main one, the name is empty."""
    if maildir.is_maildir(above):
        yield "", above
        with os.scandir(above) as entries:
            names = sorted(e.name for e in entries if e.name.startswith("."))
        for name in names:
            path = os.path.join(above, name)
            if len(name) > 1 and maildir.is_maildir(path):
                yield name, path
        return
    is_mailbox = _holds_mail(above, place, is_folder=True)
    yield from _below(above, "", place, frozenset(), 0, is_mailbox=is_mailbox)


def _below(
    directory: str,
    prefix: str,
    place: Place,
    within: frozenset[tuple[int, int]],
    depth: int,
    *,
    is_mailbox: bool,
) -> Iterator[tuple[str, str]]:
    """Give the mailboxes below a directory; links that lead in circles end.

    within are the directories on the way, by device and inode.  The files of a mailbox
    are its messages.
    """
    st = os.stat(directory)
    here = (st.st_dev, st.st_ino)
    if here in within or depth > MAX_DEPTH:
        return
    with os.scandir(directory) as entries:
        listed = sorted(entries, key=lambda e: e.name)
    for entry in listed:
        if entry.name.startswith((".", "L.")) or entry.name.endswith(_BESIDE):
            continue
        name = prefix + entry.name
        try:
            is_folder = entry.is_dir(follow_symlinks=place.owner is None)
            if is_mailbox and not is_folder:
                continue
            holds = _holds_mail(entry.path, place, is_folder=is_folder)
            if holds:
                yield name, entry.path
            if is_folder and not maildir.is_maildir(entry.path):
                below, inner = f"{name}/", within | {here}
                yield from _below(
                    entry.path, below, place, inner, depth + 1, is_mailbox=holds
                )
        except (OSError, MailfsError):
            continue  # one that cannot be looked at bars no other


def _holds_mail(path: str, place: Place, *, is_folder: bool) -> bool:
    """Whether a file or directory is a mailbox by what is in it."""
    if not is_folder:
        return spool.claim(path, place) is not None
    if maildir.claim(path, place) or mh.claim(path, place):
        return True
    return mdir.has_messages(path)
