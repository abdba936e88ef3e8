"""Records on a socket, within a time."""

import contextlib
import socket
import time
from collections.abc import Callable

from mailfs.secret import Secret
from mailfs.secstore.error import SecstoreError, SecstoreRefused, shown
from mailfs.secstore.sconn import HEADER, MAX_DATA, Records


class Conn:
    """One connection.  Raises SecstoreError when it ends early or takes too long."""

    def __init__(
        self,
        sock: socket.socket,
        limit: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Limit is in seconds, for everything that happens on the connection."""
        # A command and its size are two records; the second must not wait for an ACK.
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._records = Records()
        self._clock = clock
        self._until = clock() + limit

    def secret(self, sigma: Secret, *, server: bool) -> None:
        """Encrypt from now on; Records.secret."""
        self._records.secret(sigma, server=server)

    def extend(self, limit: float) -> None:
        """Give the connection that many seconds from now on."""
        self._until = self._clock() + limit

    def _wait(self) -> None:
        left = self._until - self._clock()
        if left <= 0:
            raise SecstoreError("connection took too long")
        self._sock.settimeout(left)

    def write(self, data: bytes) -> None:
        """Send one record; its data is not empty."""
        record = self._records.seal(data)
        self._wait()
        try:
            self._sock.sendall(record)  # whole: old readers take the count in one read
        except TimeoutError as e:
            raise SecstoreError("connection took too long") from e
        except OSError as e:
            raise SecstoreError(f"write error: {e.strerror or e}".lower()) from e

    def write_all(self, data: bytes) -> None:
        """Send data as records of MAX_DATA octets and one with the rest."""
        for at in range(0, len(data), MAX_DATA):
            self.write(data[at : at + MAX_DATA])

    def write_error(self, text: str) -> None:
        """Tell the other side why not, if it still listens."""
        with contextlib.suppress(SecstoreError):  # our own error says more
            self.write(b"!" + text.encode()[: MAX_DATA - 1])

    def read(self) -> bytes:
        """Return the data of the next record."""
        size = self._records.size(self._exactly(HEADER))
        return self._records.open(self._exactly(size))

    def read_message(self) -> bytes:
        """Return the next record.  Raises Refused if it begins with an !."""
        data = self.read()
        if data.startswith(b"!"):
            raise SecstoreRefused(shown(data[1:]) or "refused")
        return data

    def read_all(self, size: int) -> bytes:
        """Return that many octets, record by record; size has been bounded."""
        got = bytearray()
        while len(got) < size:
            got += self.read()
        if len(got) > size:
            raise SecstoreError("more octets than announced")
        return bytes(got)

    def _exactly(self, size: int) -> bytes:
        got = bytearray()
        while len(got) < size:
            self._wait()
            try:
                more = self._sock.recv(size - len(got))
            except TimeoutError as e:
                raise SecstoreError("connection took too long") from e
            except OSError as e:
                raise SecstoreError(f"read error: {e.strerror or e}".lower()) from e
            if not more:
                raise SecstoreError("connection closed")
            got += more
        return bytes(got)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()
