"""Killed at any moment, setup leaves whole files, and the next run finishes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mailfs.errors import MailfsError
from mailfs.factotum.keyfile import KeyFile
from mailfs.setup import change
from tests.net.dovecot import PASSWORD
from tests.setup.world import Place, Provider, secret

CALLS = ("open", "fsync", "fchmod", "replace", "unlink", "close", "mkdir")


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do work in a child that dies before its step-th system call; False if it ends."""
    pid = os.fork()
    if pid == 0:
        left = step

        def dying(name: str) -> Callable[..., object]:
            real = getattr(os, name)

            def call(*args: object, **more: object) -> object:
                nonlocal left
                left -= 1
                if not left:
                    os._exit(9)
                return real(*args, **more)

            return call

        for name in CALLS:
            setattr(os, name, dying(name))
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


KEY = "key proto=pass server=x user=a !password=%s"


def test_a_file_is_as_before_or_as_after(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for step in range(1, 60):
        path.write_text("before\n")
        path.chmod(0o640)
        link = tmp_path / "link"  # whoever has the old file open
        link.hardlink_to(path)
        one = change.FileChange(path, "before\n", "after\n")
        if not killed_at(step, one.apply):
            break
        assert path.read_text() in ("before\n", "after\n")
        assert link.read_text() == "before\n"
        for left in tmp_path.iterdir():
            left.unlink()
    assert step > 5
    assert (path.read_text(), link.read_text()) == ("after\n", "before\n")
    assert path.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "file.old").read_text() == "before\n"


def test_a_key_file_is_private_at_every_moment(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "box" / "factotum")
    for step in range(1, 60):
        shutil.rmtree(tmp_path / "box", ignore_errors=True)
        file.put(KEY % "old")
        ended = not killed_at(step, lambda: file.put(KEY % "new"))
        for left in (tmp_path / "box").iterdir():
            assert left.stat().st_mode & 0o077 == 0
        assert file.load() in (KEY % "old" + "\n", KEY % "new" + "\n")
        if ended:
            break
    assert step > 5
    assert file.load() == KEY % "new" + "\n"


def test_what_changed_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before\n")
    one = change.FileChange(path, "before\n", "after\n")
    path.write_text("by another\n")
    with pytest.raises(MailfsError, match="changed meanwhile"):
        one.apply()
    assert path.read_text() == "by another\n"


DYING = """
import os, sys
left = int(sys.argv.pop(1))
real = os.fsync
def fsync(fd):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), 9)
    real(fd)
os.fsync = fsync
from mailfs.cmd.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.live
def test_the_next_run_finishes(place: Place, ours: Provider) -> None:
    """Killed by -9 after so many writes to disk, then run again, unattended."""
    words = ["setup", "--yes", *ours.argv(), "--no-start", "--no-test", "--overwrite"]

    def run(*argv: str) -> int:
        with secret(PASSWORD) as fd:
            done = subprocess.run(
                [sys.executable, "-P", *argv, *words, "--password-fd", str(fd)],
                env=place.env,
                pass_fds=[fd],
                capture_output=True,
                check=False,
            )
        assert done.returncode in (0, -9), done.stderr
        return done.returncode

    assert run("-m", "mailfs") == 0
    whole = place.files()
    kills = 0
    for left in range(1, 80, 7):
        shutil.rmtree(place.root)
        if run("-c", DYING, str(left)) == 0:
            break
        kills += 1
        for name, data in place.files().items():
            if not Path(name).name.startswith("."):
                assert data == whole[name] or os.path.basename(name) in (
                    "factotum",
                    "local",
                    "names.local",
                    "remotemail",
                    "rewrite",
                ), name
        assert run("-m", "mailfs") == 0
        after = {n: d for n, d in place.files().items() if ".old" not in n}
        assert {n: d for n, d in after.items() if "/." not in n} == whole
    assert kills > 3
