"""mailfs mount: have a 9P server's tree on a directory, by FUSE."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mailfs import where
from mailfs.cmd import p9
from mailfs.cmd.args import Parser, why
from mailfs.errors import MailfsError, UsageError

if TYPE_CHECKING:
    from mailfs.fuse.upstream import Dial

SUMMARY = "mount a 9P server on a directory, by FUSE"

SERVICE = "upasfs"
ANAME = "upas/all"  # what upas/fs does not have is listed too
WAITING = frozenset({b"event"})  # their readers wait; grep -r must not be one
QUERIES = frozenset({b"search"})  # mbox/*/subject must not make subject a query
START_SECONDS = 2.0  # that a server just started may take to make its socket
POLL = 0.05  # seconds between looks whether it has

Ready = Callable[[], None]


def main(argv: list[str]) -> int:
    """Run the verb."""
    options = _parse(argv)
    from mailfs.fuse import mountpoint

    lack = mountpoint.missing()
    if lack is not None:
        raise MailfsError(lack)
    directory = Path(options.directory).absolute()
    made = not os.path.lexists(directory)
    if made:
        directory.mkdir()
    elif not directory.is_dir():
        raise MailfsError(f"{options.directory}: not a directory")
    if directory.is_mount():
        raise MailfsError(f"{options.directory}: something is mounted there already")

    def work(ready: Ready) -> int:
        try:
            return _run(options, directory, ready)
        finally:
            if made:
                with suppress(OSError):
                    directory.rmdir()

    return work(lambda: None) if options.foreground else _background(work)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "mount",
        "Mount a 9P server on a directory, and return when it is mounted.  A missing\n"
        "directory is made, and removed at the end.  The mount ends when it is\n"
        "unmounted or killed; without its server all is an i/o error until that is\n"
        "back.",
        example="mailfs mount --readonly ~/mail             (nothing can be changed)\n"
        "mailfs mount ~/mail\n"
        "mailfs mount --start ~/Maildir ~/mail      (needs no server)\n"
        "mailfs mount -a 'tcp!example.org!564' -A '' /mnt\n"
        "rm -r ~/mail/mbox/3                        (deletes message 3)\n"
        "fusermount3 -u ~/mail",
        files="$NAMESPACE/upasfs      the service mounted by default\n"
        "DIR/error              what the server has refused of late\n"
        "/dev/fuse              and fusermount3, of Debian's package fuse3\n"
        "ROOT/sys/lib/tls/9fs   thumbprints of the servers dialled by TLS",
    )
    parser.add_argument(
        "-a",
        dest="address",
        metavar="ADDR",
        help="mount the server at unix!PATH, tcp!HOST!PORT, tls!HOST!PORT or a service",
    )
    parser.add_argument(
        "-A",
        dest="aname",
        metavar="ANAME",
        help=f"attach to that tree; default {ANAME}, if the server knows it",
    )
    parser.add_argument(
        "-f", dest="foreground", action="store_true", help="stay in the foreground"
    )
    parser.add_argument(
        "--start",
        dest="specs",
        metavar="[NAME=]MAILBOX",
        action="append",
        default=[],
        help="start a server of this mailbox for the mount alone; may be repeated",
    )
    parser.add_argument(
        "--readonly", action="store_true", help="let nobody change anything through it"
    )
    parser.add_argument(
        "-u", metavar="USER", dest="uname", help="attach as USER; default: who we are"
    )
    p9.add_cert(parser)
    parser.add_argument("directory", metavar="DIR")
    options = parser.parse_args(argv)
    if options.specs and options.address is not None:
        raise UsageError("-a and --start exclude each other")
    return options


def _run(options: argparse.Namespace, directory: Path, ready: Ready) -> int:
    """Mount, in this process, until it ends; return the exit status."""
    if options.specs:
        return _with_server(options, directory, ready)
    from mailfs.p9 import mux
    from mailfs.p9.dial import dial
    from mailfs.p9.srv import run

    if options.address is None:
        address = where.dialstring(SERVICE)
    else:
        address = p9.address(options.address)
    dialled = p9.dialler(options) if address.net == "tls" else dial

    async def serve() -> None:
        present = await asyncio.to_thread(_present, address)
        if not present and options.address is None:
            raise MailfsError("no mail server runs: mailfs fs &")
        proving = address.net != "unix"
        line = partial(mux.connect, address, dialled)
        await _mount(line, options, directory, ready, proving=proving)

    run(serve())
    return 0


def _present(address: where.DialString) -> bool:
    """Wait a little for the socket of a server that is just being started.

    Return whether it is there; anything but a Unix socket is taken to be.
    """
    end = time.monotonic() + START_SECONDS
    while address.net == "unix" and not os.path.exists(address.host):
        if time.monotonic() > end:
            return False
        time.sleep(POLL)
    return True


def _with_server(options: argparse.Namespace, directory: Path, ready: Ready) -> int:
    """Mount a server of our own, which ends with the mount; return the exit status."""
    from mailfs.fuse.private import PrivateServer
    from mailfs.p9.srv import run

    server = PrivateServer(options.specs, readonly=options.readonly)
    try:
        run(_mount(server.dial, options, directory, ready, proving=False))
    except MailfsError:
        if server.end() <= 0:
            raise
        return 1  # it has said why
    return server.end()


async def _mount(
    dial: "Dial",
    options: argparse.Namespace,
    directory: Path,
    ready: Ready,
    *,
    proving: bool,
) -> None:
    from mailfs.fuse.serve import mount
    from mailfs.fuse.upstream import Attach, Upstream

    anames = (ANAME, "") if options.aname is None else (options.aname,)
    prove = p9.prove if proving else None
    attach = Attach(options.uname or where.user(), anames, prove, WAITING, QUERIES)
    upstream = Upstream(dial, attach)
    await mount(upstream, directory, ready, readonly=options.readonly)


def _background(run: Callable[[Ready], int]) -> int:
    """Run in a process of its own; return when it is ready, or has failed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            if pipe.read(1):
                return 0
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or 1
    os.close(reader)
    status = 1
    try:
        os.setsid()
        status = run(lambda: _detach(writer))
    except (MailfsError, OSError) as e:
        print(f"mailfs mount: {why(e)}", file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(status)


def _detach(pipe: int) -> None:
    """Let go of the terminal, and tell that all is well."""
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.close(null)
    os.write(pipe, b"+")
    os.close(pipe)
