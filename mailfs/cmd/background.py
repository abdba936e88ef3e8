"""Servers that return when they are ready: ``-B``, and systemd's Type=notify."""

import os
import socket
import sys
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError, reason
from mailfs.p9.dial import Starting

_READY = b"+"  # what the server writes to whoever waits for it

Ready = Callable[[], None]
"""Called once, when a server serves."""

# What tells clients of a verb that its server is on its way; set before it is loaded.
on_its_way: "ContextVar[Starting | None]" = ContextVar("on_its_way", default=None)


def add(parser: Parser) -> None:
    """Add the argument."""
    parser.add_argument(
        "-B",
        dest="background",
        action="store_true",
        help="return when ready, and go on in the background; what is logged from then "
        "on goes to ROOT/sys/log/VERB.err",
    )


def begin(verb: str, root: Path, *, background: bool) -> Ready:
    """Begin a server, before it has threads; call what is returned when it serves.

    With background this returns in another process; ours waits for it, and ends with
    its status, 0 once it is ready.  Until then errors and questions are on the
    terminal as ever.  Raises MailfsError if there cannot be another process.
    """
    if not background:
        return _tell
    log = _log(root / "sys" / "log" / f"{verb}.err")
    theirs, ours = os.pipe()
    try:
        child = os.fork()
    except OSError as e:
        raise MailfsError(f"cannot go into the background: {reason(e)}") from e
    if child:
        os.close(ours)
        _wait(child, theirs)
    os.close(theirs)

    def ready() -> None:
        _tell()
        _detach(log)
        os.write(ours, _READY)
        os.close(ours)

    return ready


def _log(path: Path) -> int:
    """Open a log, so that a missing directory is an error before the server starts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(path, flags, 0o600)


def _wait(child: int, pipe: int) -> None:
    """Wait until the server is ready or has ended, and exit as it did."""
    if os.read(pipe, 1) == _READY:
        sys.exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.exit(status if status >= 0 else 128 - status)


def _detach(log: int) -> None:
    """Leave the terminal: its signals, and standard input, output and error."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd, to in ((0, null), (1, null), (2, log)):
        os.dup2(to, fd)
    os.close(null)
    os.close(log)


def _tell() -> None:
    """Tell clients and systemd that we are ready."""
    starting = on_its_way.get()
    if starting is not None:
        starting.over()
    _notify()


def _notify() -> None:
    """Tell systemd, if it started us, that we are ready; sd_notify(3)."""
    address = os.environ.pop("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.connect(address.replace("@", "\0", 1))
            sock.sendall(b"READY=1")
        except OSError as e:
            print(f"NOTIFY_SOCKET: {reason(e)}", file=sys.stderr)
