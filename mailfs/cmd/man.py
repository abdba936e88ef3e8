"""mailfs man: show a page of the manual."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from mailfs.cmd.args import Parser
from mailfs.cmd.main import plain
from mailfs.errors import MailfsError, UsageError
from mailfs.man import page

SUMMARY = "show a page of the manual"

# Pages that are no verb's, by the names they are asked for.
PAGES = {
    "mailfs": "mailfs.1",
    "4": "mailfs.4",
    "7": "mailfs.7",
    "rewrite": "mailfs-rewrite.6",
    "ndb": "mailfs-ndb.6",
    "smtpd.conf": "mailfs-smtpd.6",
    "blocked": "mailfs-smtpd.6",
    "upasfs": "mailfs.4",
}

_SECTION = re.compile(r"[1-9]\w?")


def main(argv: list[str]) -> int:
    """Run the verb: man(1) on the page, or its source where there is no man."""
    options = _parse(argv)
    path = find(options.page)
    if options.path:
        print(path)
        return 0
    sys.stdout.flush()
    try:
        os.execvp("man", ["man", "-l", str(path)])  # noqa: S606, S607  # no shell
    except FileNotFoundError:
        sys.stdout.write(path.read_text())
    return 0


def find(words: Sequence[str]) -> Path:
    """Find a page by its name, a section of Plan 9's manual before it or not.

    A section chooses between pages of one name; programs all have one page, whatever
    section Plan 9 has them in.  Raises UsageError, or MailfsError for no such page.
    """
    section, name = ("", *words)[-2:] if words else ("", "mailfs")
    if len(words) > 2 or (section and not _SECTION.fullmatch(section)):
        raise UsageError(f"{' '.join(words)}: want PAGE, or SECTION PAGE")
    name = plain(name)
    files = [f"mailfs-{name}.{section}"] if section else []
    if section == "4" and name == "fs":
        name = "upasfs"
    files.append(PAGES.get(name, f"mailfs-{name}.1"))
    for path in map(page.path, files):
        if "/" not in name and path.is_file():
            return path
    raise MailfsError(f"{name}: no such page")


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "man",
        "Show the page of a verb; that of mailfs itself without one; for 4 that of\n"
        "the tree of files, for 7 guarantees, differences and standards, for rewrite,\n"
        "ndb and smtpd.conf that of the file.  A section may come first, as Plan 9's\n"
        "manual has it.",
        example="mailfs man fs\nmailfs man 4\nmailfs man 6 smtpd",
    )
    parser.add_argument(
        "page", metavar="PAGE", nargs="*", help="after its section, if need be"
    )
    parser.add_argument(
        "-w", dest="path", action="store_true", help="print where it lies, as man -w"
    )
    return parser.parse_args(argv)
