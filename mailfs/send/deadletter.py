"""Mail that could not be sent, kept for its author: box/dead.letter, an mbox.

upas overwrites it each time; here one letter comes after another, each with a From_
line, so that it can be opened as a mailbox.
"""

import os
from contextlib import suppress
from pathlib import Path

from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers.mbox.driver import Spool
from mailfs.mailbox.kinds import Flag
from mailfs.send.mail import headed
from mailfs.site.site import Site

NAME = "dead.letter"


def save(site: Site, message: bytes, sender: str) -> Path:
    """Append a message, as its author gave it, and return where it is.

    On disk when it returns.  Raises OSError or MailfsError if it cannot be kept.
    """
    path = site.box(site.user) / NAME
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    driver = Spool(str(path), Place(site.root, site.user))
    try:
        driver.append(headed(message), int(site.clock()), sender, Flag(0))
    finally:
        driver.close()
    return path
