"""When a mailbox that could not be opened is tried again."""

from mailfs.errors import MailfsError
from mailfs.mailbox.refused import WAITING

FIRST = 5.0  # seconds until the second attempt; doubled each time
LONGEST = 300.0  # seconds between attempts
KEY = 30.0  # seconds between questions to the factotum for another key


def pause(error: OSError | MailfsError, failures: int) -> float:
    """Return the seconds until the next attempt, after failures in a row.

    Where only another key helps the factotum is asked for one, not the server.
    """
    if isinstance(error, WAITING):
        return KEY
    return min(FIRST * 2.0 ** min(failures, 16), LONGEST)
