"""The kinds of mailbox, in the order they are asked."""

from mailfs.errors import ENOTSERVED, MailfsError
from mailfs.mbox.driver import Claim, Driver, Place
from mailfs.mbox.drivers import imap, maildir, mdir, mh, spool

# The first to return a Driver has the path.  spool is last: it takes any file.
DRIVERS: tuple[Claim, ...] = (
    imap.claim,
    maildir.claim,
    mh.claim,
    mdir.claim,
    spool.claim,
)


def open_store(path: str, place: Place, drivers: tuple[Claim, ...] = DRIVERS) -> Driver:
    """Return the driver for a path or specification; upasfs(4).

    Raises MailfsError if none will serve it, FileNotFoundError if nothing is there.
    """
    for claim in drivers:
        driver = claim(path, place)
        if driver is not None:
            return driver
    raise MailfsError(ENOTSERVED)
