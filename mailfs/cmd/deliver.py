"""mailfs deliver: put a message on standard input into a mailbox; filter(1)."""

import sys
import time
from pathlib import Path

from mailfs import where
from mailfs.cmd.args import Parser
from mailfs.errors import UsageError

SUMMARY = "put the message on standard input into a mailbox"


def main(argv: list[str]) -> int:
    """Run the verb; the message is on disk when it ends well."""
    parser = Parser(
        "deliver",
        "Append the message on standard input to MAILBOX, from the first address in\n"
        "FROMFILE; for pipeto and scripts like it.",
        example="mailfs deliver glenda from mail/box/glenda/lists <message",
        files="ROOT/sys/log/mail   a line for each message",
    )
    parser.add_argument("recipient", metavar="RECIPIENT", help="for the log")
    parser.add_argument("sender", metavar="FROMFILE", type=Path)
    parser.add_argument("mailbox", metavar="MAILBOX")
    parser.add_root()
    options = parser.parse_args(argv)
    from mailfs.send import address, local
    from mailfs.site import site

    here = site.here(where.root(options.root), where.user())
    text = options.sender.read_bytes().decode("utf-8", "surrogateescape")
    senders = address.split(text)
    if not senders:
        raise UsageError(f"{options.sender}: no address")
    message = sys.stdin.buffer.read()
    now = int(time.time())
    path = Path(where.box(here.root, options.mailbox, here.user))
    local.append(here, path, message, now, senders[0])
    local.log_delivery(here, options.recipient, senders[0], now, len(message))
    return 0
