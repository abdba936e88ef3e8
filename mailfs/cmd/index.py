"""mailfs index: build or update the index of a mailbox."""

import sys
from pathlib import Path

from mailfs import where
from mailfs.cmd import net
from mailfs.cmd.args import Parser
from mailfs.mailbox.build import Progress, Report, be_nice, derive
from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers import open_store
from mailfs.mailbox.folder import MailboxState, index_of
from mailfs.mailbox.remotestate import state_of

SUMMARY = "build or update a mailbox's index"

PHASES = {"head": "headers", "body": "bodies", "text": "words"}


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "index",
        "Build or update the index of a mailbox.  The server starts this by itself;"
        " it may be run beforehand, and at any time.",
        example="mailfs index ~/Maildir",
        files="$XDG_CACHE_HOME/mailfs/index/*.db   the indexes; may be removed",
    )
    parser.add_argument("spec", metavar="MAILBOX", help="its path")
    parser.add_argument("--readonly", action="store_true", help="change no mailbox")
    parser.add_argument(
        "--report", action="store_true", help="tell the progress, one line a step"
    )
    parser.add_argument(
        "--indexes",
        metavar="DIR",
        type=Path,
        default=where.cache(),
        help="where indexes and the cache lie; default %(default)s",
    )
    parser.add_argument(
        "--bodies",
        action="store_true",
        help="fetch whole messages from a server, to be read without it",
    )
    parser.add_argument(
        "--owner",
        metavar="UID:GID",
        type=_owner,
        help="whose the mailbox is: nothing else of it is read or followed",
    )
    net.add(parser)
    parser.add_root()
    options = parser.parse_args(argv)
    root, cache = where.root(options.root), options.indexes
    remote = net.make(options, root, cache)
    place = Place(root, where.user(), options.readonly, remote, options.owner)
    report = _lines if options.report else _bar()
    folder = _folder(options.spec, place, cache)
    try:
        folder.load()
        folder.list()
        report(Progress("listed", folder.view.count))
        be_nice()
        derive(folder, report, bodies=options.bodies)
    finally:
        folder.close()
    return 0


def _owner(text: str) -> tuple[int, int]:
    """Read UID:GID.  Raises ValueError."""
    uid, gid = text.split(":")
    return int(uid), int(gid)


def _folder(spec: str, place: Place, cache: Path) -> MailboxState:
    driver = open_store(spec, place)
    return state_of(driver, index_of(driver, cache))


def _lines(progress: Progress) -> None:
    """Report for a program; when nobody reads any more, the work is not wanted."""
    print(progress, flush=True)


def _bar() -> Report:
    """Return a report for people: a bar on a terminal, else one line at the end."""
    if not sys.stderr.isatty():
        return _last
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    bar = Bar(console=Console(stderr=True), transient=False)
    tasks: dict[str, TaskID] = {}
    bar.start()

    def report(progress: Progress) -> None:
        if progress.phase == "done":
            bar.stop()
        elif progress.phase in PHASES:
            task = tasks.get(progress.phase)
            if task is None:
                task = bar.add_task(PHASES[progress.phase], total=progress.total)
                tasks[progress.phase] = task
            bar.update(task, completed=progress.done)

    return report


def _last(progress: Progress) -> None:
    if progress.phase == "listed":
        print(f"{progress.done} messages", file=sys.stderr)
