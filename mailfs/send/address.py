"""Addresses as text: lists of them, upas' escapes, what may stand in one.

An address is kept as it was given, in bang form (``dom!user``) or at form
(``user@dom``).  upas stores characters that its shell knows as ``%%XX``; here no
shell sees an address, so that form is only read, and shown where programs expect it.
"""

import re

MAX_ADDRESS = 1024  # octets; RFC 5321 allows 320, bang paths are longer
_SHELL = re.compile(r"[ ()<>{};=\\'`^&|]")
_ESCAPE = re.compile(r"%%([0-9A-Fa-f]{2})")
_ITEM = re.compile(r'(?:"(?:[^"\\]|\\.)*"?|[^\s"])+')
_UNSAFE = re.compile(r"[^A-Za-z0-9@!._%+=/:,-]")


def escape(address: str) -> str:
    """Return an address with what rc would understand as ``%%XX``; send(8)."""
    return _SHELL.sub(lambda m: f"%%{ord(m[0]):02X}", address)


def unescape(address: str) -> str:
    """Undo escape."""
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)), address)


def harmless(text: str) -> str:
    """Return a text with all but letters, digits and ``@!._%+=/:,-`` as ``%%XX``.

    No shell sees anything in it but one word.
    """
    return _UNSAFE.sub(
        lambda m: "".join(
            f"%%{octet:02X}" for octet in m[0].encode("utf-8", "replace")
        ),
        text,
    )


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
