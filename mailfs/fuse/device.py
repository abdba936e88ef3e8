"""The FUSE device: one request at a time out of it, replies and notices into it."""

import errno
import os
from collections.abc import Iterable

from mailfs.fuse.abi import (
    EXPIRE_ONLY,
    INVAL_ENTRY,
    NOTIFY_INVAL_ENTRY,
    NOTIFY_STORE,
    REPLY,
    STORE,
    Request,
    request,
)

MAX_WRITE = 128 << 10  # octets of one write(2); one Twrite carries them
_BUFFER = MAX_WRITE + (8 << 10)  # octets; the kernel wants room for a header besides

# The requester was killed, or the file system unmounted: nobody waits for the answer.
_UNWANTED = (errno.ENOENT, errno.ENODEV, errno.ECONNABORTED)


class Unmounted(Exception):
    """The file system has been unmounted."""


class Device:
    """An open /dev/fuse of one mount.  Requests are read without waiting."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)

    def recv(self) -> Request | None:
        """Return the next request, None if there is none now.  Raises Unmounted."""
        try:
            size = os.readv(self.fd, [self._buffer])
        except BlockingIOError:
            return None
        except OSError as e:
            if e.errno == errno.ENODEV:
                raise Unmounted from None
            if e.errno in (errno.ENOENT, errno.EINTR):  # withdrawn while we read it
                return None
            raise
        if not size:
            raise Unmounted
        return request(bytes(self._view[:size]))

    def reply(self, unique: int, data: bytes = b"") -> None:
        """Answer a request."""
        self._write(REPLY.pack(REPLY.size + len(data), 0, unique), data)

    def refuse(self, unique: int, number: int) -> None:
        """Answer a request with an errno."""
        self._write(REPLY.pack(REPLY.size, -number, unique), b"")

    def expire(self, names: Iterable[tuple[int, bytes]]) -> None:
        """Have the kernel ask again for names, each in the directory of a node.

        This waits while somebody else changes or walks that directory, so it is
        for another thread than the one that answers.
        """
        for parent, name in names:
            body = INVAL_ENTRY.pack(parent, len(name), EXPIRE_ONLY) + name + b"\0"
            head = REPLY.pack(REPLY.size + len(body), NOTIFY_INVAL_ENTRY, 0)
            self._write(head, body)

    def store(self, node: int, data: bytes) -> bool:
        """Have the kernel keep the whole of a file; return whether it does.

        This waits for reads of the file that are under way, so there must be none.
        """
        body = STORE.pack(node, 0, len(data), 0) + data
        return self._write(REPLY.pack(REPLY.size + len(body), NOTIFY_STORE, 0), body)

    def _write(self, head: bytes, body: bytes) -> bool:
        """Write a message; return whether the kernel could use it."""
        try:
            if body:
                os.writev(self.fd, (head, body))
            else:
                os.write(self.fd, head)
        except OSError as e:
            if e.errno not in _UNWANTED:
                raise
            return False
        return True

    def close(self) -> None:
        """End the file system: whatever still uses it gets an error."""
        os.close(self.fd)
