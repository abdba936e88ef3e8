"""mailfs queue: what is in the queue, and what to do with it."""

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mailfs import where
from mailfs.cmd.args import Parser
from mailfs.errors import UsageError
from mailfs.printable import shown

if TYPE_CHECKING:
    from mailfs.queue.spool import Job
    from mailfs.queue.status import QueueRow

SUMMARY = "show what is in the queue, hold it, remove it"

HEAD = ("message", "state", "age", "octets", "next", "from", "for")


def main(argv: list[str]) -> int:
    """Run the verb."""
    options = _parse(argv)
    from mailfs.queue import spool

    queue = options.queue or where.root(options.root) / "mail" / "queue"
    if options.action == "list":
        return _list(queue, attrs=options.attrs)
    if not options.jobs:
        raise UsageError(f"{options.action}: which message? (try --help)")
    for job in [spool.find(queue, ident) for ident in options.jobs]:
        ACTIONS[options.action](job)
    return 0


def _list(queue: Path, *, attrs: bool) -> int:
    from mailfs.queue import spool, status

    found = list(status.rows(spool.folders(queue)))
    if attrs:
        sys.stdout.write("".join(f"{row.attrs()}\n" for row in found))
        return 0
    now = time.time()
    table = [HEAD, *(_cells(row, now) for row in found)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    rows = [None, *found]
    for cells, row in zip(table, rows, strict=True):
        if found:
            padded = map(str.ljust, cells, widths)
            print(shown("  ".join(padded).rstrip()))
        if row is not None and row.error:
            print(f"    {shown(row.error)}")
    print(f"{len(found)} in the queue")
    return 0


def _cells(row: "QueueRow", now: float) -> tuple[str, ...]:
    due = "" if row.state == "held" else "now"
    if row.due > now and due:
        due = _span(row.due - now)
    return (
        row.job.ident,
        row.state,
        _span(now - row.queued),
        str(row.size),
        due,
        row.sender,
        " ".join(row.rcpts) or row.host,
    )


def _span(seconds: float) -> str:
    """Return a time in its largest unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def _show(job: "Job") -> None:
    from mailfs.queue.status import rows

    for row in rows([job.folder]):
        if row.job == job:
            print(row.attrs())
    for kind in ("E", "D"):
        with suppress(FileNotFoundError), open(job.open(kind), "rb") as f:
            print()
            sys.stdout.flush()
            if sys.stdout.isatty():
                for line in f:
                    print(shown(line.decode(errors="replace"), keep="\n\t"), end="")
            else:
                sys.stdout.buffer.write(f.read())


def _hold(job: "Job") -> None:
    from mailfs.queue import spool

    spool.hold(job)


def _release(job: "Job") -> None:
    from mailfs.queue import spool

    spool.release(job)


def _remove(job: "Job") -> None:
    from mailfs.queue import spool

    spool.remove(job)


ACTIONS: dict[str, Callable[["Job"], None]] = {
    "show": _show,
    "hold": _hold,
    "release": _release,
    "remove": _remove,
}


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "queue",
        "Show the messages in the queue, or do something to some of them: show one\n"
        "with all that went wrong, hold it back, release it, remove it unsent.",
        example="mailfs queue\n"
        "mailfs queue -l              a line of attr=value for each\n"
        "mailfs queue hold glenda/0196f2c41a35d0c1",
        files="ROOT/mail/queue/USER/C.NAME    its words; h.NAME if it is held\n"
        "ROOT/mail/queue/USER/D.NAME    the message\n"
        "ROOT/mail/queue/USER/E.NAME    what went wrong",
    )
    parser.add_argument("-l", "--attrs", action="store_true", help="as attr=value")
    parser.add_argument("--queue", type=Path, help="default ROOT/mail/queue")
    parser.add_root()
    parser.add_argument("action", nargs="?", default="list", choices=["list", *ACTIONS])
    parser.add_argument("jobs", nargs="*", metavar="USER/NAME")
    return parser.parse_args(argv)
