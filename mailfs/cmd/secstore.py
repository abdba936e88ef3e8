"""mailfs secstore: fetch, store, edit and remove files on a secstore server."""

import argparse
import io
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mailfs import where
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError, UsageError

if TYPE_CHECKING:
    from mailfs.secret import Secret
    from mailfs.secstore.client import Dial, SecstoreSession
    from mailfs.secstore.seal import SealFormat

SUMMARY = "fetch and store secrets"

# In the order Plan 9 does them.
JOBS = {
    "g": "fetch it into the current directory; . lists",
    "G": "fetch it to standard output",
    "p": "store a local file under its last name",
    "P": "store standard input under that name",
    "r": "remove it",
}
HOST = "secstore"  # where no server is named, as in Plan 9
TRIES = 3  # of a mistyped password
MIN_PASSWORD = 7  # octets of a new one


def main(argv: list[str]) -> int:
    """Run the verb."""
    options = _parse(argv)
    if options.change and (options.jobs or options.edit):
        raise UsageError("get, put, and remove invalid with password change")
    from mailfs.secstore.client import dial
    from mailfs.secstore.error import SecstoreRefused

    connect = dial(options.server or HOST)
    if not options.piped or not options.server:
        _reach(connect, options)
    if options.change:
        return _change(connect, options)
    if options.edit:
        return _edit(connect, options)
    with _login(connect, options) as session:
        for flag in JOBS:
            for name in getattr(options, flag):
                try:
                    _do(session, flag, name, options)
                except SecstoreRefused as e:  # the server does not say what it means
                    raise MailfsError(f"{name}: {e}") from e
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "secstore",
        "Fetch, store, edit and remove your files on a secstore server.  They are\n"
        "encrypted here; the server cannot read them.  -e keeps the clear text in\n"
        "memory (tmpfs), but an editor that writes copies, undo files or a history\n"
        "elsewhere takes it there; vim and neovim are told not to.",
        example="mailfs secstore -e factotum\n"
        "mailfs secstore -G factotum | mailfs 9p -a factotum write -l ctl\n"
        "mailfs secstore -g .          (lists them)",
        files="$secstore     the server, where -s names none",
    )
    add = parser.add_argument
    for flag, text in JOBS.items():
        add(f"-{flag}", action="append", default=[], metavar="FILE", help=text)
    add("-e", dest="edit", metavar="FILE", help="edit it in memory with $EDITOR")
    add("-c", dest="change", action="store_true", help="change the password")
    add("-i", dest="piped", action="store_true", help="password on standard input")
    add(
        "-s",
        dest="server",
        metavar="SERVER",
        default=os.environ.get("secstore"),  # noqa: SIM112  Plan 9's name
        help="tcp!HOST!PORT or a host; default $secstore, else the host secstore",
    )
    add("-u", dest="user", metavar="USER", default=where.user(), help="default: you")
    add("-v", dest="verbose", action="store_true", help="say more; a check word too")
    add(
        "--form",
        choices=("keep", "sealed", "plan9"),
        default="keep",
        help="how to store: sealed (AES-GCM under scrypt), plan9 (what Plan 9's"
        " programs read), or as it is on the server, sealed if it is new",
    )
    add("-9", dest="form", action="store_const", const="plan9", help="--form plan9")
    options = parser.parse_args(argv)
    options.jobs = any(getattr(options, flag) for flag in JOBS)
    return options


def _reach(connect: "Dial", options: argparse.Namespace) -> None:
    """Dial once, so that nobody types a password for a server that is not there.

    Raises SecstoreError, and MailfsError where no server was named either.
    """
    from mailfs.secstore.error import SecstoreError

    try:
        connect().close()
    except SecstoreError as e:
        if options.server:
            raise
        raise MailfsError(f"no server is named: set $secstore or use -s ({e})") from e


def _login(connect: "Dial", options: argparse.Namespace) -> "SecstoreSession":
    """Log in, asking again for a password that was mistyped."""
    from mailfs.cmd import tty
    from mailfs.secstore.client import login
    from mailfs.secstore.error import SecstoreRefused, WrongPassword

    def pin() -> "Secret":
        if options.piped:
            return tty.piped("PIN and token")
        return tty.password("STA PIN+SecureID: ")

    for attempt in range(TRIES):
        password = _password(options)
        try:
            session = login(connect, options.user, password, pin=pin)
        except WrongPassword as e:
            if options.piped or attempt == TRIES - 1:
                raise MailfsError(f"{options.user}: {e}") from e
            print("password mistyped?", file=sys.stderr)
            continue
        except SecstoreRefused as e:
            raise MailfsError(f"{options.user}: {e}") from e
        options.password = password
        print(f"server: {session.server}", file=sys.stderr)
        if options.verbose:
            print(session.word, file=sys.stderr)
        return session
    raise AssertionError


