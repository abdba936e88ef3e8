"""What verbs that open mailboxes on servers take as arguments, and make of them."""

import argparse
from pathlib import Path

from mailfs.cache.pack import Pack
from mailfs.cmd.args import Parser
from mailfs.cmd.keys import LoginKeys
from mailfs.errors import UsageError
from mailfs.mailbox.net import Network
from mailfs.tls.trust import Policy, Trust

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


def make(
    options: argparse.Namespace,
    root: Path,
    cache: Path,
    keys: LoginKeys | None = None,
) -> Network:
    """Make a network for drivers; cache is the directory of all caches."""
    trust = Trust(root, Policy(options.trust))
    return Network(keys or LoginKeys(), trust, Pack(cache / "pack", options.cache))


def size(text: str) -> int:
    """Read a number of octets, with K, M, G or T behind it.  Raises UsageError."""
    number, unit = text.rstrip("KMGTkmgt"), text[-1:].upper()
    if not (number.isascii() and number.isdecimal()) or len(text) - len(number) > 1:
        raise UsageError(f"{text}: not a size, as 500M or 2G")
    return int(number) * _UNITS[unit if unit in _UNITS else ""]
