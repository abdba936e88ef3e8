"""mailfs kickqueue: try everything in the queue now."""

import argparse

from mailfs.cmd import runq
from mailfs.cmd.args import Parser

SUMMARY = "try everything in the queue now"


def main(argv: list[str]) -> int:
    """Run the verb: runq -E on the queue of the root."""
    options = _parse(argv)
    words = ["-E"]
    if options.all:
        words.append("-a")
    if options.root:
        words += ["--root", options.root]
    return runq.main(words)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "kickqueue",
        "Try every message in the queue now, whenever it was last tried.",
        example="mailfs kickqueue",
        files="ROOT/mail/queue             what is tried\n"
        "ROOT/mail/lib/remotemail    how",
    )
    parser.add_argument(
        "-a", "--all", action="store_true", help="all users' mail, not only mine"
    )
    parser.add_root()
    return parser.parse_args(argv)
