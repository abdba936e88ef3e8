"""The kinds of mailbox, in the order they are asked."""

from importlib import import_module

from mailfs.disk.rights import acting
from mailfs.errors import ENOTSERVED, MailfsError
from mailfs.mailbox.driver import Claim, Driver, Member, Place
from mailfs.mailbox.drivers import folders, maildir, mdir, mh
from mailfs.mailbox.drivers.mbox import driver as spool
from mailfs.mailbox.drivers.owned import owner_of
from mailfs.mailbox.drivers.spec import SEVERAL, is_imap, is_network, is_pop


def claim_imap(path: str, place: Place) -> Driver | None:
    """Claim a folder on an IMAP server; nobody else need load what speaks to one."""
    if not is_imap(path):
        return None
    found: Driver | None = import_module("mailfs.mailbox.drivers.imap.driver").claim(
        path, place
    )
    return found


def claim_pop3(path: str, place: Place) -> Driver | None:
    """Claim a maildrop on a POP3 server, likewise."""
    if not is_pop(path):
        return None
    found: Driver | None = import_module("mailfs.mailbox.drivers.pop3.driver").claim(
        path, place
    )
    return found


# The first to return a Driver has the path.  Local kinds last: they look at the disk.
DRIVERS: tuple[Claim, ...] = (
    claim_imap,
    claim_pop3,
    maildir.claim,
    mh.claim,
    mdir.claim,
    spool.claim,
)


def members(path: str, place: Place, main: Driver | None = None) -> list[Member] | None:
    """List the mailboxes of a specification that names several; None if it does not.

    May take a while, and may be called as often as wanted.  main is the driver of the
    main one if that is open, and then this is called on its worker.  Raises OSError
    and MailfsError if they cannot be had.
    """
    if is_pop(path) or not path.endswith(SEVERAL):
        return None
    if is_imap(path):
        account = import_module("mailfs.mailbox.drivers.imap.account")
        found: list[Member] | None = account.members(path, place, main)
        return found
    return folders.members(path, place)


def main_of(path: str) -> str:
    """Return the path of the main mailbox of a specification that names several."""
    above = path.removesuffix(SEVERAL)
    return f"{above}/INBOX" if is_imap(path) else above or "/"


def open_store(path: str, place: Place, drivers: tuple[Claim, ...] = DRIVERS) -> Driver:
    """Return the driver for a path or specification; upasfs(4).

    Raises MailfsError if none will serve it, FileNotFoundError if nothing is there.
    """
    with acting(None if is_network(path) else owner_of(path, place)):
        for claim in drivers:
            driver = claim(path, place)
            if driver is not None:
                return driver
    raise MailfsError(ENOTSERVED)
