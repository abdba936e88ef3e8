"""mailfs tlssrv: TLS around a program that serves on standard input and output."""

import argparse
import asyncio
import logging
import os
import signal
import socket
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from typing import TYPE_CHECKING

from mailfs import where
from mailfs.cmd import logs, serving
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError, UsageError, reason

if TYPE_CHECKING:
    import ssl

log = logging.getLogger(__name__)

SUMMARY = "put TLS around a server that speaks on standard input and output"
HANDSHAKE = 20.0  # seconds
FAREWELL = 2.0  # seconds for the client's own end of TLS
PIECE = 64 << 10  # octets passed on at once
ENDING = 5.0  # seconds the program has to end once the client has gone


def main(argv: list[str]) -> int:
    """Run the verb: its status is the program's."""
    options = _parse(argv)
    logs.start("tlssrv", logging.DEBUG if options.debug else logging.WARNING)
    if options.auth:
        raise UsageError("-a: TLS keyed by p9any is not offered: use mailfs fs -l tls!")
    if serving.connected(0) is None:
        raise MailfsError("standard input is no connection: a listener starts tlssrv")
    certificate = serving.certificate(options)
    if certificate is None:
        folder = where.root(options.root) / "sys/lib/tls"
        raise MailfsError(f"no certificate in {folder}: see -c")
    return asyncio.run(_serve(options.command, certificate(), options.remote))


async def _serve(command: list[str], context: "ssl.SSLContext", remote: str) -> int:
    """Shake hands, start the program, and pass octets until one of the two ends."""
    loop = asyncio.get_running_loop()
    with socket.socket(fileno=os.dup(0)) as sock:
        peer = remote or str(sock.getpeername())
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                sock.dup(),
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE,
                ssl_shutdown_timeout=FAREWELL,
            )
        except (TimeoutError, OSError) as e:
            raise MailfsError(f"{peer}: {reason(e)}") from e
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    log.info("%s: TLS begun", peer)
    try:
        program = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE
        )
    except OSError as e:
        raise MailfsError(f"{command[0]}: {reason(e)}") from e
    assert program.stdin is not None
    assert program.stdout is not None
    theirs = asyncio.ensure_future(_pass(reader, program.stdin))
    try:
        await _pass(program.stdout, writer)
    finally:
        theirs.cancel()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return await _status(program)


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass octets on, and then the end."""
    with suppress(OSError):
        while octets := await source.read(PIECE):
            sink.write(octets)
            await sink.drain()
    with suppress(OSError):
        sink.close()


async def _status(program: Process) -> int:
    """Wait for the program; one that does not end by itself is ended."""
    try:
        async with asyncio.timeout(ENDING):
            status = await program.wait()
    except TimeoutError:
        program.send_signal(signal.SIGKILL)
        status = await program.wait()
    return status if status >= 0 else 128 - status


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        "tlssrv",
        "Speak TLS with the client on standard input, and run COMMAND with what it\n"
        "says; for listeners such as inetd, and servers that know no TLS.",
        example="mailfs tlssrv -c cert.pem -K key.pem mailfs pop3 -a",
        files="ROOT/sys/lib/tls/imap.pem, key.pem   our certificate; or cert.pem, key",
    )
    serving.add_certificate(parser)
    add = parser.add_argument
    add("-r", dest="remote", default="", metavar="ADDR", help="the client, for the log")
    add("-D", dest="debug", action="store_true", help="log more")
    add("-a", "-A", dest="auth", action="store_true", help="refused: see mailfs-fs(1)")
    parser.add_root()
    add("command", metavar="COMMAND", nargs=argparse.REMAINDER)
    options = parser.parse_args(argv)
    if not options.command:
        raise UsageError("want a command")
    return options
