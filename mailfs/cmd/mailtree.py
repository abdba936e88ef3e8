"""The mail server's tree, for verbs that show mail: where it is, what lies there."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from mailfs.cmd import p9
from mailfs.cmd.args import Parser
from mailfs.cmd.posted import absent
from mailfs.errors import MailfsError, Refused, UsageError
from mailfs.p9.client import SERVICE, Client
from mailfs.p9.dial import NoServer, dial_soon
from mailfs.p9.fcall import DMDIR, Stat
from mailfs.printable import shown
from mailfs.where import DialString, namespace

MBOX = "mbox"  # the mailbox of messages that are named by a number alone
NEWEST = 20  # messages that are shown unless told otherwise
OUTBOX = "outbox"
SEARCH = "search"

# Places of the lines of info; upasfs(4).
_FROM, _TO, _CC, _SUBJECT, _ID, _SIZE, _FLAGS, _NAME = 0, 1, 2, 5, 14, 16, 17, 19
_MARKS = {"s": ("", "N"), "f": ("F", ""), "a": ("A", ""), "d": ("D", "")}
_WORDS = {"s": "seen", "f": "flagged", "a": "answered", "d": "draft", "D": "deleted"}


def add(parser: Parser, *, count: bool) -> None:
    """Add where the tree is, and with count how much of it is shown, and how."""
    parser.add_argument(
        "-a", metavar="ADDR", dest="addr", help=f"the server; default {SERVICE}"
    )
    parser.add_argument(
        "-A", metavar="ANAME", dest="aname", default="", help="attach to that tree"
    )
    if count:
        parser.add_argument(
            "-n",
            metavar="COUNT",
            dest="count",
            type=int,
            default=NEWEST,
            help="how many messages at most, 0 for all; default %(default)s",
        )
        parser.add_argument(
            "--json", action="store_true", help="print an object a line, for programs"
        )
    p9.add_cert(parser)


def connect(options: argparse.Namespace) -> Client:
    """Attach to the mail server.  Raises MailfsError if it cannot be reached."""
    where = DialString("unix", str(namespace() / SERVICE))
    if options.addr is not None:
        where = p9.address(options.addr)
    auth = None if where.net == "unix" else p9.prove
    dial = p9.dialler(options) if where.net == "tls" else dial_soon
    try:
        return Client(where, aname=options.aname, auth=auth, dial=dial)
    except NoServer as e:
        raise absent(where, e) from e


def messages(client: Client, folder: str) -> list[Stat]:
    """Return the entries of a directory that are messages."""
    return [s for s in client.ls(folder) if s.mode & DMDIR and s.name.isdecimal()]


def mailboxes(client: Client) -> list[str]:
    """Return the names of the mailboxes, as they were opened."""
    found = [s.name for s in client.ls("/") if s.mode & DMDIR and s.name != OUTBOX]
    if SEARCH in found and client.stat(f"/{SEARCH}/status").mode & DMDIR:
        found.remove(SEARCH)  # a directory of queries, where status is one
    return found


def place(text: str) -> str:
    """Return where a message is: MAILBOX/NUMBER, or NUMBER in the default mailbox.

    What follows names parts.  Raises UsageError.
    """
    words = text.strip("/").split("/")
    if words[0].isdecimal():
        words.insert(0, MBOX)
    if len(words) < 2 or not all(word.isdecimal() for word in words[1:]):
        raise UsageError(f"{text}: want [MAILBOX/]NUMBER")
    return "/".join(words)


@dataclass(frozen=True, slots=True)
class Row:
    """What a list shows of a message; date is ISO 8601, in UTC."""

    message: str
    date: str
    sender: str
    name: str
    to: str
    cc: str
    subject: str
    flags: list[str]
    size: int
    messageid: str

    def json(self) -> str:
        """Return it as an object of one line."""
        fields = asdict(self)
        fields["from"] = fields.pop("sender")
        return json.dumps(fields)

    def line(self, now: float) -> str:
        """Return it as a line for people."""
        letters = {word: letter for letter, word in _WORDS.items()}
        there = {letters[word] for word in self.flags}
        marks = "".join(mark[letter not in there] for letter, mark in _MARKS.items())
        when = p9.when(int(datetime.fromisoformat(self.date).timestamp()), now)
        who = shown(self.name or self.sender)[:24]
        return f"{self.message:<12} {marks:<3} {when}  {who:<24}  {shown(self.subject)}"


def row(client: Client, where: str, entry: Stat) -> Row:
    """Read what a list shows of the message at where."""
    info = client.read(f"{where}/info").decode("utf-8", "replace").split("\n")
    flags = info[_FLAGS]
    return Row(
        message=where,
        date=datetime.fromtimestamp(entry.mtime, UTC).isoformat(),
        sender=info[_FROM],
        name=info[_NAME],
        to=info[_TO],
        cc=info[_CC],
        subject=info[_SUBJECT],
        flags=[word for letter, word in _WORDS.items() if letter in flags],
        size=int(info[_SIZE] or 0),
        messageid=info[_ID],
    )


def print_rows(
    client: Client, found: Iterator[tuple[str, Stat]], options: argparse.Namespace
) -> int:
    """Print messages, each at its place, as long as they are wanted; return how many.

    One that goes away meanwhile is passed over.
    """
    printed = 0
    for where, entry in found:
        if options.count and printed >= options.count:
            break
        try:
            one = row(client, where, entry)
        except Refused:
            continue
        print(one.json() if options.json else one.line(time.time()), flush=True)
        printed += 1
    return printed


def complain(verb: str, what: str, error: MailfsError) -> None:
    """Print an error that does not end the verb."""
    sys.stdout.flush()
    print(f"mailfs {verb}: {shown(what)}: {shown(str(error))}", file=sys.stderr)
