"""mailfs runq: deliver what is in the queue; qer(8)."""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mailfs import where
from mailfs.cmd import logs
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError, UsageError
from mailfs.printable import shown

if TYPE_CHECKING:
    from mailfs.runq.drain import Drain
    from mailfs.runq.runq import RunqOrder
    from mailfs.runq.users import UserDrains

SUMMARY = "deliver what is in the queue"

MAX_WORKERS = 500  # threads


def main(argv: list[str]) -> int:
    """Run the verb."""
    return run(_parse(argv))


def run(options: argparse.Namespace) -> int:
    """Drain a queue once, or watch it."""
    from mailfs.runq import runq
    from mailfs.site import site as sites

    root = where.root(options.root)
    site = sites.here(root, where.user())
    order = _order(options, root)
    _log(options)
    trace = _trace if options.debug else _silent
    try:
        drain = runq.drain(site, order, trace)
    except OSError as e:
        raise MailfsError(f"{order.command}: {e.strerror}") from e
    others = runq.users(order, root, trace) if _others(options, order) else None
    came: list[int] = []

    def stop(number: int, _: object) -> None:
        came.append(number)
        drain.stop()
        if others is not None:
            others.stop()

    if others is not None:
        others.start(watch=options.watch)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        if options.watch:
            _watch(drain, order, others)
        else:
            drain.once()
    except BaseException:
        if others is not None:
            others.stop()
        raise
    finally:
        if others is not None:
            others.join()
    return 128 + signal.SIGINT if signal.SIGINT in came else 0


def _others(options: argparse.Namespace, order: "RunqOrder") -> bool:
    """Whether we are root, and other users' directories are to be drained too."""
    from mailfs.queue import place

    if os.geteuid() != 0:
        return False
    return options.watch or not all(map(place.drained, order.every()))


def _watch(drain: "Drain", order: "RunqOrder", others: "UserDrains | None") -> None:
    """Drain until a signal; new files wake the drain."""
    from mailfs.runq import runq
    from mailfs.runq.watch import QueueWatch

    lock = runq.lock(order.queue)

    def wake() -> None:
        drain.wake()
        if others is not None:
            others.wake()

    watch = QueueWatch(order.queue, wake)
    try:
        watch.start()
        drain.watch()
        if others is not None:
            others.stop()
    finally:
        watch.close()
        os.close(lock)


def _order(options: argparse.Namespace, root: Path) -> "RunqOrder":
    from mailfs.runq.attempt import RetryRules
    from mailfs.runq.drain import DrainLimits
    from mailfs.runq.runq import RunqOrder

    users: tuple[str, ...] = (options.subdir or where.user(),)
    if options.all or options.watch:
        users = (options.subdir,) if options.subdir else ()
    return RunqOrder(
        options.queue or root / "mail" / "queue",
        (options.command or root / "mail" / "lib" / "remotemail").absolute(),
        users,
        RetryRules(options.hours, options.at_once, options.stubborn),
        DrainLimits(options.workers, options.per_host),
    )


def _log(options: argparse.Namespace) -> None:
    logs.start("runq", logging.INFO if options.debug else logging.WARNING)


def _trace(line: str) -> None:
    print(shown(line, keep="\t\n"), file=sys.stderr, flush=True)


def _silent(line: str) -> None:
    """Show nothing."""


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "runq",
        "Deliver the messages in QUEUE that are due, each by COMMAND TAG REPLY ARG\n"
        "... with the message on standard input.  The remotemail that ships is not\n"
        "started for each: what it says is done here, over connections that are kept.",
        example="mailfs runq --watch                  deliver from now on\n"
        "mailfs runq -a                       all users' mail that is due, once\n"
        "mailfs runq -E                       mine, now, whenever it was last tried",
        files="ROOT/mail/queue              the default QUEUE\n"
        "ROOT/mail/lib/remotemail     the default COMMAND\n"
        "ROOT/sys/log/runq            what was done",
    )
    add_flags(parser)
    parser.add_argument("queue", type=Path, nargs="?", metavar="QUEUE")
    parser.add_argument("command", type=Path, nargs="?", metavar="COMMAND")
    options = parser.parse_args(argv)
    if not 0 < options.workers <= MAX_WORKERS or options.per_host < 1:
        raise UsageError(f"-n wants 1 to {MAX_WORKERS}, --per-host at least 1")
    return options


def add_flags(parser: Parser) -> None:
    """Add the options of runq."""
    flags = (
        ("-a", "all", "every directory of the queue, not only the user's"),
        ("-d", "debug", "show the dialogue with servers on standard error"),
        ("-E", "at_once", "whatever the time of the last attempt; give nothing up"),
        ("-R", "stubborn", "try failed messages again, too"),
        ("-s", "single", "accepted; one process at a time has a message anyway"),
        ("--watch", "watch", "go on: new messages as they come, others when due"),
    )
    for flag, dest, text in flags:
        parser.add_argument(flag, dest=dest, action="store_true", help=text)
    from mailfs.queue import retry

    parser.add_argument("-q", dest="subdir", metavar="DIR", help="this directory only")
    parser.add_argument(
        "-t",
        dest="hours",
        type=float,
        default=retry.GIVE_UP,
        metavar="HOURS",
        help="after which to give up; default %(default).0f",
    )
    parser.add_argument(
        "-n",
        dest="workers",
        type=int,
        default=20,
        metavar="N",
        help="messages under way at once; default %(default)s",
    )
    parser.add_argument(
        "--per-host",
        type=int,
        default=5,
        metavar="N",
        help="of them to one host; default %(default)s",
    )
    for flag in ("-l", "-r"):
        parser.add_argument(flag, type=int, metavar="N", help="accepted, no effect")
    parser.add_root()
