"""The kinds of mailbox, in the order they are asked."""

from mailfs.errors import ENOTSERVED, MailfsError
from mailfs.mbox.driver import Claim, Driver, Member, Place
from mailfs.mbox.drivers import imap, imapaccount, maildir, mdir, mh, pop3, spool

# The first to return a Driver has the path.  spool is last: it takes any file.
DRIVERS: tuple[Claim, ...] = (
    imap.claim,
    pop3.claim,
    maildir.claim,
    mh.claim,
    mdir.claim,
    spool.claim,
)


def members(path: str, place: Place) -> list[Member] | None:
    """Return the mailboxes of a specification that names several; None if it does not.

    May take a while.  Raises OSError and MailfsError if they cannot be had.
    """
    return imapaccount.members(path, place)


def open_store(path: str, place: Place, drivers: tuple[Claim, ...] = DRIVERS) -> Driver:
    """Return the driver for a path or specification; upasfs(4).

    Raises MailfsError if none will serve it, FileNotFoundError if nothing is there.
    """
    for claim in drivers:
        driver = claim(path, place)
        if driver is not None:
            return driver
    raise MailfsError(ENOTSERVED)
