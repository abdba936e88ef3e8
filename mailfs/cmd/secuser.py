"""mailfs secuser: make or change an account of the secstore server."""

import datetime
import secrets
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mailfs import where
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError, UsageError

if TYPE_CHECKING:
    from mailfs.secret import Secret
    from mailfs.secstore.account import Account

SUMMARY = "make or change an account of secstored"

FOLDER = "adm/secstore"
YEAR = 365 * 24 * 3600  # seconds a new account lasts
MIN_PASSWORD = 7  # octets
MAX_PLAN9 = 63  # octets of a password that Plan 9's clients take
MAX_COMMENT = 72  # characters


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "secuser",
        "Make an account of the secstore server on this machine, or change one.",
        example="mailfs secuser glenda\n"
        "mailfs secuser -9 glenda      (Plan 9's clients can log in too)",
        files="adm/secstore/who/*       below the root: accounts",
    )
    add = parser.add_argument
    add("id", metavar="USER")
    add("-9", dest="plan9", action="store_true", help="for Plan 9's clients too: the"
        " server's files then give a thief the password sooner")  # fmt: skip
    add("--stretched", action="store_true", help="not for Plan 9's clients: what a new"
        " account is; an old one stays as it was")  # fmt: skip
    add("-i", dest="piped", action="store_true", help="password on standard input;"
        " everything else as it is, or the default")  # fmt: skip
    add("-d", metavar="DIR", help=f"where files lie; default {FOLDER} below the root")
    add("-v", action="store_true", help="say more")
    parser.add_root()
    options = parser.parse_args(argv)
    from mailfs.secstore.account import Accounts, good_id

    root = Path(options.d) if options.d else where.root(options.root) / FOLDER
    accounts = Accounts(root)
    if not good_id(options.id):
        raise UsageError(f"{options.id!r}: not a name for an account")
    accounts.make()
    old = accounts.read(options.id) if accounts.exists(options.id) else None
    if old is None:
        print(f"new account {options.id}", file=sys.stderr)
    plan9 = options.plan9 or (old is not None and old.stretch is None)
    plan9 = plan9 and not options.stretched
    account = _secret(options.id, old, plan9=plan9, piped=options.piped)
    if old is None:
        account = replace(account, expires=int(time.time()) + YEAR)
    if not options.piped:
        account = _ask(account)
    accounts.write(replace(account, failed=0))
    accounts.files(options.id).mkdir(mode=0o700, exist_ok=True)
    print("change written")
    return 0


def _secret(user: str, old: "Account | None", *, plan9: bool, piped: bool) -> "Account":
    """Return the account with a verifier of the password that is typed."""
    from mailfs.secstore import pak
    from mailfs.secstore.account import Account
    from mailfs.secstore.kdf import SALT, Cost, Stretch

    password = _password(user, old, piped=piped)
    if password is None:
        assert old is not None
        return old
    size = len(password.reveal())
    if size < MIN_PASSWORD:
        raise MailfsError(f"password must be at least {MIN_PASSWORD} characters")
    if plan9 and size > MAX_PLAN9:
        raise MailfsError(f"password over {MAX_PLAN9} octets")
    name = user.encode()
    kind = None if plan9 else Stretch(Cost(), secrets.token_bytes(SALT))
    inner = password if kind is None else kind.password(name, password)
    _, hi = pak.verifier(name, inner)
    if old is None:
        return Account(user, hi, stretch=kind)
    return replace(old, hi=hi, stretch=kind)


def _password(user: str, old: "Account | None", *, piped: bool) -> "Secret | None":
    """Ask for a password; None if the existing one is to stay."""
    from mailfs.cmd import tty

    if piped:
        return tty.piped()
    hint = "" if old is None else " [default = don't change]"
    password = tty.password(f"{user} password{hint}: ")
    if old is not None and not password:
        return None
    if tty.password("retype password: ") != password:
        raise MailfsError("passwords didn't match")
    return password


def _ask(account: "Account") -> "Account":
    from mailfs.cmd import tty

    while True:
        text = tty.ask(f"expires [DDMMYYYY, default = {_date(account.expires)}]: ")
        try:
            expires = _seconds(text) if text else account.expires
            break
        except ValueError:
            print(f"!bad date format: {text!r}", file=sys.stderr)
    state = "Enabled" if account.enabled else "Disabled"
    answer = tty.ask(f"Enabled or Disabled [default {state}]: ", state)
    enabled = answer.lower().startswith("e")
    other = tty.ask(f"comments [default = {account.other}]: ", account.other)
    comment = "".join(c for c in other if c.isprintable())[:MAX_COMMENT]
    return replace(account, expires=expires, enabled=enabled, other=comment)


def _date(seconds: int) -> str:
    return time.strftime("%d%m%Y", time.localtime(seconds)) if seconds else "never"


def _seconds(text: str) -> int:
    """Return the last second of a day, local time; 0 for never."""
    if text == "never":
        return 0
    if len(text) != 8 or not text.isdecimal():
        raise ValueError(text)
    day = datetime.date(int(text[4:]), int(text[2:4]), int(text[:2]))
    end = datetime.datetime.combine(day, datetime.time(23, 59, 59))
    return max(int(end.timestamp()), 1)
