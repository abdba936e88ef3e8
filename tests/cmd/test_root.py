"""A new root: what people write into is there after the first verb that names it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mailfs import where
from mailfs.ndb import install

WRITTEN = (
    "sys/lib/tls",
    "sys/log",
    "mail/lib",
    "mail/tmp",
    "mail/queue",
    "mail/box/USER",
    "lib/ndb",
)
VERBS = [
    ["fs", "-n", "-l", "stdio"],
    ["trust", "imaps", "tcp!127.0.0.1!1"],
    ["send", "-x", "glenda"],
    ["marshal", "-x", "glenda"],
    ["aliasmail", "glenda"],
    ["runq"],
    ["queue"],
    ["ndbquery", "sys", "x"],
    ["smtp", "-f", "net!x", "a@b.c", "d@e.f"],
]


def mailfs(root: Path, *argv: str) -> "subprocess.CompletedProcess[bytes]":
    env = {**os.environ, "MAILFS_ROOT": str(root), "NAMESPACE": f"{root}.ns"}
    words = [sys.executable, "-P", "-m", "mailfs", *argv]
    return subprocess.run(
        words, env=env, input=b"", capture_output=True, check=False, timeout=60
    )


@pytest.mark.parametrize("argv", VERBS, ids=lambda argv: argv[0])
def test_a_new_root_has_what_the_page_writes_to(
    tmp_path: Path, argv: list[str]
) -> None:
    root = tmp_path / "new"
    mailfs(root, *argv)
    for name in WRITTEN:
        assert (root / name.replace("USER", where.user())).is_dir(), name
    assert (root / "mail/tmp").stat().st_mode & 0o7777 == 0o1777
    assert (root / f"mail/box/{where.user()}").stat().st_mode & 0o7777 == 0o700
    assert (root / "mail/lib/rewrite").read_bytes() == b""
    (root / "sys/lib/tls/mail").write_text("x509 sha1=00\n")


@pytest.mark.parametrize("argv", [["doctor", "-q"], ["send", "--help"], ["send", "-?"]])
def test_who_only_looks_makes_nothing(tmp_path: Path, argv: list[str]) -> None:
    root = tmp_path / "new"
    mailfs(root, *argv)
    assert not root.exists()


def test_directories_come_back_and_files_do_not(tmp_path: Path) -> None:
    assert install.install(tmp_path, "glenda")
    (tmp_path / "sys/lib/tls").rmdir()
    (tmp_path / "mail/lib/ignore").unlink()
    (tmp_path / "mail/tmp").chmod(0o700)
    assert not install.install(tmp_path, "bob")
    assert (tmp_path / "sys/lib/tls").is_dir()
    assert (tmp_path / "mail/box/bob").stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "mail/lib/ignore").exists()
    assert (tmp_path / "mail/tmp").stat().st_mode & 0o777 == 0o700, "was changed"


def test_a_root_that_cannot_be_made_stops_nobody(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    done = mailfs(file, "queue")
    assert b"Traceback" not in done.stderr
