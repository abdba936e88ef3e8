"""A whole account as mailboxes: ``/imap/host/user/*`` is each of its folders."""

import hashlib
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

# No folder but INBOX is called the last; the others are files of the root.
RESERVED = frozenset({"", ".", "..", "ctl", "event", "outbox", "mbox"})
MAX_CALLED = 180  # octets; with the name of the account before it, a file name holds
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
    infos: dict[str, FolderInfo] = {}
    try:
        with line.apart() as session:
            infos = {one.name: one for one in session.folders() if one.selectable}
    except OSError as e:
        remembered = _remembered(path, place.net)
        if remembered is None:
            raise line.unreachable(e) from e
        known = remembered
    else:
        known = [*called([*infos.values()]).items()]
        _remember(path, place.net, known)
    out = []
    for name, title in known:
        driver = Imap(stem + name, place, place.net, account, name)
        if name in infos:
            driver.counts = infos[name].status
        out.append(Member(title, driver.path, driver))
    return out


def called(folders: Sequence[FolderInfo]) -> dict[str, str]:
    """Return what to call each folder, by its name; no two are called the same.

    That is its name with LEVEL between the levels; INBOX is called nothing.  A name
    that no directory can have is changed, and of two folders that would be called the
    same all but one end in letters that follow from their names, so that they are
    called so after a restart too.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    plain = {folder.name: _plain(folder) for folder in folders}

    def irregular(folder: FolderInfo) -> tuple[bool, str]:
        return (
            plain[folder.name].replace(LEVEL, folder.delimiter) != folder.name,
            folder.name,
        )

    for folder in sorted(folders, key=irregular):
        name = plain[folder.name]
        if folder.name != INBOX and (name in RESERVED or name in taken):
            name = _told_apart(name, folder.name)
        taken.add(name)
        found[folder.name] = name
    return {folder.name: found[folder.name] for folder in folders}


def _plain(folder: FolderInfo) -> str:
    """Return a folder's name as a directory may have it."""
    if folder.name == INBOX:
        return ""
    name = folder.name
    if folder.delimiter:
        name = name.replace(folder.delimiter, LEVEL)
    name = name.encode(errors="surrogateescape").decode(errors="replace")
    name = "".join(
        "_" if c == "/" or not (c == " " or c.isprintable()) else c for c in name
    )
    if len(name.encode()) > MAX_CALLED:
        return _told_apart(name, folder.name)
    return name


def _told_apart(name: str, folder: str) -> str:
    """Return a name that ends in letters following from the folder's own."""
    digest = hashlib.sha256(folder.encode(errors="surrogateescape")).hexdigest()[:8]
    return name.encode()[:MAX_CALLED].decode(errors="ignore") + "~" + digest


def _remember(path: str, net: Network, folders: Sequence[Folder]) -> None:
    text = json.dumps(folders).encode()
    net.pack.owner(path).put(LIST, 0, text, len(text))


def _remembered(path: str, net: Network) -> list[Folder] | None:
    owner = net.pack.owner(path)
    text = owner.get(LIST, 0, owner.length(LIST) or 0)
    return [(name, title) for name, title in json.loads(text)] if text else None
