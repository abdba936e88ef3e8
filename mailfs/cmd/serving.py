"""What verbs that serve mail to the network take as arguments, and make of them."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mailfs import where
from mailfs.cmd import logs
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError, UsageError

if TYPE_CHECKING:
    from mailfs.mailbox.driver import Place
    from mailfs.mailboxes.registry import MailboxRegistry
    from mailfs.serve.certificate import Certificate
    from mailfs.serve.door import Converse, Doors
    from mailfs.serve.imapd import session as imapd
    from mailfs.serve.limits import Table
    from mailfs.serve.login import Agent
    from mailfs.serve.mailstore import Mailstore
    from mailfs.serve.pop3d import server as pop3d
    from mailfs.serve.wire import Wire


def add_certificate(parser: Parser) -> None:
    """Take -c and -K."""
    add = parser.add_argument
    add("-c", dest="cert", type=Path, metavar="FILE", help="our certificate, in PEM")
    add(
        "-K",
        dest="key",
        type=Path,
        metavar="FILE",
        help="its key, as PEM or as rsagen prints it; default in the file of -c",
    )


def add_mailbox_server(
    parser: Parser, plain: str, secure: str, unprivileged: str
) -> None:
    """Take what servers of one user's mailboxes take; the ports are for -l's help."""
    add = parser.add_argument
    ports = f"tcp!*!{plain} and, with a certificate, tls!*!{secure}"
    add(
        "-l",
        dest="addresses",
        action="append",
        default=[],
        metavar="ADDR",
        help="listen at tcp!HOST!PORT, tls!HOST!PORT or unix!PATH; default "
        f"{ports}; {unprivileged} for who is not root",
    )
    add("-a", dest="known", action="store_true", help="the client need not log in")
    add(
        "-f",
        dest="inbox",
        metavar="MAILBOX",
        help="the mailbox that INBOX is; default the one mailfs fs serves",
    )
    add_certificate(parser)
    add("-s", dest="name", metavar="NAME", help="our name in the greeting")
    add("--readonly", action="store_true", help="change no mailbox")
    add(
        "-p",
        dest="clear",
        action="store_true",
        help="let passwords come without TLS; from here they always may",
    )
    add("-d", dest="debug", action="store_true", help="log more")
    parser.add_root()


def add_mail_doors(parser: Parser, default: str) -> None:
    """Take what a 9P server takes to serve its mailboxes to other clients too."""
    add = parser.add_argument
    for name, what in (("imap", "IMAP"), ("pop3", "POP3")):
        add(
            f"--{name}",
            action="append",
            default=[],
            metavar="ADDR",
            help=f"serve {what} clients at tcp!HOST!PORT, tls!HOST!PORT or unix!PATH; "
            f"default {default}",
        )
    add(
        "--clear",
        action="store_true",
        help="let passwords come without TLS; from here they always may",
    )
    parser.set_defaults(inbox=None, known=False, name=None, exclusive=False)


class _SysLog(logging.Handler):
    """Writes what is logged into a file in sys/log too."""

    def __init__(self, root: str | None, name: str) -> None:
        from mailfs.site.log import SysLog

        super().__init__(logging.INFO)
        self._name = name
        self._log = SysLog(where.root(root), os.uname().nodename)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, if there is such a log: without the file it is off."""
        if (self._log.folder / self._name).exists():
            self._log.write(self._name, record.getMessage())


def begin_log(options: argparse.Namespace, verb: str, package: str) -> None:
    """Log to standard error, and what package tells to sys/log/VERB."""
    logs.start(verb, logging.DEBUG if options.debug else logging.INFO)
    logging.getLogger(package).addHandler(_SysLog(options.root, verb))


def certificate(options: argparse.Namespace) -> "Certificate | None":
    """Find our certificate; without -c, none if none lies where it usually does."""
    from mailfs.serve.certificate import Certificate
    from mailfs.tls import keypair
    from mailfs.tls.keypair import Keypair

    usual = keypair.server(where.root(options.root))
    if options.cert is None:
        return Certificate(usual) if usual.cert.exists() else None
    return Certificate(Keypair(options.cert, options.key or options.cert))


def agent() -> "Agent":
    """Make what dials the factotum.  Raises MailfsError if none runs."""
    from mailfs.factotum.client import Factotum

    try:
        Factotum().reach().close()
    except MailfsError as e:
        raise MailfsError(f"clients log in by a factotum: {e}") from e
    return Factotum


def inbox(given: str | None, place: "Place") -> str:
    """Find the path of the user's INBOX: given, or what ``mailfs fs`` serves."""
    from mailfs.mailboxes import listed, usual
    from mailfs.mailboxes.spec import named

    if given is not None:
        return where.box(place.root, os.path.expanduser(given), place.user)
    specs = named(listed.read(place.root, place.user))
    if specs:
        return specs[0][1]
    try:
        return usual.mailbox(place)
    except MailfsError:  # no mail has come yet
        return where.box(place.root, "mbox", place.user)


