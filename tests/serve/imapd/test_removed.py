"""A mailbox that is removed while a command of another session is under way."""

import asyncio
import time
from pathlib import Path

from mailfs.mailbox.driver import Place
from mailfs.mailboxes.registry import MailboxRegistry
from mailfs.serve.door import Door, Doors
from mailfs.serve.imapd.command import Request
from mailfs.serve.imapd.server import HANDLERS
from mailfs.serve.imapd.session import House, Session
from mailfs.serve.limits import Table
from mailfs.serve.mailstore import Mailstore
from mailfs.serve.wire import Wire
from mailfs.where import dialstring


async def _check(session: Session, request: Request) -> None:
    """Do CLOSE, of a mailbox that goes before."""
    session.opened()
    session.lose()  # as Mailstore tells whoever has it open
    await HANDLERS["CLOSE"](session, request)


async def _talk(folder: Path) -> bytes:
    inbox = folder / "root" / "mbox"
    inbox.parent.mkdir()
    inbox.touch()
    boxes = MailboxRegistry(Place(folder / "root", "u"), folder / "cache")
    store = Mailstore(boxes, str(inbox))
    house = House("here", lambda _: store, Table(time.monotonic))

    async def converse(wire: Wire) -> None:
        await Session(wire, house, HANDLERS | {"CHECK": _check}).run(user="u")

    doors = Doors()
    path = folder / "socket"
    await doors.open(Door(dialstring(f"unix!{path}"), converse))
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"a select inbox\r\nb check\r\n")
    try:
        return await asyncio.wait_for(reader.read(), 60)
    finally:
        writer.close()
        await doors.close()
        await boxes.close_all()


def test_the_command_is_refused(tmp_path: Path) -> None:
    said = asyncio.run(_talk(tmp_path))
    assert b"a OK " in said
    assert b"* BYE the mailbox has been removed\r\n" in said
    assert b"b NO the mailbox has been removed\r\n" in said
