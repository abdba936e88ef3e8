"""Names of hosts, whoever gives them: an answer, a provider's XML, the name service.

They go into files whose lines and words mean something, so nothing else is let in.
"""

import ipaddress
import re

MAX_NAME = 253  # characters; RFC 1035 section 2.3.4
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")


def is_name(text: str) -> bool:
    """Whether a text is the name of a host, as DNS has it; others in their ASCII form.

    A name of digits and dots alone is none: it would be taken for an address.
    """
    try:
        told = text if text.isascii() else text.encode("idna").decode("ascii")
    except UnicodeError:
        return False
    digits = told.replace(".", "").isdecimal()
    return len(told) <= MAX_NAME and not digits and bool(_NAME.fullmatch(told))


def is_host(text: str) -> bool:
    """Whether a text is the name or the address of a host."""
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return is_name(text)
    zone = text.partition("%")[2]  # of a link-local address
    return not zone or bool(_NAME.fullmatch(zone.strip("[]")))
