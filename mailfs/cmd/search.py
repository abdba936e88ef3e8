"""mailfs search: find messages in the mailboxes of a running server."""

import sys
from argparse import Namespace
from collections.abc import Iterator

from mailfs.cmd import mailtree
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError, Refused, UsageError
from mailfs.p9.client import Client
from mailfs.p9.fcall import Stat
from mailfs.printable import shown
from mailfs.query.grammar import parse

SUMMARY = "find messages"
NOTES = {
    "asked": "found by the server, as pieces of text",
    "unread": "not looked through: on the server only",
}


def main(argv: list[str]) -> int:
    """Run the verb; like grep, it fails if nothing was found."""
    parser = Parser(
        "search",
        "Find messages, and print them newest first; mailfs(4) tells what a query can"
        " be.",
        example="mailfs search from:glenda budget\n"
        "mailfs search 'is:unread (subject:call or \"on call\")'\n"
        "mailfs search -n 0 --json has:attachment date:2026-01..2026-03",
    )
    parser.add_argument("words", metavar="QUERY", nargs="+", help="what is sought")
    parser.add_argument(
        "-m",
        metavar="MAILBOX",
        dest="mailboxes",
        action="append",
        default=[],
        help="look in this one only; may be repeated",
    )
    mailtree.add(parser, count=True)
    options = parser.parse_args(argv)
    query = " ".join(options.words)
    parse(query)
    if "/" in query:
        raise UsageError("a query cannot hold a slash")
    with mailtree.connect(options) as client:
        found, status = _found(client, query, options)
        printed = mailtree.print_rows(client, found, options)
        for name in options.mailboxes or mailtree.mailboxes(client):
            _tell(client, name, query)
    return status or not printed


def _tell(client: Client, name: str, query: str) -> None:
    """Say on standard error what was found otherwise than by reading messages."""
    try:
        text = client.read(f"/{name}/search/{query}/status").decode("utf-8", "replace")
    except MailfsError:
        return  # it has been told why it cannot be asked
    told = dict(line.partition(" ")[::2] for line in text.splitlines())
    for key, what in NOTES.items():
        if (count := told.get(key, "0")) != "0":
            print(f"mailfs search: {shown(name)}: {count} {what}", file=sys.stderr)


def _found(
    client: Client, query: str, options: Namespace
) -> tuple[Iterator[tuple[str, Stat]], int]:
    """Return what is found, newest first, and 1 if a mailbox could not be asked."""
    found: list[tuple[str, Stat]] = []
    status = 0
    for name in options.mailboxes or mailtree.mailboxes(client):
        try:
            entries = mailtree.messages(client, f"/{name}/search/{query}")
        except Refused as e:
            if not options.mailboxes and len(mailtree.mailboxes(client)) == 1:
                raise
            mailtree.complain("search", name, e)
            status = 1
            continue
        except MailfsError as e:
            raise MailfsError(f"{name}: {e}") from e
        found += [(f"{name}/{entry.name}", entry) for entry in entries]
    found.sort(key=lambda one: -one[1].mtime)  # stable: of one second as they came
    return iter(found), status
