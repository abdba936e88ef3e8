"""mailfs secstored: keep people's encrypted files."""

import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from mailfs import where
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError, UsageError
from mailfs.secret import no_core

SUMMARY = "serve secrets"

FOLDER = "adm/secstore"


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "secstored",
        "Serve the files of people who have an account (see mailfs secuser); they are\n"
        "encrypted by their owners.  Runs in the foreground.",
        example="mailfs secuser glenda\nmailfs secstored -s 'tcp!*!5356'",
        files="adm/secstore/who/*       below the root: accounts\n"
        "adm/secstore/store/*/*   what they store",
    )
    add = parser.add_argument
    add("-d", metavar="DIR", help=f"where files lie; default {FOLDER} below the root")
    add("-s", default="tcp!*!5356", metavar="ADDR", help="default %(default)s")
    add("-S", metavar="NAME", help="what the server calls itself; default: its host")
    add("-v", action="store_true", help="log more")
    add("-x", metavar="NET", help="for old command lines; there is one network here")
    add("-R", action="store_true", help="refused: tokens cannot be checked here")
    parser.add_root()
    options = parser.parse_args(argv)
    if options.R:
        raise UsageError("-R: this server cannot check tokens")
    no_core()
    from mailfs.secstore.account import Accounts
    from mailfs.secstore.server import SecstoreServer

    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if options.v else logging.INFO,
        format="%(asctime)s secstore: %(message)s",
    )
    root = Path(options.d) if options.d else where.root(options.root) / FOLDER
    Accounts(root).make()
    server = SecstoreServer(root, options.S or socket.gethostname())
    with _listen(options.s) as listener, _signals() as wake:
        host, port = listener.getsockname()[:2]
        logging.info("ANNOUNCE tcp!%s!%s", host, port)
        server.serve(listener, wake)
    return 0


def _listen(address: str) -> socket.socket:
    net, _, rest = address.partition("!")
    host, _, port = rest.rpartition("!")
    if port == "secstore":
        port = "5356"
    if net != "tcp" or not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{address}: not an address: want tcp!HOST!PORT")
    any_host = host == "*"
    both = any_host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both or ":" in host else socket.AF_INET
    try:
        return socket.create_server(
            ("" if any_host else host, int(port)),
            family=family,
            dualstack_ipv6=both,
        )
    except OSError as e:
        raise MailfsError(f"{address}: {e.strerror or e}".lower()) from e


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """Give a socket that can be read once we should end.

    A handler alone would wait for accept to return, if the signal came just before it.
    """
    wake, told = socket.socketpair()
    with wake, told:
        told.setblocking(False)
        signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _noted)
        try:
            yield wake
        finally:
            signal.set_wakeup_fd(-1)


def _noted(number: int, frame: FrameType | None) -> None:
    """Do nothing more than the interpreter, which writes to the wakeup descriptor."""
