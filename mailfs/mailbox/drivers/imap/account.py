"""A whole account as mailboxes: ``/imap/host/user/*`` is each of its folders."""

import json
from collections.abc import Sequence
from functools import partial

from mailfs.errors import ENONET, MailfsError, reason
from mailfs.imap.account import ALL, INBOX, Account, parse
from mailfs.imap.changes import FolderStatus
from mailfs.imap.folders import FolderInfo
from mailfs.imap.session import ImapSession
from mailfs.mailbox.driver import Driver, Member, Place
from mailfs.mailbox.drivers.called import called
from mailfs.mailbox.drivers.imap.driver import Imap
from mailfs.mailbox.drivers.imap.link import Link, ServerUnreachable
from mailfs.mailbox.net import Network

LIST = "folders"  # the key of the list in the cache

Folder = tuple[str, str]  # its name, and what to call it; INBOX is called nothing


def members(path: str, place: Place, main: Driver | None = None) -> list[Member] | None:
    """List the folders of an account; None if path is no such thing.

    When the server is out of reach they are those that there were when it was not.
    main is the open driver of INBOX, whose connection serves if it has one; then this
    is called on its worker.  Raises OSError and MailfsError if they cannot be had.
    """
    found = parse(path)
    if found is None or found[1] != ALL:
        return None
    if place.net is None:
        raise MailfsError(f"{path}: {ENONET}")
    account, stem, net = found[0], path.removesuffix(ALL), place.net
    counts: dict[str, FolderStatus | None] = {}
    session = main.line.session if isinstance(main, Imap) else None
    try:
        if session is not None and isinstance(main, Imap):
            infos = _asked(main.line, session)
        elif isinstance(main, Imap) and main.line.next > 0:
            raise ServerUnreachable(main.line.error)  # it is tried again in time
        else:
            infos = _fetched(Link(account, INBOX, net))
    except OSError as e:
        known = _remembered(path, net)
        if known is None:
            raise Link(account, INBOX, net).unreachable(e) from e
    else:
        counts = {one.name: one.status for one in infos}
        folders = {one.name: one.delimiter for one in infos}
        known = [*called(folders, INBOX).items()]
        _remember(path, net, known)
    return [
        Member(
            title,
            stem + name,
            partial(_driver, stem + name, place, net, account, name, counts.get(name)),
        )
        for name, title in known
    ]


def _fetched(line: Link) -> list[FolderInfo]:
    """List the folders, with their counts, over a connection made for it."""
    with line.apart() as session:
        return [one for one in session.folders() if one.selectable]


def _asked(line: Link, session: ImapSession) -> list[FolderInfo]:
    """List the folders over a connection that is there."""
    try:
        return [one for one in session.folders(counts=False) if one.selectable]
    except (OSError, MailfsError) as e:
        line.drop(reason(e) if isinstance(e, OSError) else str(e))
        raise


def _driver(
    path: str,
    place: Place,
    net: Network,
    account: Account,
    name: str,
    counts: FolderStatus | None,
) -> Imap:
    driver = Imap(path, place, net, account, name)
    driver.counts = counts
    return driver


def _remember(path: str, net: Network, folders: Sequence[Folder]) -> None:
    text = json.dumps(folders).encode()
    net.pack.owner(path).put(LIST, 0, text, len(text))


def _remembered(path: str, net: Network) -> list[Folder] | None:
    owner = net.pack.owner(path)
    text = owner.get(LIST, 0, owner.length(LIST) or 0)
    return [(name, title) for name, title in json.loads(text)] if text else None
