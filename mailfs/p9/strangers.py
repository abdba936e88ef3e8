"""Connections whose peers have not proved who they are, and how many there may be.

A stranger may keep what others need: so many connections, and the authentications
under way.  Where there is no room for one more, the oldest stranger of the same peer
goes, else the oldest of the peer that has most: who means to attach does so at once.
"""

import asyncio
import ipaddress
import socket
import struct
from collections import Counter
from typing import Protocol

STRANGERS = 128  # at all guarded doors together
STRANGERS_OF_ONE = 8  # of one peer; each may have an authentication under way
PEER = 250  # connections of one peer, attached or not, at guarded doors
PREFIX = 64  # bits of an IPv6 address that one peer may choose from


class Guarded(Protocol):
    """A connection at a door where attaching takes a proof."""

    @property
    def attached(self) -> bool:
        """Whether its peer has attached."""

    def drop(self) -> None:
        """Hang up at once."""


class Strangers:
    """The connections at the guarded doors of one server, in the order they came."""

    def __init__(
        self,
        most: int = STRANGERS,
        of_one: int = STRANGERS_OF_ONE,
        peer: int = PEER,
    ) -> None:
        self._most = most
        self._of_one = of_one
        self._peer = peer
        self._all: dict[Guarded, str] = {}

    def add(self, connection: Guarded, peer: str) -> bool:
        """Take a connection in, at the cost of an older one if need be.

        Return whether it may stay: not where its peer has too many that are attached.
        """
        if sum(one == peer for one in self._all.values()) >= self._peer:
            return False
        here = {one: who for one, who in self._all.items() if not one.attached}
        counts = Counter(here.values())
        crowd = peer if counts[peer] >= self._of_one else ""
        if not crowd and len(here) >= self._most:
            crowd = counts.most_common(1)[0][0]
        if crowd:
            oldest = next(one for one, who in here.items() if who == crowd)
            del self._all[oldest]
            oldest.drop()
        self._all[connection] = peer
        return True

    def discard(self, connection: Guarded) -> None:
        """Note that a connection has ended."""
        self._all.pop(connection, None)


def peer_of(transport: asyncio.BaseTransport) -> str:
    """Return the name of a connection's peer: a host, a network, or a user here."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_UNIX:
        if not hasattr(socket, "SO_PEERCRED"):
            return "unix"
        size = struct.calcsize("3i")
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        return f"uid {struct.unpack('3i', raw)[1]}"
    name = transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return "unknown"
    try:
        address = ipaddress.ip_address(str(name[0]).partition("%")[0])
    except ValueError:
        return str(name[0])
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(address), PREFIX), strict=False))
    return str(address)
