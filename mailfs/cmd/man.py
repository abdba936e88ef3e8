"""mailfs man: show a page of the manual."""

import argparse
import os
import sys
from pathlib import Path

from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError
from mailfs.man import page

SUMMARY = "show a page of the manual"

# Pages that are no verb's, by the names they are asked for.
PAGES = {
    "mailfs": "mailfs.1",
    "4": "mailfs.4",
    "7": "mailfs.7",
    "rewrite": "mailfs-rewrite.6",
    "ndb": "mailfs-ndb.6",
    "smtpd.conf": "mailfs-smtpd.1",
}


def main(argv: list[str]) -> int:
    """Run the verb: man(1) on the page, or its source where there is no man."""
    options = _parse(argv)
    path = _path(options.page)
    if options.path:
        print(path)
        return 0
    sys.stdout.flush()
    try:
        os.execvp("man", ["man", "-l", str(path)])  # noqa: S606, S607  # no shell
    except FileNotFoundError:
        sys.stdout.write(path.read_text())
    return 0


def _path(name: str) -> Path:
    """Return the file of a page: a verb's, or one of PAGES."""
    path = page.path(PAGES.get(name, f"mailfs-{name}.1"))
    if "/" in name or not path.is_file():
        raise MailfsError(f"{name}: no such page")
    return path


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "man",
        "Show the page of a verb; that of mailfs itself without one; for 4 that of\n"
        "the tree of files, for 7 guarantees, differences and standards, for rewrite,\n"
        "ndb and smtpd.conf that of the file.",
        example="mailfs man fs\nmailfs man 4\nmailfs man rewrite",
    )
    parser.add_argument("page", metavar="PAGE", nargs="?", default="mailfs")
    parser.add_argument(
        "-w", dest="path", action="store_true", help="print where it lies, as man -w"
    )
    return parser.parse_args(argv)
