"""Octets as strings of responses; RFC 9051 section 4.3."""

import re

_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]{0,1000}")


def string(octets: bytes) -> bytes:
    """Quote octets, or make them a literal where that cannot be."""
    if _QUOTABLE.fullmatch(octets):
        if b'"' in octets or b"\\" in octets:
            octets = octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        return b'"' + octets + b'"'
    return b"{%d}\r\n" % len(octets) + octets


def nstring(octets: bytes | None) -> bytes:
    """Write octets as a string, None as NIL."""
    return b"NIL" if octets is None else string(octets)
