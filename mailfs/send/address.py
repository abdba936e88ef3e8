"""Addresses as text: lists of them, upas' escapes, what may stand in one.

An address is kept as it was given, in bang form (``dom!user``) or at form
(``user@dom``).  upas stores characters that its shell knows as ``%%XX``; here no
shell sees an address, so that form is only read, and shown where programs expect it.
"""

import re

MAX_ADDRESS = 1024  # octets; RFC 5321 allows 320, bang paths are longer
_ITEM = re.compile(r'(?:"(?:[^"\\]|\\.)*"?|[^\s"])+')


def valid(address: str) -> bool:
    """Whether an address may be looked at: short, UTF-8, no control characters."""
    try:
        size = len(address.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= MAX_ADDRESS and not any(c < " " or c == "\x7f" for c in address)


def split(text: str) -> list[str]:
    """Return the addresses of a list: blanks separate them, but not in double quotes.

    A comma that ends an address is dropped: no address ends in one.
    """
    found = (m[0].rstrip(",") for m in _ITEM.finditer(text))
    return [address for address in found if address]


def bang(address: str) -> str:
    """Return ``user@dom`` as ``dom!user``, anything else as it is."""
    user, at, dom = address.rpartition("@")
    return f"{dom}!{user}" if at and user and dom else address


def own(address: str) -> str:
    """Return an address without the ``local!`` that aliasmail puts in front."""
    return address.removeprefix("local!")
