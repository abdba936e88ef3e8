"""Clients that are slow on purpose: each state ends, however octets drip."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from mailfs.mailbox.driver import Place
from mailfs.mailboxes.registry import MailboxRegistry
from mailfs.serve.door import Door, Doors
from mailfs.serve.imapd.server import HANDLERS, Imapd
from mailfs.serve.imapd.session import House, Patience, Session
from mailfs.serve.limits import Table
from mailfs.serve.mailstore import Mailstore
from mailfs.serve.wire import Wire
from mailfs.where import dialstring


def _house(patience: Patience, store: Mailstore | None = None) -> House:
    return House("here", lambda _: store, Table(time.monotonic), patience=patience)


def _talk(
    folder: Path,
    converse: Callable[[Wire], Awaitable[None]],
    drip: bytes,
    first: bytes = b"",
) -> bytes:
    """Drip octets at a server until it hangs up; return what it said."""

    async def talk() -> bytes:
        doors = Doors()
        path = folder / "socket"
        await doors.open(Door(dialstring(f"unix!{path}"), converse))
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(first)

        async def write() -> None:
            while True:
                writer.write(drip)
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(write())
        try:
            return await asyncio.wait_for(reader.read(), 60)
        finally:
            dripping.cancel()
            await asyncio.gather(dripping, return_exceptions=True)
            writer.close()
            await doors.close()

    return asyncio.run(talk())


def test_a_stranger_has_to_log_in(tmp_path: Path) -> None:
    server = Imapd(_house(Patience(stranger=0.5)))
    assert _talk(tmp_path, server.converse, b"x").endswith(b"* BYE waited too long\r\n")
    assert b"NOOP completed" in _talk(tmp_path, server.converse, b"a noop\r\n")


def test_a_command_has_to_end(tmp_path: Path) -> None:
    async def converse(wire: Wire) -> None:
        boxes = MailboxRegistry(Place(tmp_path / "root", "u"), tmp_path / "cache")
        store = Mailstore(boxes, str(tmp_path / "root/mail/box/u/mbox"))
        house = _house(Patience(command=0.5, rate=1e6), store)
        await Session(wire, house, HANDLERS).run(user="u")
        await boxes.close_all()

    said = _talk(tmp_path, converse, b"x", b"a append inbox {1000+}\r\n")
    assert said.endswith(b"* BYE waited too long\r\n")
