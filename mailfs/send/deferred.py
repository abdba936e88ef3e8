"""Local delivery that failed for now: the queue tries it again.

The message goes to the queue with LOCAL in the place of a host, and the address whose
mailbox or program would not have it: rules have been applied to it already.
"""

from collections.abc import Sequence

from mailfs.queue import spool
from mailfs.send import mail
from mailfs.send.mail import Mail
from mailfs.site.site import Site
from mailfs.smtp.dsn import Dsn

LOCAL = "local"  # the host of such mail
FORWARDED = "local!forwarded"  # of such whose forward file has been applied

_TAG = "mail"  # what reports call it


def enqueue(
    site: Site,
    letter: Mail,
    addresses: Sequence[str],
    *,
    forwarded: bool,
    dsn: Dsn | None = None,
) -> None:
    """Put a message into the user's queue, on disk when it returns.

    Raises QueueError.
    """
    data = mail.envelope(letter, site, remote=False) + letter.text
    words = [_TAG, letter.sender, FORWARDED if forwarded else LOCAL, *addresses]
    spool.enqueue(site.root / "mail" / "queue", site.user, data, words, dsn=dsn)
