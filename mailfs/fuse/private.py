"""A mail server that one mount has for itself, on a socket pair; it ends with it."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

from mailfs.p9 import mux
from mailfs.p9.mux import Mux

END_SECONDS = 10.0  # that it may take to end


class PrivateServer:
    """``mailfs fs`` as a child of ours, started anew each time it is dialled."""

    def __init__(self, specs: Sequence[str], *, readonly: bool) -> None:
        """Start nothing yet; specs are mailboxes, as ``mailfs fs -f`` takes them."""
        self._words = ["--readonly"] if readonly else []
        for spec in specs:
            self._words += ["-f", spec]
        self._process: subprocess.Popen[bytes] | None = None
        self._relay: threading.Thread | None = None

    async def dial(self) -> Mux:
        """Start it and begin a session.  Raises MailfsError."""
        await asyncio.to_thread(self.end)
        ours, theirs = socket.socketpair()
        with theirs:
            self._start(theirs)
        return await mux.over(ours, "mailfs fs")

    def _start(self, line: socket.socket) -> None:
        # In a session of its own: what interrupts us must not end it before the mount.
        self._process = subprocess.Popen(  # noqa: S603  # no shell reads the words
            [sys.executable, "-P", "-m", "mailfs", "fs", "-l", "stdio", *self._words],
            stdin=line.fileno(),
            stdout=line.fileno(),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._relay = threading.Thread(
            target=_relay, args=(self._process,), daemon=True
        )
        self._relay.start()

    def end(self) -> int:
        """Wait for the server, whose line is closed; return its exit status.

        0 if none was started.
        """
        if self._process is None or self._relay is None:
            return 0
        try:
            status = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._relay.join(END_SECONDS)
        self._process = None
        return status


def _relay(server: "subprocess.Popen[bytes]") -> None:
    """Pass on what a server says, as long as there is somebody to read it.

    It must not hold our terminal, or the pipe of whoever waits for the mount.
    """
    assert server.stderr is not None
    with server.stderr as lines:
        for line in lines:
            os.write(2, line)
