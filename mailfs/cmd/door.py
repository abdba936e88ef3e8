"""Addresses of a server of mailboxes: ``-l ADDR[=ANAME]``, and its certificate."""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mailfs import where
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError
from mailfs.fs import aname
from mailfs.fs.aname import DIALECTS, KEYED, Aname
from mailfs.fs.users import unix_user
from mailfs.p9.auth import Auth
from mailfs.p9.conn import Identify
from mailfs.p9.file import File, Later
from mailfs.p9.srv import Door
from mailfs.where import DialString

if TYPE_CHECKING:
    from mailfs.cmd.gate import Gate

SERVICE = "upasfs"
MAIL = "mail"  # the service whose clients want the keyed dialect

Attach = Callable[[str, str, Aname], Later[File]]
"""Make the root for (uname, aname), within the bounds of the third."""


def add(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "-l",
        dest="addresses",
        metavar="ADDR[=ANAME]",
        action="append",
        default=[],
        help="serve at unix!PATH, tcp!HOST!PORT, tls!HOST!PORT, stdio or a service, "
        "and there no more than ANAME; default $NAMESPACE/upasfs",
    )
    parser.add_argument(
        "--cert",
        metavar="FILE",
        type=Path,
        help="our certificate for tls, in PEM; default sys/lib/tls/cert.pem",
    )
    parser.add_argument(
        "--key",
        metavar="FILE",
        type=Path,
        help="its key, in PEM or as rsagen prints it; default sys/lib/tls/key, or in "
        "the file of --cert",
    )


@dataclass(frozen=True, slots=True)
class At:
    """One -l: the address, and the bounds of attaches there."""

    address: DialString
    bound: Aname


def read(text: str) -> At:
    """Read ``ADDR[=ANAME]``.  Raises UsageError or Refused."""
    addr, bound = text, ""
    at = text.find("=")
    while at >= 0:  # a path may have one too
        if text[at + 1 :].split("/")[0] in DIALECTS:
            addr, bound = text[:at], text[at + 1 :]
            break
        at = text.find("=", at + 1)
    address = where.dialstring(addr)
    if not bound and address.net == "unix" and os.path.basename(address.host) == MAIL:
        bound = KEYED
    return At(address, aname.parse(bound))


def places(options: argparse.Namespace) -> list[At]:
    """List the addresses to listen at."""
    return [read(text) for text in options.addresses or [SERVICE]]


def doors(
    options: argparse.Namespace, ats: list[At], attach: Attach, *, several: bool
) -> list[Door]:
    """Return the doors to open.

    With several users, whoever comes has to be known, from wherever.  Raises
    MailfsError if there is no way to know them, or no certificate for tls.
    """
    gate: Gate | None = None
    if any(at.address.net == "tls" for at in ats):
        from mailfs.cmd import gate as gates  # with all that reads certificates

        gate = gates.Gate(where.root(options.root), options.cert, options.key)
    found = []
    for at in ats:
        attaching = _bound(attach, at.bound)
        if gate is not None and at.address.net == "tls":
            auth = _auth(needed=not gate.listed)
            gated = (gate.identify, gate.context(), auth)
            found.append(Door(at.address, attaching, *gated))
            continue
        net = at.address.net
        needed = net == "tcp" and (several or not at.address.loopback)
        auth = _auth(needed=True) if needed else None
        known = _identify(net) if several else None
        if net in ("unix", "stdio") and not several:
            attaching = _as_owner(attaching)
        found.append(Door(at.address, attaching, known, None, auth))
    return found


def _bound(attach: Attach, bound: Aname) -> Callable[[str, str], Later[File]]:
    return lambda uname, name: attach(uname, name, bound)


def _as_owner(
    attach: Callable[[str, str], Later[File]],
) -> Callable[[str, str], Later[File]]:
    """Attach every peer as the user whose server it is, under any name.

    Nobody else can dial the socket, and programs name us in several ways: plan9port's
    by the password file, which under sudo is not $USER.
    """
    return lambda uname, name: attach(where.user(), name)


def _identify(net: str) -> Identify | None:
    """Choose the function that names the user at the other end; None without one."""
    if net == "unix":
        return unix_user
    if net == "stdio":
        return lambda transport: where.user()  # who started us
    return None


def _auth(*, needed: bool) -> Auth | None:
    """Make the authenticator of attaches from elsewhere: p9any, by the factotum's key.

    Raises MailfsError if it is needed and there is no factotum to ask.
    """
    from mailfs.factotum.attach import authenticator
    from mailfs.factotum.client import Factotum

    try:
        Factotum().reach().close()
    except MailfsError as e:
        if not needed:
            return None
        raise MailfsError(
            f"serving other machines needs a factotum with a p9any key: {e}"
        ) from e
    return authenticator()
