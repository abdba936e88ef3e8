"""mailfs fs: serve mailboxes as files over 9P."""

import argparse
import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from pathlib import Path

from mailfs import where
from mailfs.cmd import background, door, logs, net, serving
from mailfs.cmd.args import Parser
from mailfs.cmd.keys import LoginKeys
from mailfs.cmd.opening import Opening
from mailfs.disk.descriptors import raise_limit
from mailfs.errors import EPERM, MailfsError, Refused, UsageError, reason
from mailfs.fs import plumb
from mailfs.fs.aname import KEYED
from mailfs.fs.biff import Biff
from mailfs.fs.outbox import post as outbox
from mailfs.fs.plumb import MOUNT
from mailfs.fs.root import attach
from mailfs.fs.users import Users, load
from mailfs.mailbox.driver import Place
from mailfs.mailboxes import listed, usual
from mailfs.mailboxes.registry import MailboxRegistry, ignored
from mailfs.mailboxes.scopedset import ScopedMailboxes
from mailfs.mailboxes.spec import named
from mailfs.p9.file import File
from mailfs.p9.srv import Server, run, serve

log = logging.getLogger(__name__)
SUMMARY = "serve mailboxes as files over 9P"

FAREWELL = 4.0  # seconds from a signal to the end
SWITCH = 50e-6  # seconds a thread may compute before the loop gets its turn again


def main(argv: list[str]) -> int:
    """Run the verb."""
    return begin(
        "fs",
        "Serve mailboxes as a tree of files over 9P, as upas/fs does.",
        "mailfs fs -f ~/Maildir -f lists=~/Mail/lists\n"
        "mailfs 9p read upasfs/mbox/1/subject",
        argv,
    )


def begin(verb: str, summary: str, example: str, argv: list[str]) -> int:
    """Serve as a verb's arguments say; ``serve`` has other doors open by default."""
    parser = Parser(
        verb,
        summary,
        example=example,
        files="$NAMESPACE/upasfs        the service\n"
        "ROOT/mail/box/$USER/     where ctl's relative mailbox names lie\n"
        "ROOT/mail/lib/ignore     headers that the file header leaves out\n"
        "ROOT/sys/lib/tls/        cert.pem and key of ours; clients/USER.pem: who may\n"
        "                         come by tls, known by these certificates\n"
        "$NAMESPACE/plumb         the plumber, if there is one\n"
        "$XDG_CACHE_HOME/mailfs   the indexes; may be removed",
    )
    parser.add_argument(
        "-f",
        dest="specs",
        metavar="[NAME=]MAILBOX",
        action="append",
        default=[],
        help="a mailbox to open, and what to call it; the first without a name is mbox",
    )
    parser.add_argument(
        "-n", dest="none", action="store_true", help="open no default mailbox"
    )
    parser.add_argument("--readonly", action="store_true", help="change no mailbox")
    parser.add_argument(
        "--no-trash",
        action="store_true",
        help="delete mail of local mailboxes for good; else it is kept for 30 days in "
        "mail/box/$USER/trash",
    )
    parser.add_argument("-d", dest="debug", action="store_true", help="log more")
    parser.add_argument(
        "-D", dest="trace", action="store_true", help="log every 9P message"
    )
    _add_telling(parser)
    background.add(parser)
    door.add(parser)
    everyone = verb == "serve"
    ports = "the usual ports" if everyone else "nowhere"
    serving.add_mail_doors(parser, ports)
    net.add(parser)
    parser.add_root()
    options = parser.parse_args(argv)
    if everyone and not (options.imap or options.pop3):
        ours = serving.certificate(options)
        options.imap = serving.usual(ours, 143, 993, 1000)
        options.pop3 = serving.usual(ours, 110, 995, 1000)
    logs.start(verb, logging.DEBUG if options.debug else logging.WARNING)
    if options.trace:
        logging.getLogger("mailfs.p9").setLevel(logging.INFO)
    root = where.root(options.root)
    options.verb = verb
    options.ready = background.begin(verb, root, background=options.background)
    keys = LoginKeys()
    remote = net.make(options, root, where.cache(), keys)
    raise_limit()
    trash = not options.no_trash
    place = Place(root, where.user(), options.readonly, remote, trash=trash)
    if options.users is not None:
        run(_serve_users(options, place))
        return 0
    specs = named(options.specs)
    if not specs and not options.none:
        specs = named(listed.read(root, place.user))
    if not specs and not options.none:
        specs = [("mbox", usual.mailbox(place))]
    run(_serve(options, _boxes(place), specs, keys))
    return 0


def _add_telling(parser: Parser) -> None:
    """Add the arguments about news and about several users."""
    parser.add_argument(
        "-p", dest="silent", action="store_true", help="do not tell the plumber of mail"
    )
    parser.add_argument(
        "-m",
        dest="mount",
        metavar="DIR",
        default=MOUNT,
        help="where the tree is mounted, as the plumber is told; default %(default)s",
    )
    parser.add_argument(
        "-b",
        dest="biff",
        action="store_true",
        help="print a line on standard error for each message that comes",
    )
    parser.add_argument(
        "--users",
        metavar="FILE",
        type=Path,
        help="serve each user in FILE the mailboxes listed there, and no other's; a "
        "line is user=NAME box=[NAME=]MAILBOX aname=ANAME",
    )


