"""Tokens: a word that is told to a stranger, and good for a fortnight; filter(1).

It is made of a key and the date, so nothing need be kept of whom it was told.
"""

import hmac
from base64 import b64encode

from mailfs.msg import date

LENGTH = 5  # characters
DAYS = 14  # that a token is good for, the day it was made included
SEARCHED = 1024  # octets at the beginning of a message
_DAY = 86400  # seconds


def token(key: str, when: int) -> str:
    """Make the token of the day that when, in seconds since the epoch, is in here.

    It is made as upas' token makes it: base64 of HMAC-SHA1 over the line of ctime(2)
    with colons in the place of the time.
    """
    line = date.unixdate(when, date.localtime)
    day = f"{line[:11]}::::::::{line[19:]}\n"
    digest = hmac.digest(key.encode("utf-8", "surrogateescape"), day.encode(), "sha1")
    return b64encode(digest).decode()[:LENGTH]


def found(key: str, text: bytes, when: int) -> bool:
    """Whether the beginning of a text has a token that is still good."""
    head = text[:SEARCHED]
    good = (token(key, when - days * _DAY) for days in range(DAYS))
    return any(one.encode() in head for one in good)
