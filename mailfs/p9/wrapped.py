"""A line over TLS for asyncio, from a socket whose peer has been checked already.

asyncio makes its own handshakes and takes no socket that has had one; the check of the
peer belongs to the socket.
"""

import asyncio
import ssl

CHUNK = 64 << 10  # octets read or written at once


class Wrapped(asyncio.Transport):
    """The transport of a TLS socket."""

    def __init__(self, sock: ssl.SSLSocket, protocol: asyncio.Protocol) -> None:
        """Begin, in the running loop; the socket is closed with the transport."""
        super().__init__()
        sock.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._fd = sock.fileno()
        self._protocol = protocol
        self._unsent = bytearray()
        self._closed = False
        protocol.connection_made(self)
        self._loop.add_reader(self._fd, self._ready)
        self._loop.call_soon(self._ready)  # what came with the handshake shows nowhere

    def _ready(self) -> None:
        """Hand on all there is: the descriptor does not tell of what TLS holds."""
        if self._closed:
            return
        self._loop.remove_writer(self._fd)
        try:
            while not self._closed:
                data = self._sock.recv(CHUNK)
                if not data:
                    self.close()
                    return
                self._protocol.data_received(data)
        except ssl.SSLWantReadError:
            self._flush()  # it may have waited for this
        except ssl.SSLWantWriteError:
            self._loop.add_writer(self._fd, self._ready)
        except OSError as e:
            self._end(e)

    def write(self, data: "bytes | bytearray | memoryview") -> None:
        """Send data, or keep it until it can be sent."""
        self._unsent += data
        self._flush()

    def _flush(self) -> None:
        if self._closed:
            return
        self._loop.remove_writer(self._fd)
        try:
            while self._unsent:
                sent = self._sock.send(bytes(self._unsent[:CHUNK]))
                del self._unsent[:sent]
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLWantWriteError:
            self._loop.add_writer(self._fd, self._flush)
        except OSError as e:
            self._end(e)

    def close(self) -> None:
        """Hang up; what has not been sent is lost."""
        self._end(None)

    def abort(self) -> None:
        """Hang up."""
        self._end(None)

    def is_closing(self) -> bool:
        """Whether the line has ended."""
        return self._closed

    def _end(self, error: Exception | None) -> None:
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._sock.close()
        self._loop.call_soon(self._protocol.connection_lost, error)
