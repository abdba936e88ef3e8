"""The server beside servers that never come to an end: others, memory and its end."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from mailfs.errors import MailfsError
from mailfs.p9.client import Client
from mailfs.where import DialString
from tests.factotum.serving import Served
from tests.net.scripted import Play, Scripted
from tests.remote.hostile import FOLDERS, IMAP, POP
from tests.wait import until

WATCHED = 3.0  # seconds that a server is looked at
WAIT = 5.0  # seconds no client of another mailbox waits; ten times what is aimed at
MEMORY = 64 << 10  # KiB more than at rest
END = 5.0 + 2.0  # seconds from SIGTERM to the end; some for a busy machine


class Fs:
    """A server process, with a mailbox of its own called good."""

    def __init__(self, scratch: Path) -> None:
        self.keys = Served(scratch)
        (scratch / "factotum").symlink_to("f")
        self.keys.add("proto=pass server=localhost user=glenda !password=secret")
        box = scratch / "box"
        box.write_text("From a@b Mon Mar  2 09:00:00 2026\nSubject: 1\n\nbody\n\n")
        self.address = DialString("unix", str(scratch / "s"))
        places = {"NAMESPACE": "", "HOME": "", "XDG_CACHE_HOME": "cache"}
        env = {name: str(scratch / where) for name, where in places.items()}
        command = ["-P", "-m", "mailfs", "fs", "-p", "--root", str(scratch / "root")]
        self.process = subprocess.Popen(
            [sys.executable, *command, "-f", f"good={box}", "-l", str(self.address)],
            env=os.environ | env,
            stderr=subprocess.PIPE,
            text=True,
        )
        until(lambda: (scratch / "s").exists() and self.reads())

    def reads(self) -> bool:
        """Whether a client reads the good mailbox."""
        with contextlib.suppress(OSError, MailfsError), self.client() as client:
            return client.read("/good/1/body") == b"body\n"
        return False

    def client(self) -> Client:
        return Client(self.address, timeout=60)

    @property
    def memory(self) -> int:
        """The resident memory, KiB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0])

    def end(self) -> float:
        """End it, and return how many seconds that took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            _, self.errors = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return time.monotonic() - began

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self.keys.close()


@contextmanager
def used(fs: Fs, spec: str) -> Iterator[None]:
    """Have a client open a mailbox and read all in it, as far as that goes."""

    def use() -> None:
        with contextlib.suppress(OSError, MailfsError), fs.client() as client:
            client.write("/ctl", f"open {spec} bad".encode())
            while True:
                for entry in client.ls("/bad"):
                    if entry.name.isdecimal():
                        client.read(f"/bad/{entry.name}/raw")
                time.sleep(0.1)

    user = threading.Thread(target=use, daemon=True)
    user.start()
    yield
    user.join(30)
    assert not user.is_alive()


CASES = [
    *(("imap", "", play) for play in IMAP.values()),
    *(("imap", "/*", play) for play in FOLDERS.values()),
    *(("pop", "", play) for play in POP.values()),
]
NAMES = [*IMAP, *FOLDERS, *(f"POP3 {name}" for name in POP)]


@pytest.mark.live
@pytest.mark.parametrize(("kind", "folders", "play"), CASES, ids=NAMES)
def test_a_server_without_end(
    tmp_path: Path, kind: str, folders: str, play: Play
) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(Scripted(play))
        fs = Fs(tmp_path)
        stack.callback(fs.close)
        client = stack.enter_context(fs.client())
        rest = most = fs.memory
        spec = f"/{kind}/tcp!localhost!{server.port}/glenda{folders}"
        stack.enter_context(used(fs, spec))
        end = time.monotonic() + WATCHED
        while (now := time.monotonic()) < end:
            assert client.read("/good/1/body") == b"body\n"
            assert time.monotonic() - now < WAIT
            most = max(most, fs.memory)
            time.sleep(0.02)
        assert most - rest < MEMORY
        assert fs.end() < END
        assert "Traceback" not in fs.errors


def test_all_servers_hang_at_once(tmp_path: Path) -> None:
    """Whatever each mailbox waits for, the server ends in time."""
    plays = {f"b{n}": play for n, play in enumerate([*IMAP.values()][:6])}
    with ExitStack() as stack:
        fs = Fs(tmp_path)
        stack.callback(fs.close)
        for play in plays.values():
            server = stack.enter_context(Scripted(play))
            spec = f"/imap/tcp!localhost!{server.port}/glenda"
            stack.enter_context(used(fs, spec))
        time.sleep(1)
        assert fs.reads()
        assert fs.end() < END
        assert "Traceback" not in fs.errors
