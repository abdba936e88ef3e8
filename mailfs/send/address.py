"""Addresses as text: lists of them, upas' escapes, what may stand in one.

An address is kept as it was given, in bang form (``dom!user``) or at form
(``user@dom``).  upas stores characters that its shell knows as ``%%XX``; here no
shell sees an address, so that form is only read, and shown where programs expect it.
"""

import re

MAX_ADDRESS = 1024  # octets; RFC 5321 allows 320, bang paths are longer
_HOST = re.compile(r"[\w.-]+")
_ITEM = re.compile(r'(?:"(?:[^"\\]|\\.)*"?|[^\s"])+')


def valid(address: str) -> bool:
    """Whether an address may be looked at: short, UTF-8, no control characters.

    A host in it, as far as it looks like one, has to be one that DNS can hold.
    """
    try:
        size = len(address.encode())
    except UnicodeEncodeError:
        return False
    if not 0 < size <= MAX_ADDRESS or any(c < " " or c == "\x7f" for c in address):
        return False
    hosts = address.split("!")[:-1]
    if "@" in address:
        hosts.append(address.rpartition("@")[2])
    return all(_short(host) for host in hosts if _HOST.fullmatch(host))


def _short(host: str) -> bool:
    """Whether a host and its labels fit into DNS; RFC 1035 section 2.3.4."""
    try:
        text = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return False
    return len(text) <= 253 and all(len(label) <= 63 for label in text.split("."))


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
