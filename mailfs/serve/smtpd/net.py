"""Networks, and whether an address is in one of many; smtpd(6), ratfs(4).

``10.1`` is the network of the octets written, ``10.1.2.3`` one address, ``/bits`` a
mask.  An IPv4 address that came mapped into IPv6 is the IPv4 address.
"""

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def net(text: str) -> Network:
    """Read a network.  Raises ValueError."""
    host, slash, bits = text.partition("/")
    octets = host.rstrip(".").split(".")
    if ":" not in host and len(octets) < 4:
        if len(octets) < 2 and not slash:
            raise ValueError(f"{text}: want two octets at least, or a mask")
        bits = bits or str(8 * len(octets))
        host = ".".join([*octets, "0", "0", "0"][:4])
        slash = "/"
    return ipaddress.ip_network(f"{host}{slash}{bits}", strict=False)


def address(text: str) -> Address | None:
    """Return the address a peer's name is, None if it is none (a Unix socket's)."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def around(found: Address, bits4: int = 32, bits6: int = 64) -> Network:
    """Return the network one peer is taken for: an IPv4 address, an IPv6 /64."""
    bits = bits4 if found.version == 4 else bits6
    return ipaddress.ip_network(f"{found}/{bits}", strict=False)


class Nets:
    """A set of networks; asking costs a look-up for each length of mask in it."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._by_mask: dict[tuple[int, int], set[int]] = {}
        for network in networks:
            key = (network.version, network.prefixlen)
            self._by_mask.setdefault(key, set()).add(int(network.network_address))

    def __contains__(self, found: Address | None) -> bool:
        if found is None:
            return False
        value = int(found)
        for (version, length), bases in self._by_mask.items():
            if version != found.version:
                continue
            shift = found.max_prefixlen - length
            if value >> shift << shift in bases:
                return True
        return False
