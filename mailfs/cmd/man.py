"""mailfs man: show a page of the manual."""

import argparse
import os
import sys
from pathlib import Path

from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError
from mailfs.man import page

SUMMARY = "show a page of the manual"

TREE = "4"  # the page of the tree


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
    """Return the file of a page: a verb's, mailfs(1)'s or mailfs(4)'s."""
    wanted = {"mailfs": "mailfs.1", TREE: "mailfs.4"}.get(name, f"mailfs-{name}.1")
    path = page.path(wanted)
    if "/" in name or not path.is_file():
        raise MailfsError(f"{name}: no such page")
    return path


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "man",
        "Show the page of a verb; that of mailfs itself without one; that of the tree\n"
        "of files for 4.",
        example="mailfs man fs\nmailfs man 4",
    )
    parser.add_argument("page", metavar="PAGE", nargs="?", default="mailfs")
    parser.add_argument(
        "-w", dest="path", action="store_true", help="print where it lies, as man -w"
    )
    return parser.parse_args(argv)
