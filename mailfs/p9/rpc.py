"""One request after another over a socket: the blocking client's half of a line."""

import socket

from mailfs.errors import MailfsError, Refused, reason
from mailfs.p9.fcall import (
    HEADER,
    NOTAG,
    NUMBERS,
    FormatError,
    Reply,
    Request,
    Rerror,
    Tversion,
    pack,
    unpack,
)

CHUNK = 64 << 10  # octets asked of the socket where the reply's size is not known


class Line:
    """A connected socket.  After an interrupted or senseless answer it is closed.

    Not for use by two threads at once.
    """

    def __init__(
        self, sock: socket.socket, name: str, msize: int, timeout: float | None
    ) -> None:
        self.name = name  # begins every error
        self.msize = msize  # octets; no message is longer
        self._timeout = timeout
        self._sock: socket.socket | None = sock
        sock.settimeout(timeout)

    @property
    def closed(self) -> bool:
        """Whether the line is of no more use."""
        return self._sock is None

    def rpc(self, msg: Request) -> Reply:
        """Send a request and return the reply that belongs to it.

        Raises Refused with the server's text if refused, and MailfsError if the line
        is broken or the server makes no sense.
        """
        tag = NOTAG if isinstance(msg, Tversion) else 0
        frame = pack(tag, msg)
        if len(frame) > self.msize:
            raise MailfsError(f"{self.name}: request longer than {self.msize} octets")
        answered = False
        try:
            octets = self._exchange(frame)
            answered = True
        finally:
            if not answered:
                self.close()
        return self._checked(tag, msg, octets)

    def close(self) -> None:
        """Close the socket."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def nonsense(self, what: str) -> MailfsError:
        """Close the line; return the error for an answer that no 9P server gives."""
        self.close()
        return MailfsError(f"{self.name}: not a 9P server's answer: {what}")

    def _exchange(self, frame: bytes) -> bytes:
        sock = self._sock
        if sock is None:
            raise MailfsError(f"{self.name}: connection closed")
        try:
            sock.sendall(frame)
            return self._receive(sock)
        except TimeoutError:
            text = f"{self.name}: no answer within {self._timeout:g} s"
            raise MailfsError(text) from None
        except ConnectionError:
            raise MailfsError(f"{self.name}: hung up") from None
        except OSError as e:
            raise MailfsError(f"{self.name}: {reason(e)}") from e

    def _receive(self, sock: socket.socket) -> bytes:
        """Return the next message, whole."""
        data = b""
        while len(data) < HEADER.size:
            data += self._more(sock.recv(CHUNK))
        size = HEADER.unpack_from(data)[0]
        if not HEADER.size <= size <= self.msize:
            raise self.nonsense(f"message of {size} octets")
        if len(data) > size:
            raise self.nonsense("two answers to one request")
        if len(data) == size:
            return data
        whole = bytearray(size)
        whole[: len(data)] = data
        have = len(data)
        with memoryview(whole) as view:
            while have < size:
                got = sock.recv_into(view[have:])
                if not got:
                    raise MailfsError(f"{self.name}: hung up")
                have += got
        return bytes(whole)

    def _more(self, data: bytes) -> bytes:
        if not data:
            raise MailfsError(f"{self.name}: hung up")
        return data

    def _checked(self, tag: int, msg: Request, octets: bytes) -> Reply:
        try:
            got, reply = unpack(octets)
        except FormatError as e:
            raise self.nonsense(str(e)) from None
        if isinstance(reply, Rerror) and got in (tag, NOTAG):
            raise Refused(reply.ename)
        if got != tag:
            raise self.nonsense(f"tag {got}")
        if NUMBERS[type(reply)] != NUMBERS[type(msg)] + 1:
            raise self.nonsense(f"{type(reply).__name__} to {type(msg).__name__}")
        return reply  # type: ignore[return-value]  # an R follows its T by number
