"""Octets for the wire after DATA; RFC 5321 sections 2.3.8 and 4.5.2.

Every line ends in CRLF, and nothing else does: a bare return or newline would be a line
to some servers and not to others, which is how messages are smuggled into a message.
"""

import re

END = b".\r\n"

_ANY = re.compile(rb"\r\n|\n|\r")


def newlines(octets: bytes) -> bytes:
    """Give every line of a text LF, whatever ended it."""
    return _ANY.sub(b"\n", octets) if b"\r" in octets else octets


def lines(octets: bytes) -> bytes:
    """Give every line of a text CRLF, whatever ended it, the last one too."""
    octets = newlines(octets).replace(b"\n", b"\r\n")
    return octets if octets.endswith(b"\r\n") or not octets else octets + b"\r\n"


def stuffed(octets: bytes) -> bytes:
    """Double the dots that begin lines of octets in wire form."""
    octets = octets.replace(b"\r\n.", b"\r\n..")
    return b"." + octets if octets.startswith(b".") else octets
