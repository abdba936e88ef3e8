"""A mail server in a process of its own that takes everything and notes when.

    python sink.py PORT LOG

For each message LOG gets ``took ID`` on disk before the reply to its data is sent, and
``told ID`` after; ID is what its Subject says.  It may be killed at any time.
"""

import asyncio
import os
import sys

HELLO = b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"


class Sink:
    """All connections."""

    def __init__(self, log: str) -> None:
        self._fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, what: str, ident: str) -> None:
        os.write(self._fd, f"{what} {ident}\n".encode())

    async def talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"220 sink\r\n")
        try:
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb in (b"EHLO", b"HELO"):
                    writer.write(HELLO)
                elif verb == b"DATA":
                    await self.data(reader, writer)
                elif verb == b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                else:
                    writer.write(b"250 ok\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def data(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"354 go\r\n")
        octets = await reader.readuntil(b"\r\n.\r\n")
        ident = octets.partition(b"\nSubject: ")[2].split(b"\r\n")[0].decode()
        self.note("took", ident)
        writer.write(b"250 ok\r\n")
        await writer.drain()
        self.note("told", ident)


async def main(port: int, log: str) -> None:
    sink = Sink(log)
    server = await asyncio.start_server(
        sink.talk, "127.0.0.1", port, reuse_address=True, limit=1 << 20
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