def _boxes(place: Place) -> MailboxRegistry:
    return MailboxRegistry(place, where.cache(), ignored(place.root))


async def _serve(
    options: argparse.Namespace,
    boxes: MailboxRegistry,
    specs: list[tuple[str, str]],
    keys: LoginKeys,
) -> None:
    """Serve our own mailboxes."""
    sys.setswitchinterval(SWITCH)
    ats = door.places(options)
    attaching = partial(attach, boxes)
    doors = door.doors(options, ats, attaching, several=False)
    server = Server(_nobody, trace=options.trace)
    telling: list[asyncio.Task[None]] = []
    if not boxes.place.readonly:
        outbox.post(boxes.place)  # sends what an earlier server was asked to
    try:
        # All at once, for some may be slow; listed in the order they were given.
        opening = Opening(options.verb, boxes, [name for name, _ in specs])
        telling.append(asyncio.ensure_future(opening.show()))

        async def one(name: str, path: str) -> OSError | MailfsError | None:
            try:
                return await boxes.serve(path, name)
            finally:
                opening.opened(name)

        with keys.starting(opening.line.clear):
            failed = await asyncio.gather(*(one(*spec) for spec in specs))
        boxes.arrange([name for name, _ in specs if boxes.get(name) is not None])
        _tell(specs, failed, boxes.place.user)
        tellers = _tellers(options, ats, boxes, opening.line.clear)
        telling += map(asyncio.ensure_future, tellers)
        for task in telling:
            task.add_done_callback(_ended)
        options.inbox = specs[0][1] if specs else None
        async with serving.mail_doors(options, boxes):
            ready = partial(_ready, opening.line.clear, options.ready)
            await serve(server, doors, ready, _end_in_time)
    finally:
        for task in telling:
            task.cancel()
        await asyncio.gather(*telling, return_exceptions=True)
        await asyncio.to_thread(outbox.settle)
        await boxes.close_all()
        keys.close()


def _tell(
    specs: Sequence[tuple[str, str]],
    failed: Sequence[OSError | MailfsError | None],
    user: str,
) -> None:
    """Tell which mailboxes cannot be opened as yet.

    Raises the first error if a person is there to read it and nothing else is served.
    """
    lines = []
    for (name, path), e in zip(specs, failed, strict=True):
        if e is not None:
            why = str(e) if isinstance(e, MailfsError) else reason(e)
            lines.append(f"{name} of {user} ({path}): {why}")
    if lines and len(lines) == len(specs) and sys.stderr.isatty():
        raise MailfsError(lines[0])
    for line in lines:
        log.warning("%s; tried again", line)


def _tellers(
    options: argparse.Namespace,
    ats: list[door.At],
    boxes: MailboxRegistry,
    clear: Callable[[], None],
) -> Iterator[Coroutine[None, None, None]]:
    """Give the tasks that tell people of mail; clear goes ahead of what is printed."""
    if options.biff:
        yield Biff(ScopedMailboxes(boxes), partial(_show, clear)).run()
    if not options.silent:
        # Where plan9port's clients are served, its plumber's receivers are too.
        is_keyed = any(at.bound.dialect == KEYED for at in ats)
        form = plumb.keyed() if is_keyed else plumb.upas(options.mount)
        address = where.dialstring(plumb.SERVICE)
        yield plumb.Plumbing(ScopedMailboxes(boxes), form, address).run()


def _ended(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (e := task.exception()) is not None:
        log.error("mail is no longer told: %s", e, exc_info=e)


def _ready(clear: Callable[[], None], ready: Callable[[], None]) -> None:
    """Leave an empty line on the terminal, which ready may leave for good."""
    clear()
    ready()


def _show(clear: Callable[[], None], line: str) -> None:
    clear()
    print(line, file=sys.stderr, flush=True)


def _end_in_time() -> None:
    """End the process in a while, whatever thread still waits for a server or a disk.

    No job loses mail by that: each has to outlive a crash at any moment.
    """
    timer = threading.Timer(FAREWELL, os._exit, (0,))
    timer.daemon = True
    timer.start()


def _nobody(uname: str, aname: str) -> File:
    """Refuse an attach: each door has its own way."""
    raise Refused(EPERM)


async def _serve_users(options: argparse.Namespace, place: Place) -> None:
    """Serve several users, each their own."""
    if options.specs or options.biff:
        raise UsageError("--users: the mailboxes are in the file; no -f, no -b")
    if options.imap or options.pop3:
        raise UsageError("--users: for 9P only; run imap4d and pop3 for each user")
    sys.setswitchinterval(SWITCH)
    users = Users(load(options.users), _boxes, place)
    ats = door.places(options)
    doors = door.doors(options, ats, users.attach, several=True)
    server = Server(_nobody, trace=options.trace)
    try:
        await serve(server, doors, options.ready, _end_in_time)
    finally:
        await asyncio.to_thread(outbox.settle)
        await users.close_all()
