"""The kinds of mailbox, in the order they are asked."""

from importlib import import_module

from mailfs.errors import ENOTSERVED, MailfsError
from mailfs.mbox.driver import Claim, Driver, Member, Place
from mailfs.mbox.drivers import maildir, mdir, mh, spool
from mailfs.mbox.drivers.spec import is_imap, is_pop


def imap(path: str, place: Place) -> Driver | None:
    """Claim a folder on an IMAP server; nobody else need load what speaks to one."""
    if not is_imap(path):
        return None
    found: Driver | None = import_module("mailfs.mbox.drivers.imap").claim(path, place)
    return found


def pop3(path: str, place: Place) -> Driver | None:
    """Claim a maildrop on a POP3 server, likewise."""
    if not is_pop(path):
        return None
    found: Driver | None = import_module("mailfs.mbox.drivers.pop3").claim(path, place)
    return found


# The first to return a Driver has the path.  spool is last: it takes any file.
DRIVERS: tuple[Claim, ...] = (
    imap,
    pop3,
    maildir.claim,
    mh.claim,
    mdir.claim,
    spool.claim,
)


def members(path: str, place: Place) -> list[Member] | None:
    """Return the mailboxes of a specification that names several; None if it does not.

    May take a while.  Raises OSError and MailfsError if they cannot be had.
    """
    if not is_imap(path):
        return None
    account = import_module("mailfs.mbox.drivers.imapaccount")
    found: list[Member] | None = account.members(path, place)
    return found


def open_store(path: str, place: Place, drivers: tuple[Claim, ...] = DRIVERS) -> Driver:
    """Return the driver for a path or specification; upasfs(4).

    Raises MailfsError if none will serve it, FileNotFoundError if nothing is there.
    """
    for claim in drivers:
        driver = claim(path, place)
        if driver is not None:
            return driver
    raise MailfsError(ENOTSERVED)
