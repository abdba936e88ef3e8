"""mailfs qer: put a message into the queue; qer(8)."""

import argparse
import io
import sys
from pathlib import Path

from mailfs import where
from mailfs.cmd.args import Parser

SUMMARY = "put a message into the queue"

PEEK = 64 << 10  # octets; more than one read of a pipe gives
SHOWN = 40  # characters of an odd beginning that go into the log


def main(argv: list[str]) -> int:
    """Run the verb."""
    options = _parse(argv)
    from mailfs.queue import spool

    _complain()
    spool.enqueue(
        options.queue,
        options.subdir or where.user(),
        sys.stdin.buffer,
        [options.tag, options.reply, *options.args],
        options.file,
        shared=bool(options.subdir),
    )
    return 0


def _complain() -> None:
    """Log data that does not begin with a ``From `` line."""
    stdin = sys.stdin.buffer
    start = stdin.peek(PEEK)[:SHOWN] if isinstance(stdin, io.BufferedReader) else b""
    if start.startswith(b"From"):
        return
    from mailfs.site import site as sites

    site = sites.here(where.root(), where.user())
    shown = start.decode(errors="replace").replace("\n", " ")
    site.log.write("smtp", f"qer usys data starts with {shown:<{SHOWN}}")


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "qer",
        "Put the message on standard input into QUEUE, for runq to deliver.",
        example="mailfs qer /mail/queue mail glenda net!b.com a@b.com <message",
        files="QUEUE/USER/D.NAME    the message\n"
        "QUEUE/USER/C.NAME    tag, reply address, arguments\n"
        "QUEUE/USER/E.NAME    what went wrong; runq writes it",
    )
    parser.add_argument("-q", dest="subdir", help="the directory; default the user's")
    parser.add_argument(
        "-f",
        dest="file",
        type=Path,
        action="append",
        default=[],
        help="queue a copy of this file too",
    )
    parser.add_argument("queue", type=Path, help="such as ROOT/mail/queue")
    parser.add_argument("tag", help="what the message is, for bounces: mail")
    parser.add_argument("reply", help="who is told of a failure")
    parser.add_argument("args", nargs="+", help="net!host and recipients")
    return parser.parse_args(argv)
