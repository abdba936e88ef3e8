"""mailfs passwd: let a user log in to the mail servers."""

import argparse
import os
import sys
from typing import TYPE_CHECKING

from mailfs import where
from mailfs.attr import Attr, Attrs, lines, show
from mailfs.cmd import tty
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError, UsageError

if TYPE_CHECKING:
    from mailfs.factotum.client import Factotum
    from mailfs.factotum.keyfile import KeyFile
    from mailfs.secret import Secret

SUMMARY = "let a user log in to the mail servers"

MAX_NAME = 255  # octets of a user or program


def main(argv: list[str]) -> int:
    """Run the verb."""
    options = _parse(argv)
    from mailfs.factotum import account
    from mailfs.factotum.keyfile import KeyFile, path

    file = None
    if not options.memory:
        file = KeyFile(path(where.root(options.root), where.user()))
    agent = _agent(needed=file is None)
    listed = _listed(file, agent)
    if options.delete:
        _delete(options, file, agent, listed)
        return 0
    password = _password(options)
    salt = account.salt_of(listed, options.user)
    salt = salt or account.Salt(os.urandom(account.SALT))
    app = options.app or account.MAIN
    made = account.verifiers(options.user, app, password, salt)
    _replace(file, agent, account.patterns(options.user, app), made)
    if options.invent:
        print(password.text())
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "passwd",
        "Set the password of a user of our mail servers (smtpd, imap4d, pop3).  It is\n"
        "kept as SCRAM verifiers, from which nobody can read it; each --app adds one\n"
        "more, for one program or device, which can be taken back by itself.",
        example="mailfs passwd glenda\n"
        "mailfs passwd glenda --app phone --invent\n"
        "mailfs passwd glenda -d --app phone",
        files="ROOT/mail/box/$USER/factotum   your key file, where they are kept\n"
        "$NAMESPACE/factotum            told at once, if it runs",
    )
    parser.add_argument("user", metavar="USER")
    parser.add_argument(
        "-d",
        dest="delete",
        action="store_true",
        help="take back the password of --app, or all of the user's",
    )
    parser.add_argument("--app", metavar="NAME", help="of one program or device alone")
    parser.add_argument(
        "-i", dest="piped", action="store_true", help="password on standard input"
    )
    parser.add_argument(
        "--invent", action="store_true", help="make up a password and print it"
    )
    parser.add_argument(
        "-m",
        dest="memory",
        action="store_true",
        help="tell the factotum that runs, and write no file",
    )
    parser.add_root()
    options = parser.parse_args(argv)
    for what in (options.user, options.app):
        if what is not None and not _is_name(what):
            raise UsageError(f"{what}: not a name")
    if options.piped and options.invent:
        raise UsageError("-i and --invent: which of them?")
    return options


def _is_name(text: str) -> bool:
    return 0 < len(text.encode(errors="replace")) <= MAX_NAME and text.isprintable()


def _agent(*, needed: bool) -> "Factotum | None":
    """Dial the factotum; None if none runs.  Raises NoFactotum if one is needed."""
    from mailfs.factotum.client import Factotum, NoFactotum

    try:
        return Factotum().reach()
    except NoFactotum:
        if needed:
            raise
        return None


def _listed(file: "KeyFile | None", agent: "Factotum | None") -> list[Attrs]:
    """List the public attributes of all keys, in the file and in the factotum."""
    from mailfs.factotum import keeper

    found = list(agent.keys()) if agent is not None else []
    if file is not None:
        for line in lines(file.load()):
            for key in keeper.keys_of(line):
                secret = tuple(Attr(name, None) for name, _ in key.private)
                found.append((*key.public, *secret))
    return found


def _password(options: argparse.Namespace) -> "Secret":
    from mailfs.factotum import account

    if options.invent:
        return account.invented(os.urandom)
    if options.piped:
        return tty.piped()
    new = tty.password(f"new password for {options.user}: ")
    if not new:
        raise MailfsError("password change aborted")
    if tty.password("retype password: ") != new:
        raise MailfsError("passwords didn't match")
    return new


def _replace(
    file: "KeyFile | None",
    agent: "Factotum | None",
    old: list[Attrs],
    new: "list[Secret]",
) -> bool:
    """Put new keys in the place of those that templates match, in file and agent.

    True if there were any.
    """
    from mailfs.factotum import keeper

    had = False

    def changed(text: str) -> str:
        nonlocal had
        rest = text
        for pattern in old:
            rest = keeper.drop(rest, pattern)
        had = rest != text
        if rest and not rest.endswith("\n"):
            rest += "\n"
        return rest + "".join(f"{line.text()}\n" for line in new)

    if file is not None:
        file.change(changed)
    if agent is not None:
        for pattern in old:
            try:
                agent.control(f"delkey {show(pattern)}")
            except MailfsError as e:
                if "found no keys" not in str(e):
                    raise
            else:
                had = True
        for line in new:
            agent.control(line.text())
    return had


def _delete(
    options: argparse.Namespace,
    file: "KeyFile | None",
    agent: "Factotum | None",
    listed: list[Attrs],
) -> None:
    from mailfs.factotum import account

    named = f"{options.user}" + (f" for {options.app}" if options.app else "")
    if not _replace(file, agent, account.patterns(options.user, options.app), []):
        raise MailfsError(f"{named}: no such password")
    left = account.others(listed, options.user)
    if left and not options.app:
        names = ", ".join(left)
        text = f"{options.user} still has keys of {names}: mailfs 9p read factotum/ctl"
        print(f"mailfs passwd: {text}", file=sys.stderr)
