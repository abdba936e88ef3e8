"""Attributes of a machine, its own or inherited from its networks; ndb(8), ipinfo.

What the machine's entries do not say is looked for in the entries of the networks its
address lies in, the narrowest first: clear the lowest bit of the address, look for
``ip=`` that address with an ``ipnet`` whose mask is no longer, and so on.
"""

import ipaddress
from collections.abc import Iterable, Iterator

from mailfs.ndb.db import Ndb, NdbMatch

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_WIDEST = {4: 32, 6: 64}  # bits from which on networks are tried; below are hosts


def ipinfo(ndb: Ndb, attr: str, value: str, wanted: Iterable[str]) -> dict[str, str]:
    """Return the first value of each wanted attribute that is found.

    attr=value names the machine (``sys=gnot``, ``ip=10.1.1.7``).  An address that no
    entry has is taken as it is.
    """
    missing = dict.fromkeys(wanted)
    found: dict[str, str] = {}
    addresses: list[Address] = []
    for match in ndb.search(attr, value):
        _take(match, missing, found)
        addresses += _addresses(match)
    if attr == "ip" and not addresses and (own := _address(value)) is not None:
        addresses.append(own)
    for address in addresses:
        for match in _networks(ndb, address):
            if not missing:
                return found
            _take(match, missing, found)
    return found


def _take(match: NdbMatch, missing: dict[str, None], found: dict[str, str]) -> None:
    for name in list(missing):
        value = match.value(name)
        if value is not None:
            found[name] = value
            del missing[name]


def _networks(ndb: Ndb, address: Address) -> Iterator[NdbMatch]:
    """Yield the entries of the networks an address lies in, the narrowest first."""
    bits = address.max_prefixlen
    number = int(address)
    prefix = _WIDEST[address.version]
    number = number >> (bits - prefix) << (bits - prefix)
    while True:
        net = type(address)(number)
        found = [m for m in ndb.search("ip", str(net)) if m.value("ipnet") is not None]
        masks = [(_mask(match, net), match) for match in found]
        masks.sort(key=lambda pair: -pair[0])
        yield from (match for mask, match in masks if mask <= prefix)
        if number == 0:
            return
        prefix = bits - (number & -number).bit_length()
        number &= number - 1


def _mask(match: NdbMatch, net: Address) -> int:
    """Return the length of an entry's mask; by class where it has none."""
    text = match.value("ipmask")
    if text is None:
        if net.version == 6:
            return 64
        first = int(net) >> 24
        return 8 if first < 128 else 16 if first < 192 else 24
    if text.startswith("/") and text[1:].isdecimal():
        length = int(text[1:])
        # Plan 9 writes IPv4 masks as IPv6 ones too.
        return length - 96 if net.version == 4 and length > 32 else length
    mask = _address(text)
    return net.max_prefixlen if mask is None else int(mask).bit_count()


def _addresses(match: NdbMatch) -> list[Address]:
    found = (_address(text) for name, text in match.pairs if name == "ip")
    return [address for address in found if address is not None]


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
