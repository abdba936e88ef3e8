"""mailfs ls: list mailboxes, or the newest messages of some."""

import json
from argparse import Namespace

from mailfs.cmd import mailtree
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError
from mailfs.p9.client import Client
from mailfs.printable import shown

SUMMARY = "list mailboxes and their newest messages"


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "ls",
        "List the newest messages of mailboxes; without one, the mailboxes.",
        example="mailfs ls\nmailfs ls -n 5 mbox\nmailfs ls --json -n 0 mbox",
    )
    parser.add_argument("mailboxes", metavar="MAILBOX", nargs="*", help="its name")
    mailtree.add(parser, count=True)
    options = parser.parse_args(argv)
    status = 0
    with mailtree.connect(options) as client:
        if not options.mailboxes:
            _mailboxes(client, options)
        for name in options.mailboxes:
            try:
                _messages(client, name, options)
            except MailfsError as e:
                mailtree.complain("ls", name, e)
                status = 1
    return status


def _mailboxes(client: Client, options: Namespace) -> None:
    for name in mailtree.mailboxes(client):
        text = client.read(f"/{name}/status").decode("utf-8", "replace")
        status = dict(line.partition(" ")[::2] for line in text.splitlines())
        if options.json:
            told: dict[str, str | int] = {
                "mailbox": name,
                "state": status.get("state", ""),
            }
            if "messages" in status:
                told["messages"] = int(status["messages"])
            print(json.dumps(told))
            continue
        count = f"{status.get('messages', '-'):>7}"
        print(shown(f"{name:<24} {count}  {status.get('state', '')}"))


def _messages(client: Client, name: str, options: Namespace) -> None:
    name = name.strip("/")
    entries = reversed(mailtree.messages(client, f"/{name}"))
    found = ((f"{name}/{entry.name}", entry) for entry in entries)
    mailtree.print_rows(client, found, options)
