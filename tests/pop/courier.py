"""Courier's pop3d on a Maildir, behind a front of ours that asks for the password.

Courier's own login wants a daemon, system accounts and /etc/courier; the server
proper wants a socket and a Maildir.  Its package conflicts with Dovecot's, so it is
unpacked, not installed::

    apt-get install courier-authlib libcourier-unicode4
    apt-get download courier-pop
    dpkg --fsys-tarfile courier-pop_*.deb | tar -x -C / ./usr/lib/courier/courier/
"""

import contextlib
import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from types import TracebackType

from tests.net.proxy import shut

PROGRAM = "/usr/lib/courier/courier/courierpop3d"
PATIENCE = 20.0  # seconds


class Courier:
    """Listens on loopback while entered."""

    def __init__(self, folder: Path) -> None:
        assert Path(PROGRAM).exists(), f"no {PROGRAM}: see {__file__}"
        self.box = folder / "Maildir"
        for name in ("cur", "new", "tmp"):
            (self.box / name).mkdir(parents=True)
        self._count = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._socks: list[socket.socket] = []
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Courier":
        self._spawn(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shut(self._listener)
        self._listener.close()
        for sock in self._socks:
            shut(sock)
        for thread in self._threads:
            thread.join()
        shutil.rmtree(self.box)

    def deliver(self, message: bytes) -> None:
        """Add a message, LF at its line ends."""
        self._count += 1
        name = f"{1_000_000_000 + self._count}.M{self._count}.host"
        (self.box / "tmp" / name).write_bytes(message)
        os.rename(self.box / "tmp" / name, self.box / "new" / name)

    def messages(self) -> list[bytes]:
        """Return what is there, oldest first."""
        files = [*self.box.glob("cur/*"), *self.box.glob("new/*")]
        return [f.read_bytes() for f in sorted(files, key=lambda f: f.name)]

    def kill(self) -> None:
        """Kill the sessions that there are, as a crash does."""
        for child in self._children:
            child.kill()

    def _spawn(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(PATIENCE)
            self._socks.append(sock)
            self._spawn(self._session, sock)

    def _session(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            sock.sendall(b"+OK Hello there.\r\n")
            while (line := _line(sock)) != b"PASS secret":
                if not line:
                    return
                more = b"USER\r\n.\r\n" if line == b"CAPA" else b""
                known = more or line.startswith(b"USER ")
                sock.sendall(b"+OK\r\n" + more if known else b"-ERR Invalid.\r\n")
            sock.setblocking(True)
            child = subprocess.Popen(
                [PROGRAM, str(self.box)],
                stdin=sock.fileno(),
                stdout=sock.fileno(),
                stderr=subprocess.DEVNULL,
                env={"AUTHENTICATED": "me", "AUTHADDR": "me", "TCPREMOTEIP": "::1"},
            )
            self._children.append(child)
            child.wait()
            shut(sock)


def _line(sock: socket.socket) -> bytes:
    """Return a line, and not an octet more: the rest is for the child."""
    line = b""
    while not line.endswith(b"\n"):
        octet = sock.recv(1)
        if not octet:
            return b""
        line += octet
    return line.rstrip()
