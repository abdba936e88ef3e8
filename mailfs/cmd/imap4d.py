"""mailfs imap4d: serve mailboxes to IMAP clients; imap4d(8)."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mailfs import where
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError, UsageError

if TYPE_CHECKING:
    from mailfs.mailbox.driver import Place
    from mailfs.serve.certificate import Certificate
    from mailfs.serve.imapd.mailstore import Mailstore
    from mailfs.serve.imapd.session import House
    from mailfs.serve.login import Agent

SUMMARY = "serve mailboxes to IMAP clients"
SWITCH = 50e-6  # seconds a thread may compute before the loop gets its turn again


def main(argv: list[str]) -> int:
    """Run the verb."""
    options = _parse(argv)
    from mailfs.p9.srv import run

    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if options.debug else logging.INFO,
        format="mailfs imap4d: %(message)s",
    )
    if not options.debug:
        logging.getLogger("mailfs.mailbox").setLevel(logging.WARNING)
    logging.getLogger("mailfs.serve.imapd").addHandler(_SysLog(options.root))
    run(_serve(options))
    return 0


class _SysLog(logging.Handler):
    """Writes what is logged into sys/log/imap4d too."""

    def __init__(self, root: str | None) -> None:
        from mailfs.site.log import SysLog

        super().__init__(logging.INFO)
        self._log = SysLog(where.root(root), os.uname().nodename)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, if there is such a log: without the file it is off."""
        if (self._log.folder / "imap4d").exists():
            self._log.write("imap4d", record.getMessage())


async def _serve(options: argparse.Namespace) -> None:
    """Serve until a signal, or for one connection on standard input and output."""
    from mailfs.mailbox.driver import Place
    from mailfs.mailboxes.registry import MailboxRegistry, ignored
    from mailfs.serve.door import Door, Doors
    from mailfs.serve.imapd.mailstore import Mailstore
    from mailfs.serve.imapd.server import Imapd

    sys.setswitchinterval(SWITCH)
    root = where.root(options.root)
    place = Place(root, where.user(), options.readonly)
    boxes = MailboxRegistry(place, where.cache(), ignored(root))
    store = Mailstore(boxes, inbox(options.inbox, place))
    certificate = _certificate(options)
    on_stdio = _on_stdio(options)
    house = _house(options, store, place.user, certificate)
    server = Imapd(house)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    doors = Doors()
    try:
        if on_stdio and options.known:
            await doors.on_stdio(lambda wire: server.known(wire, place.user), stop)
        elif on_stdio:
            await doors.on_stdio(server.converse, stop)
        for text in options.addresses or ([] if on_stdio else _usual(certificate)):
            at = where.dialstring(text)
            if at.net == "tls" and certificate is None:
                raise MailfsError(f"{text}: no certificate: see -c")
            context = certificate if at.net == "tls" else None
            opened = await doors.open(Door(at, server.converse, context))
            logging.info("IMAP at %s", opened)
        await stop.wait()
    finally:
        await doors.close()
        await boxes.close_all()


def inbox(given: str | None, place: "Place") -> str:
    """Return the path of the user's INBOX: given, or what ``mailfs fs`` serves."""
    from mailfs.cmd.fs import default
    from mailfs.mailboxes import listed
    from mailfs.mailboxes.spec import named

    if given is not None:
        return where.box(place.root, os.path.expanduser(given), place.user)
    specs = named(listed.read(place.root, place.user))
    if specs:
        return specs[0][1]
    try:
        return default(place)
    except MailfsError:  # no mail has come yet
        return where.box(place.root, "mbox", place.user)


def _usual(certificate: "Certificate | None") -> list[str]:
    plain, secure = (143, 993) if os.geteuid() == 0 else (1143, 1993)
    return [f"tcp!*!{plain}", *([f"tls!*!{secure}"] if certificate else [])]


def _on_stdio(options: argparse.Namespace) -> bool:
    """Whether there is one client, on standard input and output."""
    kind = os.fstat(0).st_mode
    if options.addresses:
        if options.known:
            raise UsageError("-a is for standard input and output, not for -l")
        return False
    if not stat.S_ISSOCK(kind):
        return bool(options.known)
    with socket.socket(fileno=os.dup(0)) as sock:
        try:
            sock.getpeername()
        except OSError:
            return bool(options.known)
        if options.known and sock.family in (socket.AF_INET, socket.AF_INET6):
            raise MailfsError("-a: a client on the network has to log in")
    return True


def _certificate(options: argparse.Namespace) -> "Certificate | None":
    """Return our certificate; without -c, none if none lies where it usually does."""
    from mailfs.serve.certificate import Certificate
    from mailfs.tls import keypair
    from mailfs.tls.keypair import Keypair

    usual = keypair.server(where.root(options.root))
    if options.cert is None:
        return Certificate(usual) if usual.cert.exists() else None
    return Certificate(Keypair(options.cert, options.key or options.cert))


def _house(
    options: argparse.Namespace,
    store: "Mailstore",
    user: str,
    certificate: "Certificate | None",
) -> "House":
    from mailfs.serve.imapd.session import House
    from mailfs.serve.limits import Rates, Table

    def stores(name: str) -> "Mailstore | None":
        return store if name == user else None

    return House(
        options.name or socket.gethostname(),
        stores,
        Table(time.monotonic, Rates(connections=600), at_once=100),
        agent=None if options.known else _agent(),
        context=certificate,
        clear=options.clear,
    )


def _agent() -> "Agent":
    """Return the function that dials the factotum.  Raises MailfsError."""
    from mailfs.factotum.client import Factotum

    try:
        Factotum().close()
    except MailfsError as e:
        raise MailfsError(f"clients log in by a factotum: {e}") from e
    return Factotum


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "imap4d",
        "Serve the user's mailboxes to IMAP clients at each ADDR.  With -a, or when a\n"
        "listener starts it with a connection as standard input, serve that one.",
        example="mailfs imap4d                           ports 143 and 993\n"
        "mailfs imap4d -l 'tls!*!993' -c cert.pem -K key.pem\n"
        "mutt -f imap://host/ -e 'set tunnel=\"ssh host mailfs imap4d -a\"'",
        files="ROOT/mail/box/USER/        INBOX is mbox there; folders lie beside it\n"
        "ROOT/mail/box/USER/uids.db   what clients were told of numbers; keep it\n"
        "ROOT/sys/lib/tls/cert.pem, key   our certificate\n"
        "ROOT/sys/log/imap4d        the log, if it is there",
    )
    add = parser.add_argument
    add(
        "-l",
        dest="addresses",
        action="append",
        default=[],
        metavar="ADDR",
        help="listen at tcp!HOST!PORT, tls!HOST!PORT or unix!PATH; default tcp!*!143 "
        "and, with a certificate, tls!*!993; 1143 and 1993 for who is not root",
    )
    add("-a", dest="known", action="store_true", help="the client need not log in")
    add(
        "-f",
        dest="inbox",
        metavar="MAILBOX",
        help="the mailbox that INBOX is; default the one mailfs fs serves",
    )
    add("-c", dest="cert", type=Path, metavar="FILE", help="our certificate, in PEM")
    add(
        "-K",
        dest="key",
        type=Path,
        metavar="FILE",
        help="its key, as PEM or as rsagen prints it; default in the file of -c",
    )
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
    return parser.parse_args(argv)
