"""mailfs imap4d: serve mailboxes to IMAP clients; imap4d(8)."""

import argparse
import logging
import socket
import sys
import time
from typing import TYPE_CHECKING

from mailfs import where
from mailfs.cmd import serving
from mailfs.cmd.args import Parser

if TYPE_CHECKING:
    from mailfs.serve.imapd.mailstore import Mailstore

SUMMARY = "serve mailboxes to IMAP clients"
SWITCH = 50e-6  # seconds a thread may compute before the loop gets its turn again


def main(argv: list[str]) -> int:
    """Run the verb."""
    options = _parse(argv)
    from mailfs.p9.srv import run

    serving.begin_log(options, "imap4d", "mailfs.serve.imapd")
    if not options.debug:
        logging.getLogger("mailfs.mailbox").setLevel(logging.WARNING)
    run(_serve(options))
    return 0


async def _serve(options: argparse.Namespace) -> None:
    """Serve until a signal, or for one connection on standard input and output."""
    from mailfs.mailbox.driver import Place
    from mailfs.mailboxes.registry import MailboxRegistry, ignored
    from mailfs.serve.imapd.mailstore import Mailstore
    from mailfs.serve.imapd.server import Imapd
    from mailfs.serve.imapd.session import House
    from mailfs.serve.limits import Rates, Table

    sys.setswitchinterval(SWITCH)
    root = where.root(options.root)
    place = Place(root, where.user(), options.readonly)
    boxes = MailboxRegistry(place, where.cache(), ignored(root))
    store = Mailstore(boxes, serving.inbox(options.inbox, place))
    ours = serving.certificate(options)

    def stores(name: str) -> "Mailstore | None":
        return store if name == place.user else None

    house = House(
        options.name or socket.gethostname(),
        stores,
        Table(time.monotonic, Rates(connections=600), at_once=100),
        agent=None if options.known else serving.agent(),
        context=ours,
        clear=options.clear,
    )
    server = Imapd(house)
    usual = serving.usual(ours, 143, 993, 1000)
    try:
        await serving.serve_user(
            options, place.user, server.converse, server.known, usual, "IMAP"
        )
    finally:
        await boxes.close_all()


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
    serving.add_mailbox_server(parser, "143", "993", "1143 and 1993")
    return parser.parse_args(argv)
