"""Record what a client asks: stand between it and a server.

    python -m tests.fs.clients.record NAMESPACE/mail SOCKET-OF-THE-SERVER >script

One connection after another, one request at a time: each connection is a
conversation.
"""

import os
import socket
import struct
import sys
from collections.abc import Iterator
from typing import TextIO

from mailfs.p9.fcall import FormatError, Rread, Tread, unpack

from .conversation import line


def frames(sock: socket.socket) -> Iterator[bytes]:
    """Give whole messages until the peer hangs up."""
    with sock.makefile("rb") as file:
        while len(head := file.read(4)) == 4:
            (size,) = struct.unpack("<I", head)
            yield head + file.read(size - 4)


def relay(client: socket.socket, server: socket.socket, out: TextIO) -> None:
    """Pass messages both ways and write down the requests."""
    replies = frames(server)
    ends: dict[int, int] = {}  # by fid: where its last read ended
    for frame in frames(client):
        server.sendall(frame)
        reply = next(replies)
        try:
            _, request = unpack(frame)
            _, answer = unpack(reply)
        except FormatError:
            print(f"# type {frame[4]}: {frame.hex()}", file=out, flush=True)
        else:
            print(line(request, ends), file=out, flush=True)  # type: ignore[arg-type]
            if isinstance(request, Tread) and isinstance(answer, Rread):
                ends[request.fid] = request.offset + len(answer.data)
        client.sendall(reply)


def main(listen: str, dial: str) -> None:
    """Serve at listen what is served at dial."""
    with socket.socket(socket.AF_UNIX) as front:
        if os.path.exists(listen):
            os.unlink(listen)
        front.bind(listen)
        front.listen()
        while True:
            client, _ = front.accept()
            with client, socket.socket(socket.AF_UNIX) as server:
                server.connect(dial)
                relay(client, server, sys.stdout)
            print(flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