def connected(fd: int) -> socket.AddressFamily | None:
    """Tell the family of a connected socket; None if the descriptor is none."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return None
    with socket.socket(fileno=os.dup(fd)) as sock:
        try:
            sock.getpeername()
        except OSError:
            return None
        return sock.family


def one_client(options: argparse.Namespace) -> bool:
    """Whether there is one client, on standard input and output.

    Raises UsageError and MailfsError where -a would let in whoever calls.
    """
    if options.addresses:
        if options.known:
            raise UsageError("-a is for standard input and output, not for -l")
        return False
    family = connected(0)
    if options.known and family in (socket.AF_INET, socket.AF_INET6):
        raise MailfsError("-a: a client on the network has to log in")
    return bool(options.known) or family is not None


def _table() -> "Table":
    from mailfs.serve.limits import Rates, Table

    return Table(time.monotonic, Rates(connections=600), at_once=100)


def _stores(
    options: argparse.Namespace, boxes: "MailboxRegistry"
) -> "Callable[[str], Mailstore | None]":
    from mailfs.serve.mailstore import Mailstore

    store = Mailstore(boxes, inbox(options.inbox, boxes.place))
    return lambda user: store if user == boxes.place.user else None


def imap_house(
    options: argparse.Namespace,
    boxes: "MailboxRegistry",
    certificate: "Certificate | None",
) -> "imapd.House":
    """Make what the IMAP sessions of a user share.  Raises MailfsError."""
    from mailfs.serve.imapd.session import House

    return House(
        options.name or socket.gethostname(),
        _stores(options, boxes),
        _table(),
        agent=None if options.known else agent(),
        context=certificate,
        clear=options.clear,
    )


def pop3_house(
    options: argparse.Namespace,
    boxes: "MailboxRegistry",
    certificate: "Certificate | None",
) -> "pop3d.House":
    """Make what the POP3 sessions of a user share.  Raises MailfsError."""
    from mailfs.serve.pop3d.server import House

    return House(
        options.name or socket.gethostname(),
        _stores(options, boxes),
        _table(),
        agent=None if options.known else agent(),
        context=certificate,
        clear=options.clear,
        exclusive=options.exclusive,
    )


async def listen(
    doors: "Doors",
    addresses: Sequence[str],
    converse: "Converse",
    certificate: "Certificate | None",
    what: str,
) -> None:
    """Listen at addresses, and log what is served where.  Raises MailfsError."""
    from mailfs.serve.door import Door

    for text in addresses:
        at = where.dialstring(text)
        if at.net == "tls" and certificate is None:
            raise MailfsError(f"{text}: no certificate: see -c")
        context = certificate if at.net == "tls" else None
        logging.info("%s at %s", what, await doors.open(Door(at, converse, context)))


@asynccontextmanager
async def mail_doors(
    options: argparse.Namespace, boxes: "MailboxRegistry"
) -> AsyncIterator[None]:
    """Serve the mailboxes that 9P serves to IMAP and POP3 clients too.

    options says where, by its imap and pop3.  Raises MailfsError.
    """
    if not options.imap and not options.pop3:
        yield
        return
    from mailfs.serve.door import Doors
    from mailfs.serve.imapd.server import Imapd
    from mailfs.serve.pop3d.server import Pop3d

    ours = certificate(options)
    imap = Imapd(imap_house(options, boxes, ours))
    pop3 = Pop3d(pop3_house(options, boxes, ours))
    doors = Doors()
    try:
        await listen(doors, options.imap, imap.converse, ours, "IMAP")
        await listen(doors, options.pop3, pop3.converse, ours, "POP3")
        yield
    finally:
        await doors.close()


async def serve_user(
    options: argparse.Namespace,
    user: str,
    converse: "Converse",
    known: "Callable[[Wire, str], Awaitable[None]]",
    usual: Sequence[str],
    what: str,
) -> None:
    """Serve until a signal, or for one connection on standard input and output.

    usual is where to listen without -l.
    """
    from mailfs.serve.door import Doors

    ours = certificate(options)
    alone = one_client(options)
    stop = ending()
    doors = Doors()
    try:
        if alone:
            talk = converse if not options.known else lambda wire: known(wire, user)
            await doors.on_stdio(talk, stop)
        at = options.addresses or ([] if alone else usual)
        await listen(doors, at, converse, ours, what)
        await stop.wait()
    finally:
        await doors.close()


def ending() -> asyncio.Event:
    """Make an event that is set when a signal ends the server."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def usual(
    certificate: "Certificate | None", plain: int, secure: int, above: int
) -> list[str]:
    """List where to listen without -l; who is not root gets ports so much higher."""
    more = 0 if os.geteuid() == 0 else above
    found = [f"tcp!*!{plain + more}"]
    return [*found, f"tls!*!{secure + more}"] if certificate else found
