"""A POP3 server in a process of its own, over a fresh root."""

import os
import poplib
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from mailfs import where

VERB = [sys.executable, "-P", "-m", "mailfs", "pop3"]


class Served:
    """A root with a Maildir, and a server that listens."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.cache = folder / "cache"
        self.user = where.user()
        self.box = self.root / "mail" / "box" / self.user / "mbox"
        for name in ("cur", "new", "tmp"):
            (self.box / name).mkdir(parents=True)
        self.port = 0
        self.log: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._drain: threading.Thread | None = None

    def put(self, name: str, text: bytes) -> Path:
        """Deliver a message."""
        path = self.box / "new" / name
        path.write_bytes(text)
        return path

    def names(self) -> list[str]:
        """List the files of the messages."""
        return sorted(path.name for path in (self.box / "new").iterdir())

    @property
    def env(self) -> dict[str, str]:
        return os.environ | {"XDG_CACHE_HOME": str(self.cache)}

    @property
    def verb(self) -> list[str]:
        return [*VERB, "-f", "mbox", "--root", str(self.root)]

    def start(self, *more: str) -> "Served":
        """Start it; where the factotum is, the environment says."""
        at = ["-l", "tcp!127.0.0.1!0"]
        self._process = process = subprocess.Popen(
            [*self.verb, *at, *more], stderr=subprocess.PIPE, text=True, env=self.env
        )
        assert process.stderr is not None
        for line in process.stderr:
            self.log.append(line)
            if "POP3 at tcp" in line:
                self.port = int(line.rpartition("!")[2])
                break
        assert self.port, self.log
        self._drain = threading.Thread(target=self.log.extend, args=(process.stderr,))
        self._drain.start()
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the server; tell its exit status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        status = process.wait(30)
        if self._drain is not None:
            self._drain.join()
        assert process.stderr is not None
        process.stderr.close()
        return status

    def client(self, password: str) -> poplib.POP3:
        """Log in."""
        client = poplib.POP3("127.0.0.1", self.port, timeout=30)
        client.user(self.user)
        client.pass_(password)
        return client

    def connect(self) -> socket.socket:
        """Connect, and read the greeting."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        assert sock.recv(512).startswith(b"+OK")
        return sock

    def piped(self, said: bytes, *more: str) -> bytes:
        """Say something to a server of its own that knows us, and hear all of it."""
        done = subprocess.run(
            [*self.verb, "-a", *more],
            input=said,
            env=self.env,
            check=True,
            capture_output=True,
            timeout=60,
        )
        return done.stdout
