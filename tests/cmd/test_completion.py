"""Completion in the real shells: keys typed on a terminal, what the line becomes."""

import os
import pty
import select
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from mailfs import where
from mailfs.cmd.completion import main, script
from mailfs.cmd.main import VERBS
from mailfs.completion import FILES
from mailfs.errors import UsageError
from tests.fs.golden import SAMPLE
from tests.live.server import END_SECONDS
from tests.remote.account import until

PATIENCE = 60.0  # seconds for a shell to answer, on the slowest machine
GOT = "GOT:"
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
# The command on the line is a function that shows the words it was given.
SET_UP = {
    "bash": "PS1='READY''> '; bind 'set bell-style none'; "
    "mailfs() { printf 'GOT''<%s>\\n' \"$*\"; }; source {file}\n",
    "zsh": "unsetopt beep zle_bracketed_paste; autoload -Uz compinit; "
    "fpath=({folder} $fpath); compinit -u -D; "
    "mailfs() { print -r -- 'GOT''<'\"$*\"'>'; }; PS1='READY''> '\n",
}
LINES = [  # typed up to a tab; what the command then is given
    ("secu", "secuser"),
    ("fs --rea", "fs --readonly"),
    ("fs --trust thu", "fs --trust thumbprint"),
    ("queue rel", "queue release"),
    ("9p rdw", "9p rdwr"),
    ("9p -a upa", "9p -a upasfs"),
    ("9p ls upasf", "9p ls upasfs/"),
    ("9p read upasfs/mbox/2/subj", "9p read upasfs/mbox/2/subject"),
    ("9p ls upasfs/mb", "9p ls upasfs/mbox/"),
    ("9p -A upas/all read upasfs/mbox/sta", "9p -A upas/all read upasfs/mbox/status"),
    ("index /imapt", "index /imaptls/"),
    ("index {home}/uniq", "index {home}/unique.mbox"),
    ("fs -n -f work={home}/uniq", "fs -n -f work={home}/unique.mbox"),
    ("man secu", "man secuser"),
    ("mount {home}/dire", "mount {home}/directory/"),
    ("completion fi", "completion fish"),
]


@pytest.mark.parametrize("shell", list(FILES))
def test_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([shell]) == 0
    assert capsys.readouterr().out == script(shell)
    with pytest.raises(UsageError, match="rc"):
        main(["rc"])


def test_every_verb_is_there() -> None:
    for shell in FILES:
        text = script(shell)
        assert [verb for verb in VERBS if verb not in text] == []


@lru_cache
def written(shell: str, folder: Path) -> Path:
    """Return the script of a shell, as a file of the name the shell wants."""
    path = folder / "completion" / FILES[shell].name
    path.parent.mkdir(exist_ok=True)
    path.write_text(script(shell))
    return path


class Place:
    """A home, a running server, and the command mailfs on $PATH."""

    def __init__(self, home: Path, env: dict[str, str]) -> None:
        self.home = home
        self.env = env


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="mf") as name:
        home = Path(name)
        (home / "ns").mkdir(mode=0o700)
        (home / "directory").mkdir()
        shutil.copy(SAMPLE, home / "unique.mbox")
        (home / "bin").mkdir()
        command = home / "bin" / "mailfs"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m mailfs "$@"\n')
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        top = Path(__file__).resolve().parents[2]
        env = {
            "PATH": f"{home}/bin:{os.environ['PATH']}",
            "HOME": name,
            "USER": where.user(),
            "NAMESPACE": f"{home}/ns",
            "MAILFS_ROOT": f"{home}/root",
            "XDG_CACHE_HOME": f"{home}/cache",
            "PYTHONPATH": str(top),
            "TERM": "dumb",
            "LC_ALL": "C.UTF-8",
        }
        words = [str(command), "fs", "-p", "-f", str(home / "unique.mbox")]
        with subprocess.Popen(words, env=env) as server:
            try:
                until((home / "ns" / "upasfs").exists)
                yield Place(home, env)
            finally:
                server.terminate()
                server.wait(END_SECONDS)


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, shell: str, place: Place) -> None:
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(place.home)
            os.execvpe(START[shell][0], START[shell], place.env)
        self.shell = shell
        self._seen = ""
        file = written(shell, place.home)
        words = {"file": file, "folder": file.parent}
        line = SET_UP[shell]
        for name, value in words.items():
            line = line.replace(f"{{{name}}}", str(value))
        self.type(line)
        self.wait("READY> ")

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def wait(self, text: str) -> str:
        """Return what is shown up to a text, which it waits for."""
        end = time.monotonic() + PATIENCE
        while text not in self._seen:
            ready, _, _ = select.select([self._fd], [], [], end - time.monotonic())
            assert ready, f"no {text!r} in {self._seen[-1000:]!r}"
            self._seen += os.read(self._fd, 4096).decode(errors="replace")
        found, _, self._seen = self._seen.partition(text)
        return found

    def close(self) -> None:
        os.close(self._fd)
        os.waitpid(self._pid, 0)


@pytest.fixture(scope="module", params=list(SET_UP))
def terminal(request: pytest.FixtureRequest, place: Place) -> Iterator[Terminal]:
    if shutil.which(request.param) is None:
        pytest.skip(f"missing: apt-get install {request.param}")
    made = Terminal(request.param, place)
    yield made
    made.close()


@pytest.mark.live
@pytest.mark.parametrize(("typed", "becomes"), LINES)
def test_tab(place: Place, terminal: Terminal, typed: str, becomes: str) -> None:
    typed, becomes = (text.format(home=place.home) for text in (typed, becomes))
    terminal.type(f"mailfs {typed}\t\n")
    terminal.wait("GOT<")
    got = terminal.wait(">").strip()
    if terminal.shell == "zsh":  # it takes back a slash that it put there
        got, becomes = got.removesuffix("/"), becomes.removesuffix("/")
    assert got == becomes
    terminal.wait("READY> ")


def fish(place: Place, line: str) -> dict[str, str]:
    """Return what fish would offer, each with its description."""
    if shutil.which("fish") is None:
        pytest.skip("missing: apt-get install fish")
    command = f"source {written('fish', place.home)}; complete -C {line!r}"
    done = subprocess.run(
        ["fish", "--no-config", "-c", command],
        env=place.env,
        cwd=place.home,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    rows = (row.partition("\t") for row in done.stdout.splitlines())
    return {word: told for word, _, told in rows}


@pytest.mark.live
@pytest.mark.parametrize(("typed", "becomes"), LINES)
def test_fish_offers(place: Place, typed: str, becomes: str) -> None:
    typed, becomes = (text.format(home=place.home) for text in (typed, becomes))
    offered = fish(place, f"mailfs {typed}")
    assert set(offered) == {becomes.split()[-1]}


@pytest.mark.live
def test_fish_explains(place: Place) -> None:
    assert fish(place, "mailfs secu") == {
        "secuser": "make or change an account of secstored"
    }
    offered = fish(place, "mailfs trust -")
    assert offered["--any"] == "trust it under every host name"
    assert set(offered) >= {"-y", "--yes", "--key", "--root", "--help"}
    assert set(fish(place, "mailfs 9p ls upasfs/mbox/")) >= {
        "upasfs/mbox/1/",
        "upasfs/mbox/ctl",
    }
