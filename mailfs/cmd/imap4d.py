"""mailfs imap4d: serve mailboxes to IMAP clients; imap4d(8)."""

import argparse
import logging
import sys

from mailfs import where
from mailfs.cmd import serving
from mailfs.cmd.args import Parser

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
    from mailfs.serve.imapd.server import Imapd

    sys.setswitchinterval(SWITCH)
    root = where.root(options.root)
    place = Place(root, where.user(), options.readonly)
    boxes = MailboxRegistry(place, where.cache(), ignored(root))
    ours = serving.certificate(options)
    server = Imapd(serving.imap_house(options, boxes, ours))
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
        "ROOT/sys/lib/tls/imap.pem, key.pem   our certificate; or cert.pem, key\n"
        "ROOT/sys/log/imap4d        the log, if it is there",
    )
    serving.add_mailbox_server(parser, "143", "993", "1143 and 1993")
    return parser.parse_args(argv)
