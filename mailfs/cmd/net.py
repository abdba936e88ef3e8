"""What verbs that open mailboxes on servers take as arguments, and make of them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mailfs.cache.pack import Pack
from mailfs.cmd.args import Parser
from mailfs.errors import UsageError
from mailfs.mailbox.net import Network
from mailfs.tls.trust import Policy, Trust

if TYPE_CHECKING:
    from mailfs.factotum.client import Factotum

SIZE = "1G"  # of the cache; what fits of a mailbox is read once only
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def add(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--cache",
        metavar="SIZE",
        type=size,
        default=size(SIZE),
        help=f"octets of fetched mail to keep on disk, as 500M or 2G; default {SIZE}",
    )
    parser.add_argument(
        "--trust",
        choices=[policy.value for policy in Policy],
        default=Policy.CA.value,
        help="what may speak for a server's certificate: the list of thumbprints "
        "and CAs (ca, the default), or the list alone",
    )


def make(options: argparse.Namespace, root: Path, cache: Path) -> Network:
    """Return what drivers need; cache is the directory of all caches."""
    trust = Trust(root, Policy(options.trust))
    return Network(_keys, trust, Pack(cache / "pack", options.cache))


def _keys() -> "Factotum":
    """Return a connection to the agent; only who logs in somewhere loads it."""
    from mailfs.factotum.client import Factotum

    return Factotum()


def size(text: str) -> int:
    """Read a number of octets, with K, M, G or T behind it.  Raises UsageError."""
    number, unit = text.rstrip("KMGTkmgt"), text[-1:].upper()
    if not (number.isascii() and number.isdecimal()) or len(text) - len(number) > 1:
        raise UsageError(f"{text}: not a size, as 500M or 2G")
    return int(number) * _UNITS[unit if unit in _UNITS else ""]
