"""A server of ours as a process of its own, for tests that need a real one."""

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

READY_SECONDS = 60  # a first start may index what it serves
END_SECONDS = 20
TAIL = 600  # characters of the server's log that a failure shows


def free_port() -> int:
    """Return a TCP port of the loopback that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        return int(s.getsockname()[1])


class Server:
    """``mailfs ARGUMENTS -l ADDR``, ready when entered, asked to end when left."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self.port = free_port()
        self._log = log
        self._command = [sys.executable, "-P", "-m", "mailfs", *arguments]
        self._command += ["-l", f"tcp!127.0.0.1!{self.port}"]

    def __enter__(self) -> "Server":
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        assert self._process.returncode == 0, self._log.read_text()[-TAIL:]

    def _wait(self) -> None:
        end = time.monotonic() + READY_SECONDS
        while self._process.poll() is None and time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except ConnectionRefusedError:
                time.sleep(0.05)
            else:
                return
        why = self._log.read_text()[-TAIL:]
        raise AssertionError(f"{self._command} not ready:\n{why}")
