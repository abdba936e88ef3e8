"""Where a server of mailboxes listens: ``-l ADDR[=ANAME]``, and what TLS needs."""

import argparse
import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mailfs import where
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError
from mailfs.fs import aname
from mailfs.fs.aname import DIALECTS, KEYED, Aname
from mailfs.fs.users import unix_user
from mailfs.p9.auth import Auth
from mailfs.p9.conn import Identify
from mailfs.p9.file import File, Later
from mailfs.p9.secure import Context
from mailfs.p9.srv import Door
from mailfs.tls import keypair
from mailfs.tls.clients import Clients
from mailfs.tls.keypair import Keypair
from mailfs.where import Address

SERVICE = "upasfs"
MAIL = "mail"  # the service whose clients want the keyed dialect

Attach = Callable[[str, str, Aname], Later[File]]
"""Return the root for (uname, aname) within what the third is bound to."""


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


def own(options: argparse.Namespace, standard: Keypair) -> Keypair:
    """Return the certificate and key that arguments name, or the standard ones."""
    if options.cert is None:
        return Keypair(standard.cert, options.key or standard.key)
    return Keypair(options.cert, options.key or options.cert)


@dataclass(frozen=True, slots=True)
class At:
    """One -l: the address, and what attaches there are bound to."""

    address: Address
    bound: Aname


def read(text: str) -> At:
    """Read ``ADDR[=ANAME]``.  Raises UsageError or P9Error."""
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
    """Return where to listen."""
    return [read(text) for text in options.addresses or [SERVICE]]


def doors(
    options: argparse.Namespace, ats: list[At], attach: Attach, *, several: bool
) -> list[Door]:
    """Return the doors to open.

    With several users, whoever comes has to be known, from wherever.  Raises
    MailfsError if there is no way to know them, or no certificate for tls.
    """
    root = where.root(options.root)
    clients = Clients(root)
    listed = bool(clients.load())
    pair = own(options, keypair.server(root))
    found = []
    for at in ats:
        net = at.address.net
        needed = net == "tcp" and (several or not at.address.loopback)
        auth: Auth | None = None
        if needed or net == "tls":
            auth = _auth(needed=needed or not listed)
        context: Context | None = None
        if net == "tls":
            context = _context(clients, pair)
        known = _identify(net, clients, several=several)
        found.append(Door(at.address, _bound(attach, at.bound), known, context, auth))
    return found


def _bound(attach: Attach, bound: Aname) -> Callable[[str, str], Later[File]]:
    return lambda uname, name: attach(uname, name, bound)


def _context(clients: Clients, pair: Keypair) -> Context:
    clients.context(pair)  # a certificate that cannot be used ends the start
    return lambda: clients.context(pair)


def _identify(net: str, clients: Clients, *, several: bool) -> Identify | None:
    """Return what tells who is at the other end; None where nobody asks."""
    if net == "tls":
        return lambda transport: _certified(transport, clients)
    if several and net == "unix":
        return unix_user
    if several and net == "stdio":
        return lambda transport: where.user()  # who started us
    return None


def _certified(transport: asyncio.BaseTransport, clients: Clients) -> str:
    line = transport.get_extra_info("ssl_object")
    return "" if line is None else clients.user(line.getpeercert(True))


def _auth(*, needed: bool) -> Auth | None:
    """Return what proves who attaches from elsewhere: p9any, with the factotum's key.

    Raises MailfsError if it is needed and there is no factotum to ask.
    """
    from mailfs.factotum.attach import authenticator
    from mailfs.factotum.client import Factotum

    try:
        Factotum().close()
    except MailfsError as e:
        if not needed:
            return None
        raise MailfsError(
            f"serving other machines needs a factotum with a p9any key: {e}"
        ) from e
    return authenticator()
