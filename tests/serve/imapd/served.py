"""A server in a process of its own, over a fresh root."""

import imaplib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

from mailfs import where

VERB = [sys.executable, "-P", "-m", "mailfs", "imap4d"]
PASSWORD = "secret"  # of the tests' factotum


class Served:
    """A root, and servers over it: one for each connection, or one that listens."""

    def __init__(self, folder: Path, kind: str = "mdir") -> None:
        self.root = folder / "root"
        self.cache = folder / "cache"
        self.user = where.user()
        self.home = self.root / "mail" / "box" / self.user
        self.home.mkdir(parents=True)
        self.inbox = self.home / "mbox"
        if kind != "mbox":
            self.inbox.mkdir()
        if kind == "maildir":
            for name in ("cur", "new", "tmp"):
                (self.inbox / name).mkdir()
        if kind == "mh":
            (self.inbox / ".mh_sequences").touch()
        self.port = 0
        self.process: subprocess.Popen[str] | None = None

    @property
    def arguments(self) -> list[str]:
        return [*VERB, "-f", "mbox", "--root", str(self.root)]

    @property
    def env(self) -> dict[str, str]:
        return os.environ | {"XDG_CACHE_HOME": str(self.cache)}

    def piped(self, *more: str) -> imaplib.IMAP4:
        """Return a client of a server of its own, already known."""
        command = " ".join([*self.arguments, "-a", *more])
        return imaplib.IMAP4_stream(f"env XDG_CACHE_HOME={self.cache} {command}")

    def start(self, *more: str) -> "Served":
        """Start a server that listens; where the factotum is, the environment says."""
        self.process = subprocess.Popen(
            [*self.arguments, "-l", "tcp!127.0.0.1!0", *more],
            stderr=subprocess.PIPE,
            text=True,
            env=self.env,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "IMAP at tcp" in line:
                self.port = int(line.rpartition("!")[2])
                break
        assert self.port
        self.log: list[str] = []
        self._drain = threading.Thread(
            target=self.log.extend, args=(self.process.stderr,)
        )
        self._drain.start()
        return self

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the server."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(30)
            self._drain.join()
            assert self.process.stderr is not None
            self.process.stderr.close()
            self.process = None

    def client(self) -> imaplib.IMAP4:
        """Return a client that has logged in."""
        client = imaplib.IMAP4("127.0.0.1", self.port, timeout=30)
        client.login(self.user, PASSWORD)
        return client

    def line(self) -> "Line":
        """Return a raw connection, its greeting read."""
        return Line(self.port)


class Line:
    """A raw connection."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.file = self.sock.makefile("rb")
        self.greeting = self.file.readline()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, octets: bytes) -> None:
        self.sock.sendall(octets)

    def until(self, tag: bytes) -> list[bytes]:
        """Return lines up to the one with a tag."""
        lines = []
        while line := self.file.readline():
            lines.append(line)
            if line.startswith(tag + b" "):
                return lines
        return lines

    def ask(self, command: bytes) -> list[bytes]:
        """Send a command, its tag in front, and return what is answered."""
        self.send(command + b"\r\n")
        return self.until(command.split(b" ")[0])

    def close(self) -> None:
        self.file.close()
        self.sock.close()
