"""A line between a client and a server: slow, counting, cut, frozen, half shut.

::

    with Proxy(dovecot.ports["imap"], delay=0.025) as line:
        ...connect to line.port...
        assert line.turns <= 3
"""

import contextlib
import queue
import socket
import threading
import time
from types import TracebackType

CHUNK = 1 << 16  # octets read at a time


class Proxy:
    """Listens on loopback while entered; passes octets on to a port of loopback.

    delay     seconds each way; half the round trip
    rate      octets a second each way; 0 is no limit
    cut_down  break each connection after so many octets from the server
    cut_up    the same from the client

    connections, up, down (octets) and turns count what has passed since reset; a turn
    is a burst of the client's after the server had its say: about a round trip.
    """

    def __init__(
        self,
        target: int,
        *,
        delay: float = 0.0,
        rate: int = 0,
        cut_down: int | None = None,
        cut_up: int | None = None,
    ) -> None:
        self.target = target
        self.delay = delay
        self.rate = rate
        self.cut_down = cut_down
        self.cut_up = cut_up
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._flow = threading.Event()
        self._flow.set()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self.reset()

    def reset(self) -> None:
        """Count from nought again."""
        with self._lock:
            self.connections = self.up = self.down = self.turns = 0
            self._last = "down"

    def __enter__(self) -> "Proxy":
        self._spawn(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shut(self._listener)  # else accept goes on waiting
        self._listener.close()
        self._flow.set()
        self.cut()
        for thread in self._threads:
            thread.join()
        for pair in self._pairs:
            for sock in pair:
                sock.close()

    def cut(self) -> None:
        """Break all connections that there are."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            for sock in pair:
                shut(sock)

    def half_close(self) -> None:
        """End the server's side of every connection; the client may go on talking."""
        with self._lock:
            pairs = list(self._pairs)
        for client, _ in pairs:
            shut(client, socket.SHUT_WR)

    def freeze(self) -> None:
        """Let nothing through, as if the cable were out; nobody is told."""
        self._flow.clear()

    def thaw(self) -> None:
        """Let through what has waited, and all that follows."""
        self._flow.set()

    def _spawn(self, target: "object", *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.append((client, server))
                self.connections += 1
            self._spawn(self._carry, client, server, "up", self.cut_up)
            self._spawn(self._carry, server, client, "down", self.cut_down)

    def _carry(
        self, source: socket.socket, sink: socket.socket, way: str, cut: int | None
    ) -> None:
        """Read what comes; another thread writes it when its time has come."""
        waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        self._spawn(self._write, waiting, source, sink, way, cut)
        while True:
            try:
                data = source.recv(CHUNK)
            except OSError:
                data = b""
            waiting.put((time.monotonic() + self.delay, data))
            if not data:
                return

    def _write(
        self,
        waiting: "queue.SimpleQueue[tuple[float, bytes]]",
        source: socket.socket,
        sink: socket.socket,
        way: str,
        cut: int | None,
    ) -> None:
        while True:
            due, data = waiting.get()
            time.sleep(max(0.0, due - time.monotonic()))
            self._flow.wait()
            if self.rate:
                time.sleep(len(data) / self.rate)
            if cut is not None:
                data, over = data[:cut], len(data) > cut
                cut -= len(data)
            else:
                over = False
            try:
                if data:
                    self._count(way, len(data))
                    sink.sendall(data)
            except OSError:
                data = b""
            if over:
                shut(source)
                shut(sink)
            if over or not data:
                shut(sink, socket.SHUT_WR)
                return

    def _count(self, way: str, size: int) -> None:
        with self._lock:
            if way == "up":
                self.up += size
                self.turns += self._last == "down"
            else:
                self.down += size
            self._last = way


def shut(sock: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    """Shut a socket down, whatever state it is in."""
    with contextlib.suppress(OSError):
        sock.shutdown(how)
