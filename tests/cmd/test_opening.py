"""A terminal shows that mailboxes are being opened; nobody else hears of it."""

import os
import re
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

from mailfs.cmd import opening
from tests.cmd.test_fs import PATIENCE, environment
from tests.net.scripted import Scripted, Talk

BEGIN = (
    "import fcntl, termios, sys; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "from mailfs.cmd.main import main\n"
    "sys.exit(main(sys.argv[1:]))"
)


class Silent:
    """A server that says nothing until it is let."""

    def __init__(self) -> None:
        self.called = threading.Event()
        self.over = threading.Event()

    def __call__(self, talk: Talk) -> None:
        self.called.set()
        self.over.wait(PATIENCE)


def test_a_terminal_sees_what_is_opened(tmp_path: Path) -> None:
    (tmp_path / "ns").mkdir(mode=0o700)
    silent = Silent()
    ours, theirs = os.openpty()
    with Scripted(silent) as server:
        spec = f"slow=/imap/tcp!127.0.0.1!{server.port}/glenda"
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", BEGIN, "fs", "-f", spec],
            env=environment(tmp_path),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        try:
            shown = read(ours, r"slow; 1 s.*slow; 2 s")
        finally:
            silent.over.set()
            process.terminate()
            process.wait(PATIENCE)
            os.close(ours)
    assert re.search(r"\r\x1b\[Kmailfs fs: opening slow; 2 s\Z", shown)
    assert "\n" not in shown


def read(fd: int, pattern: str) -> str:
    """Read a terminal until a pattern is there."""
    shown, end = "", time.monotonic() + PATIENCE
    while not re.search(pattern, shown, re.DOTALL):
        left = end - time.monotonic()
        assert left > 0, shown
        if select.select([fd], [], [], left)[0]:
            shown += os.read(fd, 4096).decode()
    return shown


def test_a_log_does_not(tmp_path: Path) -> None:
    (tmp_path / "ns").mkdir(mode=0o700)
    silent = Silent()
    with Scripted(silent) as server:
        spec = f"slow=/imap/tcp!127.0.0.1!{server.port}/glenda"
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mailfs", "fs", "-f", spec],
            env=environment(tmp_path),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert silent.called.wait(PATIENCE)
            time.sleep(3 * opening.STEP)
        finally:
            silent.over.set()
            process.terminate()
            said = process.communicate(timeout=PATIENCE)[1]
    assert "opening" not in said
    assert "\x1b" not in said


def test_the_demo_speaks_before_it_loads_much() -> None:
    code = "import sys, mailfs.cmd.demo as d; print(*sys.modules)"
    words = [sys.executable, "-P", "-c", code]
    loaded = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "mailfs.cmd.demo" in loaded
    assert not {"mailfs.fs.root", "mailfs.p9.srv"} & set(loaded.split())
