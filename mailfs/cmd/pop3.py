"""mailfs pop3: serve a mailbox to POP3 clients; pop3(8)."""

import argparse

from mailfs import where
from mailfs.cmd import serving
from mailfs.cmd.args import Parser

SUMMARY = "serve a mailbox to POP3 clients"


def main(argv: list[str]) -> int:
    """Run the verb."""
    options = _parse(argv)
    from mailfs.p9.srv import run

    serving.begin_log(options, "pop3", "mailfs.serve.pop3d")
    run(_serve(options))
    return 0


async def _serve(options: argparse.Namespace) -> None:
    """Serve until a signal, or for one connection on standard input and output."""
    from mailfs.mailbox.driver import Place
    from mailfs.mailboxes.registry import MailboxRegistry, ignored
    from mailfs.serve.pop3d.server import Pop3d

    root = where.root(options.root)
    place = Place(root, where.user(), options.readonly)
    boxes = MailboxRegistry(place, where.cache(), ignored(root))
    ours = serving.certificate(options)
    server = Pop3d(serving.pop3_house(options, boxes, ours))
    usual = serving.usual(ours, 110, 995, 1000)
    try:
        await serving.serve_user(
            options, place.user, server.converse, server.known, usual, "POP3"
        )
    finally:
        await boxes.close_all()


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "pop3",
        "Serve the user's mailbox to POP3 clients at each ADDR.  With -a, or when a\n"
        "listener starts it with a connection as standard input, serve that one.",
        example="mailfs pop3                           ports 110 and 995\n"
        "mailfs pop3 -l 'tls!*!995' -c cert.pem -K key.pem\n"
        "mailfs pop3 -l 'tcp!127.0.0.1!1110'   for programs of this machine",
        files="ROOT/mail/box/USER/mbox      the mailbox\n"
        "ROOT/mail/box/USER/uids.db   what clients were told of numbers; keep it\n"
        "ROOT/sys/lib/tls/imap.pem, key.pem   our certificate; or cert.pem, key\n"
        "ROOT/sys/log/pop3          the log, if it is there",
    )
    parser.add_argument(
        "--exclusive",
        action="store_true",
        help="one session at a time; others are told [IN-USE]",
    )
    serving.add_mailbox_server(parser, "110", "995", "1110 and 1995")
    return parser.parse_args(argv)
