"""Answer any request of REQUEST octets with REPLY octets: what uvloop itself costs.

usage: bare.py SOCKET REQUEST REPLY
"""

import asyncio
import sys

import uvloop


class Bare(asyncio.Protocol):
    """Counts octets and nothing else."""

    def __init__(self, request: int, reply: int) -> None:
        self.request = request
        self.reply = bytes(reply)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.write = transport.write  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self.write(self.reply * (len(data) // self.request))


async def main(path: str, request: int, reply: int) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: Bare(request, reply), path)
    await server.serve_forever()


uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
