"""Measure rows of the performance table; see --help."""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import fuse
import imap
import rows
import sending
import serving
from world import World

ROWS = rows.ROWS | imap.ROWS | fuse.ROWS | sending.ROWS | serving.ROWS

MANY, FEW = 100_000, 10_000
ROOM = 12 << 30  # octets of disk that MANY messages, a copy and a Maildir take
MEMORY = 6 << 30  # octets that keep an mbox of MANY in the page cache


def default_messages(place: Path) -> int:
    """Return MANY if disk and memory allow, else FEW."""
    pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    enough = shutil.disk_usage(place).free > ROOM and pages > MEMORY
    return MANY if enough else FEW


def main() -> None:
    """Print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure us against floors taken in the same run.  "
        "Leave the machine alone meanwhile.",
    )
    parser.add_argument("--messages", type=int, metavar="N", help="of a mailbox")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="default 3")
    parser.add_argument(
        "--rows",
        default=",".join(ROWS),
        metavar="NAME,...",
        help="default: %(default)s",
    )
    parser.add_argument(
        "--mail", type=Path, metavar="DIR", help="keep the mail made there, or use it"
    )
    options = parser.parse_args()
    names = options.rows.split(",")
    if unknown := set(names) - set(ROWS):
        parser.error(f"no row {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="bench") as home:
        mail = options.mail or Path(home) / "mail"
        mail.mkdir(parents=True, exist_ok=True)
        messages = options.messages or default_messages(mail)
        world = World(Path(home), mail, messages, options.runs)
        print(f"{messages} messages, medians of {options.runs}, Python {sys.version}")
        form = "{:<52} {:>18} {:>18} {:>9}  {}"
        print(form.format("work", "floor", "ours", "ratio", "aim"))
        for name in names:
            for row in ROWS[name](world):
                print(
                    form.format(row.work, row.floor, row.ours, row.ratio, row.aim),
                    flush=True,
                )


if __name__ == "__main__":
    main()
