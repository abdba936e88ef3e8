"""Telling the plumber of mail: plumb(6), and what upas/fs and plan9port's mailfs send.

A message goes out for each event, from a thread of its own, which alone waits for the
plumber.  One that is not there, hangs or refuses costs messages, never time: what does
not fit the queue is dropped.
"""

import asyncio
import logging
import os
import queue
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mailfs.attr import quote
from mailfs.errors import MailfsError, Refused
from mailfs.fs.keyed.files import ctime
from mailfs.fs.keyed.people import pairs, people
from mailfs.mailboxes.entity import Entity
from mailfs.mailboxes.events import DELETE, MODIFY, NEW, Event
from mailfs.mailboxes.notify import Notifier
from mailfs.mailboxes.scopedset import ScopedMailboxes
from mailfs.p9.client import Client, OpenFile
from mailfs.p9.fcall import OWRITE
from mailfs.where import DialString

log = logging.getLogger(__name__)

SERVICE = "plumb"
LOOK = 15.0  # seconds between looks whether a plumber has come; one stat
TIMEOUT = 10.0  # seconds for each answer of the plumber
WAITING = 1000  # messages that may wait for it
MOUNT = "/mail/fs"  # where upas/fs is mounted unless told otherwise


@dataclass(frozen=True, slots=True)
class PlumbForm:
    """What a message looks like.

    wdir    its working directory
    data    what comes before ``/MBOX/N``
    whats   which events its receivers understand
    attrs   the attributes of a message that is there, None of one that has gone
    """

    wdir: str
    data: str
    whats: frozenset[str]
    attrs: Callable[[Event, Entity | None], list[tuple[str, str]]]

    def message(self, event: Event, item: Entity | None) -> bytes:
        """Return a plumb message; plumb(6)."""
        data = f"{self.data}/{event.box}/{event.number}".encode()
        attrs = [("filetype", "mail"), *self.attrs(event, item)]
        shown = " ".join(f"{name}={_quoted(value)}" for name, value in attrs)
        head = f"mailfs\nseemail\n{self.wdir}\ntext\n{shown}\n{len(data)}\n"
        return head.encode("utf-8", "replace") + data


def _quoted(value: str) -> str:
    """Quote as plumbpackattr does; an empty value stays empty."""
    value = " ".join(value.splitlines())
    if not value or not any(c in " \t'=" for c in value):
        return value
    return quote(value) if quote(value) != value else f"'{value}'"


def _digest(event: Event) -> list[tuple[str, str]]:
    return [("digest", event.digest)] if event.digest else []


def _upas(event: Event, item: Entity | None) -> list[tuple[str, str]]:
    sender, length, date = "", 0, ""
    if item is not None:
        sender, length, date = item.envelope.from_, item.size(), item.unix_date()
    return [
        ("sender", sender),
        ("length", str(length)),
        ("mailtype", event.what),
        ("date", date),
        *_digest(event),
    ]


def _keyed(event: Event, item: Entity | None) -> list[tuple[str, str]]:
    attrs = [("mailtype", event.what)]
    if item is None:
        return [*attrs, *_digest(event)]
    return [
        *attrs,
        ("sender", pairs(people(item)["from"])),
        ("subject", item.envelope.subject),
        *_digest(event),
        ("date", ctime(item.message.date)),
    ]


def upas(mount: str = MOUNT) -> PlumbForm:
    """Return the form upas/fs sends; 9front's programs understand modify."""
    return PlumbForm(mount, mount, frozenset({NEW, DELETE, MODIFY}), _upas)


def keyed() -> PlumbForm:
    """Return the form plan9port's programs know; of modify they complain."""
    return PlumbForm("/", "Mail", frozenset({NEW, DELETE}), _keyed)


class Sender:
    """The thread that talks to the plumber."""

    def __init__(self, address: DialString, timeout: float = TIMEOUT) -> None:
        self._address = address
        self._timeout = timeout
        self._queue: queue.Queue[bytes | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None

    def send(self, message: bytes) -> None:
        """Have a message sent soon; never waits."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(message)
        except queue.Full:
            log.info("the plumber is behind: message dropped")

    def close(self) -> None:
        """End; what waits is not sent."""
        if self._thread is None:
            return
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        self._queue.put(None)

    def _run(self) -> None:
        with ExitStack() as stack:
            port: OpenFile | None = None
            while (message := self._queue.get()) is not None:
                # The plumber may have been started anew since the last message.
                for _ in range(2):
                    try:
                        port = port or self._dial(stack)
                        port.write(message)
                        break
                    except Refused as e:  # nobody wants it, or no rule sends it on
                        log.info("plumb: %s", e)
                        break
                    except MailfsError as e:
                        log.info("plumb: %s", e)
                        stack.close()
                        port = None

    def _dial(self, stack: ExitStack) -> OpenFile:
        client = stack.enter_context(Client(self._address, timeout=self._timeout))
        return client.open("/send", OWRITE)


class Plumbing:
    """Sends a message for each event of a shelf, while there is a plumber."""

    def __init__(
        self,
        shelf: ScopedMailboxes,
        form: PlumbForm,
        address: DialString,
        look: float = LOOK,
    ) -> None:
        """Do nothing yet; look is in seconds."""
        self._form = form
        self._path = Path(address.host)
        self._look = look
        self._sender = Sender(address)
        self._tell = Notifier(shelf, self._plumb)

    async def run(self) -> None:
        """Plumb until cancelled."""
        telling = asyncio.ensure_future(self._tell.run())
        try:
            while True:
                # Listening has a price: stores are watched, digests worked out.
                there = os.path.exists(self._path)  # noqa: ASYNC240  # as quick as any stat
                if there:
                    await self._tell.begin()
                else:
                    self._tell.pause()
                await asyncio.sleep(self._look)
        finally:
            telling.cancel()
            self._tell.pause()
            self._sender.close()

    async def _plumb(self, event: Event) -> None:
        if event.what not in self._form.whats:
            return
        make = partial(self._form.message, event)
        text = None if event.what == DELETE else await self._tell.read(event, make)
        self._sender.send(text or make(None))
