"""A root to send in: rules, users, a clock that stands still."""

import os
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers import open_store
from mailfs.ndb import install, shipped
from mailfs.ndb.db import open_ndb
from mailfs.ndb.sysname import SystemNames
from mailfs.send import mail, submit
from mailfs.send.result import Result
from mailfs.site.log import SysLog
from mailfs.site.site import Site
from tests.mailbox.bench import everything

NOW = 1795351508  # Sun Nov 22 12:45:08 GMT 2026
DATE = "Sun Nov 22 12:45:08 +0000 2026"
ALIASES = "postmaster glenda\nteam glenda bob x@y.com\n"

# Takes what qmail takes; leaves its arguments and the message in a folder.
RECORDER = """#!/bin/sh
n=$(ls "$MAILFS_ROOT/taken" | grep -c args)
for word; do printf '%s\\n' "$word"; done >"$MAILFS_ROOT/taken/$n.args"
cat >"$MAILFS_ROOT/taken/$n.mail"
"""

PIPETO = """#!/bin/sh
printf '%s\\n' "$upasname" "$1" "$2" >"$MAILFS_ROOT/args"
cat >"$MAILFS_ROOT/message"
echo "no thanks
really" >&2
exit $(cat "$MAILFS_ROOT/status")
"""


class World:
    """An installed root with the users glenda and bob, called kremvax."""

    def __init__(self, folder: Path, *, user: str = "glenda") -> None:
        self.root = folder / "root"
        self.user = user
        self.env: dict[str, str] = {"PATH": os.environ["PATH"], "site": "kremvax"}
        install.install(self.root, user)
        for name in ("glenda", "bob"):
            self.box(name).mkdir(exist_ok=True)
        (self.root / "taken").mkdir()
        self.lib("names.local", ALIASES)
        self.rules()
        self.lib("qmail", RECORDER, program=True)
        remote = shipped.path("remotemail").read_text()
        remote = remote.replace("-h yourdomain.dom ", "-h kremvax.org ")
        self.lib("remotemail", remote, program=True)

    def box(self, user: str) -> Path:
        return self.root / "mail" / "box" / user

    def lib(self, name: str, text: str, *, program: bool = False) -> Path:
        return self.write(self.root / "mail" / "lib" / name, text, program=program)

    def write(self, path: Path, text: str, *, program: bool = False) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755 if program else 0o644)
        return path

    def rules(self, first: str = "") -> None:
        """Use the direct rules, after those given."""
        direct = shipped.path("rewrite.direct").read_text()
        self.lib("rewrite", first + direct.replace(r"YOURDOMAIN\.DOM", r"kremvax\.org"))

    @property
    def site(self) -> Site:
        numbers = count()
        names = SystemNames(self.env.get("site", "kremvax"), "kremvax")
        return Site(
            self.root,
            self.user,
            open_ndb(self.root),
            names,
            SysLog(self.root, "kremvax", lambda: NOW),
            self.env,
            clock=lambda: NOW,
            local=lambda _: 0,
            random=lambda n: next(numbers).to_bytes(n),
        )

    def send(
        self,
        recipients: Sequence[str],
        message: bytes = b"Subject: hi\n\nhello\n",
        *,
        sender: str | None = None,
        relayed: bool = False,
        to_line: bool = True,
    ) -> list[Result]:
        site = self.site
        letter = mail.read(site, message, sender, relayed=relayed)
        rules = submit.load_rules(site)
        return submit.send(
            site, rules, recipients, letter, relayed=relayed, to_line=to_line
        )

    def mailbox(self, user: str, name: str = "mbox") -> list[bytes]:
        """Return the messages in a mailbox, none if it is not there."""
        path = self.box(user) / name
        if not path.exists():
            return []
        driver = open_store(str(path), Place(self.root, user))
        try:
            return everything(driver.list())
        finally:
            driver.close()

    def taken(self) -> list[tuple[list[str], bytes]]:
        """Return (arguments, message) of each call of the recorder, in order."""
        folder = self.root / "taken"
        return [
            (
                (folder / f"{n}.args").read_text().splitlines(),
                (folder / f"{n}.mail").read_bytes(),
            )
            for n in range(len(list(folder.iterdir())) // 2)
        ]

    def log(self, name: str = "mail") -> list[str]:
        return (self.root / "sys" / "log" / name).read_text().splitlines()


def fates(results: Iterable[Result]) -> list[tuple[str, str, str]]:
    return [(r.recipient, r.address, r.text or r.state.value) for r in results]
