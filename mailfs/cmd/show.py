"""mailfs show: print messages for reading."""

import json
import sys
from argparse import Namespace

from mailfs.cmd import mailtree
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError
from mailfs.p9.client import Client
from mailfs.printable import shown

SUMMARY = "print messages for reading"

FIELDS = ("from", "to", "cc", "date", "subject")


def main(argv: list[str]) -> int:
    """Run the verb on each message; one that fails does not stop the others."""
    parser = Parser(
        "show",
        "Print messages for reading: who, when, the best text, what is attached.",
        example="mailfs show 17\nmailfs show mbox/17/2\nmailfs show --raw 17 >17.eml",
    )
    parser.add_argument(
        "messages",
        metavar="MESSAGE",
        nargs="+",
        help="[MAILBOX/]NUMBER, and perhaps /PART; the mailbox is mbox unless named",
    )
    parser.add_argument(
        "--raw", action="store_true", help="as it stands, octet by octet"
    )
    parser.add_argument(
        "--json", action="store_true", help="print an object a line, for programs"
    )
    mailtree.add(parser, count=False)
    options = parser.parse_args(argv)
    places = [mailtree.place(one) for one in options.messages]
    status = 0
    with mailtree.connect(options) as client:
        for at, where in enumerate(places):
            try:
                _show(client, where, options, first=at == 0)
            except MailfsError as e:
                mailtree.complain("show", where, e)
                status = 1
    return status


def _show(client: Client, where: str, options: Namespace, *, first: bool) -> None:
    if options.raw:
        sys.stdout.flush()
        with client.open(f"{where}/raw") as file:
            while piece := file.read(1 << 16):
                sys.stdout.buffer.write(piece)
        return
    fields = {name: _read(client, f"{where}/{name}") for name in FIELDS}
    text = _read(client, f"{where}/text")
    if options.json:
        row = mailtree.row(client, where, client.stat(where))
        print(json.dumps(json.loads(row.json()) | {"text": text}))
        return
    if not first:
        print("\f" if not sys.stdout.isatty() else "")
    for name, value in fields.items():
        if value:
            print(f"{name.capitalize() + ':':<9}{shown(value)}")
    print()
    print(shown(text, keep="\n\t"), end="", flush=True)


def _read(client: Client, path: str) -> str:
    return client.read(path).decode("utf-8", "replace")
