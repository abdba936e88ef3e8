"""A whole account as mailboxes: ``/imap/host/user/*`` is each of its folders."""

import json
from collections.abc import Sequence

from mailfs.errors import ENONET, MailfsError
from mailfs.imap.account import ALL, INBOX, parse
from mailfs.imap.folders import FolderInfo
from mailfs.mailbox.driver import Member, Place
from mailfs.mailbox.drivers.imap.driver import Imap
from mailfs.mailbox.drivers.imap.link import Link
from mailfs.mailbox.drivers.spec import LEVEL
from mailfs.mailbox.net import Network

LIST = "folders"  # the key of the list in the cache

Folder = tuple[str, str]  # its name, and what to call it; INBOX is called nothing


def members(path: str, place: Place) -> list[Member] | None:
    """Return the folders of an account; None if path is no such thing.

    When the server is out of reach they are those that there were when it was not.
    Raises OSError and MailfsError if they cannot be had.
    """
    found = parse(path)
    if found is None or found[1] != ALL:
        return None
    if place.net is None:
        raise MailfsError(f"{path}: {ENONET}")
    account, stem = found[0], path.removesuffix(ALL)
    line = Link(account, INBOX, place.net)
    try:
        session = line.login()
    except OSError as e:
        known = _remembered(path, place.net)
        if known is None:
            raise line.unreachable(e) from e
        infos: dict[str, FolderInfo] = {}
    else:
        try:
            infos = {one.name: one for one in session.folders() if one.selectable}
        finally:
            session.logout()
        known = [(one.name, _called(one)) for one in infos.values()]
        _remember(path, place.net, known)
    out = []
    for name, called in known:
        driver = Imap(stem + name, place, place.net, account, name)
        if name in infos:
            driver.counts = infos[name].status
        out.append(Member(called, driver.path, driver))
    return out


def _called(folder: FolderInfo) -> str:
    """Return what to call a folder: its name, with LEVEL between the levels."""
    if folder.name == INBOX:
        return ""
    name = folder.name
    if folder.delimiter:
        name = name.replace(folder.delimiter, LEVEL)
    return name.replace("/", "_")


def _remember(path: str, net: Network, folders: Sequence[Folder]) -> None:
    text = json.dumps(folders).encode()
    net.pack.owner(path).put(LIST, 0, text, len(text))


def _remembered(path: str, net: Network) -> list[Folder] | None:
    owner = net.pack.owner(path)
    text = owner.get(LIST, 0, owner.length(LIST) or 0)
    return [(name, called) for name, called in json.loads(text)] if text else None
