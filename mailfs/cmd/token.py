"""mailfs token: a word that a stranger is told, and by which he is known; filter(1)."""

import os
import sys
import time
from pathlib import Path

from mailfs.cmd.args import Parser

SUMMARY = "make or look for a word that shows a stranger has read an answer"


def main(argv: list[str]) -> int:
    """Run the verb; with a file, whether it holds a token of the last days."""
    parser = Parser(
        "token",
        "Print today's token for KEY; with FILE, fail unless its first octets hold a\n"
        "token of the last fourteen days.",
        example="mailfs token plan9\nmailfs token plan9 message && echo known",
    )
    parser.add_argument("key", metavar="KEY")
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path)
    options = parser.parse_args(argv)
    from mailfs.filters import token

    now = int(time.time())
    if options.file is None:
        print(token.token(options.key, now))
        return 0
    with open(os.open(options.file, os.O_RDONLY | os.O_CLOEXEC), "rb") as file:
        if token.found(options.key, file.read(token.SEARCHED), now):
            return 0
    print("no match", file=sys.stderr)
    return 1
