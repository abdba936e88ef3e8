"""One connection of an IMAP client: states, replies, the end; RFC 9051 section 3.

Commands are done one after the other.  What they say is collected and sent before the
session waits for anything, with back pressure: a client that reads slowly is waited
for, one that does not read at all is hung up on.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailfs.errors import MailfsError, Refused, reason
from mailfs.imap.grammar.names import BadMailboxName
from mailfs.mailbox.octets import Octets
from mailfs.mailbox.view import View
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.serve.folders import BadFolder
from mailfs.serve.imapd import command, reader
from mailfs.serve.imapd.capability import capabilities
from mailfs.serve.imapd.command import Request, State
from mailfs.serve.imapd.compress import BadDeflate, Deflate
from mailfs.serve.imapd.cursor import Cursor
from mailfs.serve.imapd.reader import Reader
from mailfs.serve.imapd.selected import Selected, Told
from mailfs.serve.imapd.texts import Texts
from mailfs.serve.imapd.upload import MAX_MESSAGE, Budget, Incoming, NoRoom
from mailfs.serve.limits import Table
from mailfs.serve.login import Agent, ways
from mailfs.serve.mailstore import Mailstore
from mailfs.serve.wire import Gone, Wire
from mailfs.where import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

MAX_BAD = 50  # refused commands in a row, of a client that has lost its way
QUEUED = 256 << 10  # octets said before they are sent
PIECE = 256 << 10  # octets of a literal read and sent at once

Context = Callable[[], ssl.SSLContext]
Stores = Callable[[str], Mailstore | None]
"""Return the mailboxes of a user who has logged in, None if there are none here."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for the client.

    Octets that drip in move neither the end of a stranger's time nor, by more than
    rate allows, that of a command's.
    """

    stranger: float = 120.0  # from the connection to the login
    idle: float = 1800.0  # autologout; RFC 9051 section 5.4
    command: float = 300.0  # for a command, and a second more for each `rate` octets
    rate: float = 1000.0
    unread: float = 300.0  # until what we have said is read
    failure: float = 1.0  # more for each failed login, up to five of them


@dataclass(slots=True)
class House:
    """What all sessions of a server share.

    agent    dials the factotum; without it nobody logs in
    context  gives the TLS context of STARTTLS; without it, it is not offered
    """

    name: str
    stores: Stores
    table: Table
    agent: Agent | None = None
    context: Context | None = None
    patience: Patience = field(default_factory=Patience)
    budget: Budget = field(default_factory=Budget)
    clear: bool = False  # passwords without TLS, from anywhere


class Done(Exception):
    """How a command ended, if not with OK: what the tagged response says."""

    def __init__(self, status: str, text: str, code: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.code = code


def no(text: str, code: str = "") -> Done:
    """Return the end of a command that cannot be done."""
    return Done("NO", text, code)


def bad(text: str, code: str = "") -> Done:
    """Return the end of a command that cannot be meant."""
    return Done("BAD", text, code)


class Session:
    """One connection."""

    def __init__(
        self, wire: Wire, house: House, handlers: "Mapping[str, Handler]"
    ) -> None:
        self.wire = wire
        self.house = house
        self.reader = Reader()
        self.state = State.STRANGER
        self.user = ""
        self.store: Mailstore | None = None
        self.box: ScopedMailbox | None = None
        self.chosen: Selected | None = None
        self.enabled: set[str] = set()
        self.told = Told()
        self.uploads: list[Incoming] = []
        self.closing = False
        self.failures = 0  # logins
        self._ways: tuple[str, ...] = ()  # of logging in, where it is allowed
        self.news = asyncio.Event()
        self.texts = Texts()
        self.held: dict[int, View] = {}  # see Selected
        self._handlers = handlers
        self._out: list[bytes] = []
        self._queued = 0
        self._bad = 0
        self.code = ""  # of the tagged OK
        self.silent = False  # the tagged OK has been sent already
        self.deflate: Deflate | None = None
        self._since = asyncio.get_running_loop().time()
        self._begun: float | None = None  # the loop's time, of a command under way
        self._amid = 0  # octets of it

    # What a command handler needs.

    @property
    def utf8(self) -> bool:
        """Whether names are UTF-8; RFC 9755, RFC 9051."""
        return bool(self.enabled & {"UTF8=ACCEPT", "IMAP4REV2"})

    @property
    def rev2(self) -> bool:
        """Whether IMAP4rev2 is spoken."""
        return "IMAP4REV2" in self.enabled

    @property
    def mail(self) -> Mailstore:
        """The user's mailboxes."""
        assert self.store is not None
        return self.store

    def opened(self) -> tuple[ScopedMailbox, Selected]:
        """Give the selected mailbox, and what the client knows of it.

        Raises Done if it has been removed meanwhile.
        """
        if self.box is None or self.chosen is None:
            raise no("the mailbox has been removed")
        return self.box, self.chosen

    def say(self, octets: bytes) -> None:
        """Say something, CRLF included; it is sent later."""
        self._out.append(octets)
        self._queued += len(octets)

    def line(self, text: str) -> None:
        """Say an untagged response."""
        self.say(f"* {text}\r\n".encode())

    async def saying(self, lines: Iterable[bytes]) -> None:
        """Say lines, sending them when they are many."""
        for line in lines:
            self.say(line)
            if self._queued >= QUEUED:
                await self.flush()

    async def flush(self) -> None:
        """Send what has been said.  Raises Gone."""
        if self._out:
            octets = b"".join(self._out)
            self._out.clear()
            self._queued = 0
            if self.deflate is not None:
                octets = self.deflate.sent(octets)
            loop = asyncio.get_running_loop()
            await self.wire.send(octets, loop.time() + self.house.patience.unread)

    async def receive(self, deadline: float) -> bytes:
        """Return octets that the client has sent.  Raises Gone."""
        if self.deflate is None:
            return await self.wire.read(deadline)
        try:
            while not (octets := self.deflate.take()):
                self.deflate.feed(await self.wire.read(deadline))
        except BadDeflate as e:
            raise Gone from e
        return octets

    async def say_octets(self, octets: Octets, box: ScopedMailbox) -> None:
        """Say octets that may be on disk, piece by piece."""
        for at in range(0, len(octets), PIECE):
            end = min(at + PIECE, len(octets))
            if len(octets) <= PIECE:
                self.say(octets.read(0, end))
            else:
                await self.flush()
                self.say(await asyncio.to_thread(octets.read, at, end))
        if self._queued >= QUEUED:
            await self.flush()

    async def line_in(self) -> bytes:
        """Return the client's next line, which is no command.  Raises Gone."""
        self.reader.expect_line()
        while True:
            event = self.reader.next()
            if isinstance(event, reader.Line):
                return event.octets
            if isinstance(event, reader.Bad):
                raise Gone
            await self.flush()
            self.reader.feed(await self._read())

    # The conversation.

    async def run(self, *, user: str = "") -> None:
        """Hold the conversation; user is one who need not log in."""
        try:
            if not user:
                self._ways = await ways(self.house.agent)
            await self._greet(user)
            await self._converse()
            await self.flush()
        except asyncio.CancelledError:
            self.line("BYE the server ends")
            with suppress(Gone):
                await self.flush()
        finally:
            self._drop()
            await asyncio.shield(self.unselect())

    async def _greet(self, user: str) -> None:
        if user:
            await self.welcome(user)
            kind = "PREAUTH"
        else:
            kind = "OK"
        self.line(f"{kind} [CAPABILITY {self.capabilities}] {self.house.name} ready")

    @property
    def capabilities(self) -> str:
        """What is offered to the client now."""
        return capabilities(
            known=self.state is not State.STRANGER,
            tls=self.house.context is not None and not self.wire.secure,
            mechanisms=self.mechanisms,
        )

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """How the client may log in now; no password goes in clear but to here."""
        wire = self.wire
        near = not wire.peer or is_loopback(wire.peer)
        return self._ways if wire.secure or near or self.house.clear else ()

    async def welcome(self, user: str) -> None:
        """Let a user in.  Raises Done if the user has no mailboxes here."""
        store = self.house.stores(user)
        if store is None:
            raise no("Authentication failed.", "AUTHENTICATIONFAILED")
        try:
            await store.begin()
        except (OSError, MailfsError) as e:
            log.warning("%s: folders: %s", user, e)
        self.user, self.store, self.state = user, store, State.AUTH
        self.reader.bounds = reader.FRIEND
        self.reader.uploads = True

    def _deadline(self) -> float:
        patience = self.house.patience
        if self.state is State.STRANGER:
            return self._since + patience.stranger
        if self._begun is not None:
            return self._begun + patience.command + self._amid / patience.rate
        return asyncio.get_running_loop().time() + patience.idle

    async def _read(self) -> bytes:
        """Return the client's octets.  Raises Gone, after a farewell if it is late."""
        try:
            octets = await self.receive(self._deadline())
        except Gone as e:
            if e.late:
                self.line("BYE waited too long")
                with suppress(Gone):
                    await self.flush()
            raise
        self._amid += len(octets)
        return octets

    async def _converse(self) -> None:
        while not self.closing:
            event = self.reader.next()
            if event is None:
                await self.flush()
                self._time()
                self.reader.feed(await self._read())
                continue
            await self._event(event)

    def _time(self) -> None:
        """Note when a command began that is not complete."""
        if not self.reader.amid:
            self._begun, self._amid = None, 0
        elif self._begun is None:
            self._begun = asyncio.get_running_loop().time()

    async def _event(self, event: reader.Event) -> None:
        match event:
            case reader.Command(pieces):
                await self._command(pieces)
            case reader.Continue():
                self.say(b"+ OK\r\n")
            case reader.Begin(upload, waits, tag):
                await self._begin(upload, tag, waits=waits)
            case reader.Octets(data):
                await self._keep(data)
            case reader.Bad(tag, text, code, fatal):
                self._drop()
                self._refuse(tag.decode() or "*", "BAD", text, code)
                if fatal:
                    self.line("BYE cannot go on")
                    self.closing = True
            case reader.Line():
                pass

    async def _begin(self, upload: reader.Upload, tag: bytes, *, waits: bool) -> None:
        """Take a message that is announced, or refuse it."""
        try:
            self.uploads.append(
                Incoming(self.house.budget, upload.size, binary=upload.binary)
            )
        except NoRoom as e:
            self._drop()
            self._end(tag.decode() or "*", no(str(e), "TOOBIG"))
            if not waits and upload.size > 2 * MAX_MESSAGE:
                self.line("BYE message far too large")
                self.closing = True
                return
            self.reader.refuse(waits=waits)
            return
        self.reader.accept()
        if waits:
            self.say(b"+ OK\r\n")

    async def _keep(self, data: bytes) -> None:
        incoming = self.uploads[-1]
        await asyncio.to_thread(incoming.write, data)

    def _drop(self) -> None:
        """Let go of messages that were sent."""
        for incoming in self.uploads:
            incoming.close()
        self.uploads.clear()

    async def _command(self, pieces: "tuple[reader.Piece, ...]") -> None:
        try:
            cursor = Cursor(pieces, utf8=self.utf8)
            request = command.parse(cursor, self.state)
        except command.Refused as e:
            self._drop()
            self._refuse(e.tag, e.status, e.text, e.code)
            return
        self._bad = 0
        self.code = ""
        self.told.uid = request.name.startswith("UID ")
        done = await self._run(request)
        self._drop()
        if self.silent:
            self.silent = False
            return
        self._end(request.tag, done)

    async def _run(self, request: Request) -> Done:
        """Do a command; return how it ended."""
        handler = self._handlers[request.name]
        try:
            await handler(self, request)
        except Done as e:
            return e
        except BadFolder as e:
            return no(str(e), e.code)
        except BadMailboxName as e:
            return no(str(e), "CANNOT")
        except Refused as e:
            return no(str(e))
        except OSError as e:
            log.info("%s: %s: %s", self.user, request.name, e)
            return no(reason(e), "SERVERBUG" if e.errno is None else "")
        except MailfsError as e:
            return no(str(e))
        except Gone:
            raise
        except Exception:
            log.exception("%s: %s", self.user, request.name)
            return no("internal error", "SERVERBUG")
        return Done("OK", f"{request.name} completed", self.code)

    def _end(self, tag: str, done: Done) -> None:
        code = f"[{done.code}] " if done.code else ""
        text = _printable(done.text)
        self.say(f"{tag} {done.status} {code}{text}\r\n".encode())

    def _refuse(self, tag: str, status: str, text: str, code: str) -> None:
        self._end(tag, Done(status, text, code))
        self._bad += 1
        if self._bad >= MAX_BAD or (self.state is State.STRANGER and self._bad >= 10):
            self.line("BYE too many bad commands")
            self.closing = True

    # The selected mailbox.

    async def unselect(self) -> None:
        """Leave the selected mailbox, if there is one."""
        box, self.box, self.chosen = self.box, None, None
        self.texts, self.held = Texts(), {}
        if self.state is State.SELECTED:
            self.state = State.AUTH
        if box is not None:
            self.mail.leave(box, self)
            await self.mail.release(box)

    def hold(self, numbers: Iterable[int], view: View) -> None:
        """Know which messages go, and the view that can still read them; any thread."""
        for number in numbers:
            self.held[number] = view

    def lose(self) -> None:
        """Know that the selected mailbox is gone."""
        self.line("BYE the mailbox has been removed")
        self.closing = True
        self.news.set()
        self.box = None


Handler = Callable[[Session, Request], Awaitable[None]]


def _printable(text: str) -> str:
    """Return text that one line holds, in ASCII."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:400] or "?"
