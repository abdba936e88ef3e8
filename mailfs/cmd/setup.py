"""mailfs setup: the mail warlock, which sets up an account by asking."""

import argparse
import os
import stat
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mailfs import where
from mailfs.cmd import tty
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError, UsageError
from mailfs.secret import Secret, no_core

if TYPE_CHECKING:
    from mailfs.setup.world import SetupWorld

SUMMARY = "set up an account by asking: the mail warlock"

# A password by its name in the conversation, and the beginning of its options.
PASSWORDS = {"imap": "", "smtp": "smtp-", "client": "client-", "secstore": "secstore-"}

WHOSE = {
    "imap": "the password",
    "smtp": "the one for sending, if it is another",
    "client": "the secret of --clientid",
    "secstore": "the secstore's password",
}


def main(argv: list[str]) -> int:
    """Run the verb."""
    options = _parse(argv)
    from mailfs.setup.person import NO, QUESTIONS, YES, Interview
    from mailfs.setup.warlock import Warlock

    no_core()
    given = {}
    for key in QUESTIONS:
        told = getattr(options, key)
        if told is not None:
            given[key] = {True: YES, False: NO}.get(told, told)
    person: Terminal | Nobody = Nobody() if options.yes else Terminal()
    interview = Interview(person, given, _passwords(options))
    warlock = Warlock(
        _world(where.root(options.root)), interview, options.overwrite, options.rehearse
    )
    try:
        return warlock.run()
    except KeyboardInterrupt:
        print("\ninterrupted; nothing is half written; run it again to go on")
        for line in warlock.done:
            print(f"done so far: {line}")
        raise


class Terminal:
    """A person at the terminal."""

    present = True
    _progress = ""  # what stands at the line's beginning

    def say(self, text: str) -> None:
        """Show lines."""
        self.progress("")
        print(text, flush=True)

    def progress(self, text: str) -> None:
        """Show a text in the place of the last, if a terminal can."""
        if sys.stdout.isatty() and (text or self._progress):
            print(f"\r{text:<{len(self._progress)}}", end="", flush=True)
            if not text:
                print("\r", end="", flush=True)
            self._progress = text

    def ask(self, prompt: str, default: str) -> str:
        """Ask for a line."""
        sys.stdout.flush()
        return tty.ask(prompt, default)

    def secret(self, prompt: str) -> Secret:
        """Ask for a line without echo."""
        return tty.password(prompt)


class Nobody:
    """Options are all there is."""

    present = False

    def say(self, text: str) -> None:
        """Show lines."""
        print(text, flush=True)

    def progress(self, text: str) -> None:
        """Show nothing: nobody looks."""

    def ask(self, prompt: str, default: str) -> str:
        """Have no answer."""
        raise UsageError(f"{prompt}: nobody is there to ask")

    def secret(self, prompt: str) -> Secret:
        """Have no answer."""
        raise UsageError(f"{prompt}: nobody is there to ask")


def _world(root: Path) -> "SetupWorld":
    from mailfs.factotum.fetch import fetcher
    from mailfs.setup import daemon
    from mailfs.setup.lookup import Lookup
    from mailfs.setup.srv import Srv
    from mailfs.setup.world import SetupWorld

    fetch = fetcher()
    near = "SSH_CONNECTION" not in os.environ and (
        sys.platform == "darwin"
        or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    )
    return SetupWorld(
        root,
        where.user(),
        Lookup(Srv(), fetch),
        fetch,
        daemon.unit_folder(),
        browse=webbrowser.open,
        near=near,
    )


def _passwords(options: argparse.Namespace) -> dict[str, Callable[[], Secret]]:
    """Make the reader of the passwords that options point at."""
    found: dict[str, Callable[[], Secret]] = {}
    for which, prefix in PASSWORDS.items():
        word = prefix.replace("-", "_")
        path = getattr(options, f"{word}password_file")
        fd = getattr(options, f"{word}password_fd")
        if path is not None and fd is not None:
            raise UsageError(f"--{prefix}password-file and -fd: one will do")
        if path is not None:
            found[which] = lambda path=path: _of_file(path)  # type: ignore[misc]
        elif fd is not None:
            found[which] = lambda fd=fd: _of_fd(fd)  # type: ignore[misc]
    return found


def _of_file(path: Path) -> Secret:
    with path.open("rb") as file:
        st = os.fstat(file.fileno())
        if stat.S_ISREG(st.st_mode) and st.st_mode & 0o077:
            raise MailfsError(f"{path}: others may read or write it: chmod 600 it")
        return _line(file.read(tty.MAX_PASSWORD + 2), str(path))


def _of_fd(fd: int) -> Secret:
    # Octet by octet: another password may come after it by the same descriptor.
    raw = b""
    while not raw.endswith(b"\n") and len(raw) <= tty.MAX_PASSWORD:
        octet = os.read(fd, 1)
        if not octet:
            break
        raw += octet
    return _line(raw, f"descriptor {fd}")


def _line(raw: bytes, name: str) -> Secret:
    line = raw.partition(b"\n")[0].removesuffix(b"\r")
    if len(line) > tty.MAX_PASSWORD:
        raise MailfsError(f"{name}: password over {tty.MAX_PASSWORD} octets")
    if not line:
        raise MailfsError(f"{name}: no password there")
    return Secret(line)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "setup",
        "Set up a mail account: ask who and where, log in to the servers, show their\n"
        "certificates, show what would be written and write it, start the servers,\n"
        "and send a mail to yourself to see it arrive.  An option answers a question\n"
        "beforehand.  It can be run again, for changes and for another account.",
        example="mailfs setup\n"
        "mailfs setup --address glenda@example.org\n"
        "mailfs setup --yes --address glenda@example.org --imap imap.example.org \\\n"
        "    --smtp smtp.example.org --password-file ~/.secret --no-test",
        files="ROOT/mail/box/$USER/mailboxes   what mailfs fs opens: [NAME=]MAILBOX\n"
        "ROOT/mail/box/$USER/factotum    keys, if they are kept in a file\n"
        "ROOT/mail/box/$USER/headers     From: Fcc:\n"
        "ROOT/mail/lib/rewrite, remotemail, names.local\n"
        "ROOT/lib/ndb/local              smtp= dom=\n"
        "ROOT/sys/lib/tls/mail, smtp     trusted certificates\n"
        "FILE.old                        what a file held before a line of it went\n"
        "~/.config/systemd/user          units, with --units",
    )
    _add_answers(parser)
    parser.add_argument(
        "-y", "--yes", action="store_true", help="ask nothing: what is usual will do"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="with -y: lines of files may go"
    )
    parser.add_argument(
        "-n",
        "--rehearse",
        action="store_true",
        help="log in and show what would be written, and write nothing",
    )
    parser.add_root(fill=False)
    return parser.parse_args(argv)


def _add_answers(parser: Parser) -> None:
    """Add an option for each question, and those that passwords come by."""
    from mailfs.setup.person import QUESTIONS

    for key, row in QUESTIONS.items():
        if row.metavar:
            parser.add_argument(
                row.option, dest=key, metavar=row.metavar, help=row.help
            )
        else:
            parser.add_argument(
                row.option,
                dest=key,
                action=argparse.BooleanOptionalAction,
                default=None,
                help=row.help,
            )
    for which, prefix in PASSWORDS.items():
        parser.add_argument(
            f"--{prefix}password-file",
            metavar="FILE",
            type=Path,
            help=f"whose first line is {WHOSE[which]}; nobody else may read it",
        )
        parser.add_argument(
            f"--{prefix}password-fd",
            metavar="N",
            type=int,
            help="or a descriptor to read that line from",
        )
