"""mailfs fs: serve mailboxes as files over 9P."""

import asyncio
import logging
import os
import sys
from pathlib import Path

from mailfs import where
from mailfs.cmd import net
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError, UsageError
from mailfs.fs.boxes import Boxes, ignored
from mailfs.fs.root import attach
from mailfs.mbox.driver import Place
from mailfs.p9.auth import Auth
from mailfs.p9.srv import Server, run, serve

SUMMARY = "serve mailboxes as files over 9P"

SERVICE = "upasfs"
SWITCH = 50e-6  # seconds a thread may compute before the loop gets its turn again


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "fs",
        "Serve mailboxes as a tree of files over 9P, as upas/fs does.",
        example="mailfs fs -f ~/Maildir -f lists=~/Mail/lists\n"
        "mailfs 9p read upasfs/mbox/1/subject",
        files="$NAMESPACE/upasfs        the service\n"
        "ROOT/mail/box/$USER/     where ctl's relative mailbox names lie\n"
        "ROOT/mail/lib/ignore     headers that the file header leaves out\n"
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
        "-l",
        dest="addresses",
        metavar="ADDR",
        action="append",
        default=[],
        help="serve at unix!PATH, tcp!HOST!PORT or stdio; default $NAMESPACE/upasfs",
    )
    parser.add_argument(
        "-n", dest="none", action="store_true", help="open no default mailbox"
    )
    parser.add_argument("--readonly", action="store_true", help="change no mailbox")
    parser.add_argument("-d", dest="debug", action="store_true", help="log more")
    parser.add_argument(
        "-D", dest="trace", action="store_true", help="log every 9P message"
    )
    net.add(parser)
    parser.add_root()
    options = parser.parse_args(argv)
    start_log(debug=options.debug, trace=options.trace)
    root = where.root(options.root)
    remote = net.make(options, root, where.cache())
    place = Place(root, where.user(), options.readonly, remote)
    specs = [named(spec) for spec in options.specs]
    if not specs and not options.none:
        specs = [("mbox", default(place))]
    addresses = [where.dialstring(text) for text in options.addresses]
    if not addresses:
        addresses = [where.dialstring(SERVICE)]
    boxes = Boxes(place, where.cache(), ignored(root))
    auth = None if all(a.loopback for a in addresses) else _auth()
    server = Server(
        lambda uname, aname: attach(boxes, uname, aname),
        auth=auth,
        trace=options.trace,
    )
    run(_serve(boxes, names(specs), server, addresses))
    return 0


def _auth() -> Auth:
    """Return what proves who attaches by TCP: p9any, with the factotum's key.

    Raises MailfsError if there is no factotum to ask.
    """
    from mailfs.factotum.attach import authenticator
    from mailfs.factotum.client import Factotum

    try:
        Factotum().close()
    except MailfsError as e:
        raise MailfsError(
            f"serving other machines needs a factotum with a p9any key: {e}"
        ) from e
    return authenticator()


def start_log(*, debug: bool, trace: bool) -> None:
    """Log to standard error: warnings, and more if asked."""
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING,
        format="%(levelname).1s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    if trace:
        logging.getLogger("mailfs.p9").setLevel(logging.INFO)


def named(spec: str) -> tuple[str | None, str]:
    """Split ``name=SPEC``; what has a slash before the = is all path."""
    name, equals, path = spec.partition("=")
    if equals and name and "/" not in name:
        return name, os.path.expanduser(path)
    return None, spec


def names(specs: list[tuple[str | None, str]]) -> list[tuple[str, str]]:
    """Give each mailbox its name.  Raises UsageError if two would share one."""
    found: dict[str, str] = {}
    for given, path in specs:
        name = given
        if name is None:
            name = "mbox" if "mbox" not in found else Path(path).name
        if name in found:
            raise UsageError(f"{path}: mbox name in use: {name} (say NAME={path})")
        found[name] = path
    return list(found.items())


def default(place: Place) -> str:
    """Return the user's mailbox: the first that exists of the usual places.

    Raises MailfsError that names them if none does.
    """
    usual = [
        Path("/var/mail") / place.user,
        Path.home() / "Maildir",
        Path(where.box(place.root, "mbox", place.user)),
    ]
    for path in usual:
        if path.exists():
            return str(path)
    listed = ", ".join(map(str, usual))
    raise MailfsError(f"no mailbox: {listed}: none exists; name one with -f")


async def _serve(
    boxes: Boxes,
    specs: list[tuple[str, str]],
    server: Server,
    addresses: list[where.Address],
) -> None:
    sys.setswitchinterval(SWITCH)
    try:
        # All at once, for some may be slow; listed in the order they were given.
        await asyncio.gather(*(boxes.open(path, name) for name, path in specs))
        boxes.arrange([name for name, _ in specs])
        await serve(server, addresses)
    finally:
        await boxes.close_all()
