"""mailfs filter: deliver a message where its sender or text leads; filter(1)."""

import sys
import time
from pathlib import Path

from mailfs import where
from mailfs.cmd.args import Parser

SUMMARY = "deliver a message into the mailbox that its sender or text chooses"


def main(argv: list[str]) -> int:
    """Run the verb; the message is on disk when it ends well."""
    parser = Parser(
        "filter",
        "Append the message on standard input to the MAILBOX of the first REGEXP\n"
        "that is found in its sender, else to DEFAULT; for pipeto and rewrite.",
        example="mailfs filter -h local!glenda mbox '@lists\\.org' lists <message",
        files="ROOT/mail/box/USER/   where mailboxes lie",
        own_h=True,
    )
    add = parser.add_argument
    add("-h", dest="head", action="store_true", help="look in the header too")
    add("-b", dest="body", action="store_true", help="look in the body too")
    add("-n", dest="dry", action="store_true", help="print the mailbox only")
    add("recipient", metavar="RECIPIENT", help="for the log")
    add("default", metavar="DEFAULT", help="a mailbox")
    add("rules", metavar="REGEXP MAILBOX", nargs="*", help="pairs of the two")
    parser.add_root()
    options = parser.parse_args(argv)
    from mailfs.filters import sorting
    from mailfs.send import local, mail
    from mailfs.site import site

    rules = sorting.rules(options.rules)
    here = site.here(where.root(options.root), where.user())
    data = sys.stdin.buffer.read()
    letter = mail.read(here, data, None, relayed=True)
    texts = sorting.searched(
        letter.text, letter.sender, head=options.head, body=options.body
    )
    chosen = sorting.choose(rules, texts, options.default)
    path = Path(where.box(here.root, chosen, here.user))
    if options.dry:
        print(path)
        return 0
    now = int(time.time())
    local.append(here, path, letter.text, now, letter.sender)
    local.log_delivery(here, options.recipient, letter.sender, now, letter.size)
    return 0
