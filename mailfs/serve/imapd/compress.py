"""COMPRESS=DEFLATE, both ways; RFC 4978, RFC 1951.

What is sent is flushed, so that the client can read it to its end; what comes may be
flushed anyhow.  Octets are inflated only as far as they are asked for.
"""

import zlib

MAX_INFLATED = 64 << 10  # octets inflated at a time, whatever they come from
_RAW = -15  # no header, a window of 32 KiB


class BadDeflate(Exception):
    """Octets that are no deflate stream."""


class Deflate:
    """Both directions of one connection."""

    def __init__(self) -> None:
        self._out = zlib.compressobj(wbits=_RAW)
        self._in = zlib.decompressobj(_RAW)
        self._held = b""

    def sent(self, octets: bytes) -> bytes:
        """Return octets as they are sent."""
        return self._out.compress(octets) + self._out.flush(zlib.Z_SYNC_FLUSH)

    def feed(self, octets: bytes) -> None:
        """Take octets that have come."""
        self._held += octets

    def take(self) -> bytes:
        """Return what they mean, MAX_INFLATED octets of it at most; empty: feed more.

        Raises BadDeflate.
        """
        if self._in.eof:
            raise BadDeflate
        try:
            found = self._in.decompress(self._held, MAX_INFLATED)
        except zlib.error as e:
            raise BadDeflate from e
        self._held = self._in.unconsumed_tail
        return found