def _password(options: argparse.Namespace) -> "Secret":
    from mailfs.cmd import tty

    known: Secret | None = getattr(options, "password", None)
    if known is not None:
        return known
    prompt = "secstore password: "
    password = tty.piped() if options.piped else tty.password(prompt)
    if not password:
        raise MailfsError("no password")
    return password


def _do(
    session: "SecstoreSession", flag: str, name: str, options: argparse.Namespace
) -> None:
    if options.verbose:
        print(f"{flag} {name}", file=sys.stderr)
    if flag in "gG" and name == ".":
        _list(session)
    elif flag == "g":
        from mailfs.disk.replace import replace

        replace(Path(name), session.get(name))
    elif flag == "G":
        # A line a write, as factotum's ctl wants them.
        for line in io.BytesIO(session.get(name)):  # a newline alone ends one
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
    elif flag == "r":
        session.remove(name)
    else:
        from mailfs.secstore.shelf import MAX_FILE

        if flag == "p":
            with open(name, "rb") as f:
                data = f.read(MAX_FILE + 1)
        else:
            data = sys.stdin.buffer.read(MAX_FILE + 1)
        target = Path(name).name
        session.put(target, data, _form(session, target, options.form))
        print(f"saved {len(data)} bytes", file=sys.stderr)


def _list(session: "SecstoreSession") -> None:
    from mailfs.secstore.shelf import listing

    print(listing(session.list()), end="")


def _form(session: "SecstoreSession", name: str, wanted: str) -> "SealFormat":
    """Choose the form to store in; a stored file keeps its own, if it is proven."""
    from mailfs.secstore.seal import SealFormat, Unreadable

    if wanted != "keep":
        return SealFormat(wanted)
    try:
        return session.read(name)[0] if session.has(name) else SealFormat.SEALED
    except Unreadable:
        return SealFormat.SEALED


def _change(connect: "Dial", options: argparse.Namespace) -> int:
    from mailfs.cmd import tty
    from mailfs.secstore.client import change

    _login(connect, options).close()  # before anybody thinks up a new one
    new = tty.piped("new password") if options.piped else _new(options.user)
    if len(new.reveal()) < MIN_PASSWORD:
        raise MailfsError(f"password must be at least {MIN_PASSWORD} characters")

    def tell(name: str) -> None:
        print(f"reencrypting '{name}'", file=sys.stderr)

    change(connect, options.user, options.password, new, tell=tell)
    return 0


def _new(user: str) -> "Secret":
    from mailfs.cmd import tty

    new = tty.password(f"new password for {user}: ")
    if not new:
        raise MailfsError("password change aborted")
    if tty.password("retype password: ") != new:
        raise MailfsError("passwords didn't match")
    return new


def _edit(connect: "Dial", options: argparse.Namespace) -> int:
    from mailfs.cmd import tty
    from mailfs.secstore import edit

    name = options.edit
    memory = edit.memory_folder()
    if edit.swapping():
        print("warning: this machine may swap memory to a disk", file=sys.stderr)
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "ed"
    with _login(connect, options) as session:
        old = session.get(name) if session.has(name) else b""
    new = edit.edit(old, name, shlex.split(command), memory)
    if new == old:
        print("no change", file=sys.stderr)
        return 0
    while True:
        try:
            _store(connect, options, old, new)
        except (MailfsError, OSError) as e:
            print(f"mailfs secstore: {name}: {e}", file=sys.stderr)
            if options.piped or not tty.yes(f"{name} is not stored; try again?"):
                raise
        else:
            print(f"saved {len(new)} bytes", file=sys.stderr)
            return 0


def _store(
    connect: "Dial", options: argparse.Namespace, old: bytes, new: bytes
) -> None:
    """Store the edited text, unless somebody else has stored meanwhile."""
    name = options.edit
    with _login(connect, options) as session:
        present = session.get(name) if session.has(name) else b""
        if present != old:
            raise MailfsError("changed on the server meanwhile")
        session.put(name, new, _form(session, name, options.form))
