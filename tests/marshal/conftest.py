"""A root of one's own, with rules that deliver to its users."""

import os
from pathlib import Path

import pytest

from mailfs.site import site as sites
from mailfs.site.site import Site

NOW = 1795351500.0  # Sun, 22 Nov 2026 12:45:00 UTC
# Users here have a mailbox; whoever is at out.example goes to a program.
RULES = r"""
[^!@.]+            >>  /mail/box/\0/mbox
([^@]+)@here       >>  /mail/box/\1/mbox
([^@]+)@out.example  |  "{out}" "'\1'"
"""
OUT = """#!/bin/sh
# keeps what it is given, and the addresses
{{ echo "$@"; cat; }} >>{kept}
case "$*" in *later*) echo busy >&2; exit 75;; esac
"""


class World:
    """A root, its files, and what was sent out of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.user = "glenda"
        self.box = root / "mail/box/glenda"
        self.kept = root / "kept"

    def site(self, **env: str) -> Site:
        """Return the site of the user, at a time that stands still."""
        env = {"site": "gnot.example.com", "PATH": os.environ["PATH"]} | env
        return sites.here(self.root, self.user, env, lambda: NOW)

    def write(self, name: str, text: str, mode: int = 0o600) -> Path:
        """Write a file of the mail directory."""
        path = self.box / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def mail(self, box: str = "mbox", user: str = "glenda") -> list[str]:
        """Return the messages of an mdir, without their From_ lines."""
        files = sorted((self.root / "mail/box" / user / box).glob("[0-9]*.*"))
        return [path.read_text().partition("\n")[2] for path in files]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make a root with glenda and bob, who have mail directories."""
    made = World(tmp_path / "root")
    for user in ("glenda", "bob"):
        (made.root / "mail/box" / user).mkdir(parents=True)
    out = tmp_path / "out"
    out.write_text(OUT.format(kept=made.kept))
    out.chmod(0o755)
    (made.root / "mail/lib").mkdir(parents=True)
    (made.root / "mail/lib/rewrite").write_text(RULES.replace("{out}", str(out)))
    return made
