"""A connection of the POP3 server: a session's questions, put to keys and maildrop."""

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from mailfs.errors import MailfsError, reason
from mailfs.serve import limits
from mailfs.serve.folders import INBOX
from mailfs.serve.limits import Table
from mailfs.serve.login import Agent, Attempt, LoginFailed, ways
from mailfs.serve.mailstore import Mailstore
from mailfs.serve.pop3d.maildrop import Snapshot
from mailfs.serve.pop3d.session import (
    Cancelled,
    Login,
    Question,
    Response,
    Retrieve,
    Session,
    StartTls,
    Update,
)
from mailfs.serve.wire import Gone, Wire
from mailfs.where import is_loopback

log = logging.getLogger(__name__)

T = TypeVar("T")
PIECE = 128 << 10  # octets of a message read and sent at once


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for the client; RFC 1939 section 3 wants ten minutes after the login."""

    stranger: float = 60.0  # for the whole of the time before it
    idle: float = 600.0
    unread: float = 300.0  # until what we have said is read
    failure: float = 1.0  # more for each failed login, up to five of them
    attempts: int = 3  # failed logins in one connection


@dataclass(slots=True)
class House:
    """What all sessions of a server share.

    stores     the mailboxes of a user who has logged in, None if there are none here
    agent      dials the factotum; without it nobody logs in
    context    gives the TLS context of STLS; without it, it is not offered
    clear      passwords may come without TLS, from anywhere
    exclusive  one session of a user at a time; RFC 1939 section 4, RFC 2449 section 8
    """

    name: str
    stores: Callable[[str], Mailstore | None]
    table: Table
    agent: Agent | None = None
    context: Callable[[], ssl.SSLContext] | None = None
    clear: bool = False
    exclusive: bool = False
    patience: Patience = field(default_factory=Patience)


class Talk:
    """One conversation."""

    def __init__(self, wire: Wire, session: Session, until: float) -> None:
        """Begin; until is the loop's time at which a stranger has to go."""
        self.wire = wire
        self.session = session
        self.until = until
        self.peer = limits.network(wire.peer)
        self.user = ""
        self.attempt: Attempt | None = None
        self.failures = 0
        self.snapshot: Snapshot | None = None
        self.leave: Callable[[], Awaitable[None]] | None = None  # called at the end


class Pop3d:
    """The server of one house, on an event loop."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._here: Counter[str] = Counter()  # sessions by user

    async def converse(self, wire: Wire) -> None:
        """Hold a conversation with a client who has to log in."""
        peer = limits.network(wire.peer)
        if not self._house.table.enter(peer):
            loop = asyncio.get_running_loop()
            refusal = b"-ERR [SYS/TEMP] too many connections; try again later\r\n"
            await wire.send(refusal, loop.time() + self._house.patience.unread)
            return
        try:
            await self._hold(wire, "")
        finally:
            self._house.table.leave(peer)

    async def known(self, wire: Wire, user: str) -> None:
        """Hold a conversation with a user who need not log in."""
        await self._hold(wire, user)

    async def _hold(self, wire: Wire, user: str) -> None:
        offered = () if user else await ways(self._house.agent)
        session = Session(
            tls=self._house.context is not None and not wire.secure,
            mechanisms=offered if wire.secure or self._may_show(wire) else (),
            secret=offered,
        )
        until = asyncio.get_running_loop().time() + self._house.patience.stranger
        talk = Talk(wire, session, until)
        try:
            if user:
                await self._welcome(talk, user)
            else:
                session.grant(f"{self._house.name} POP3 server ready")
            await self._dialogue(talk)
        except asyncio.CancelledError:
            if not session.closed:
                session.close("the server ends", "SYS/TEMP")
            with suppress(Gone):
                await self._flush(talk)
        finally:
            await self._end(talk)

    def _may_show(self, wire: Wire) -> bool:
        """Whether a password may go in clear: from this machine, or if told so."""
        return self._house.clear or not wire.peer or is_loopback(wire.peer)

    async def _dialogue(self, talk: Talk) -> None:
        session = talk.session
        while not session.closed:
            question = session.next()
            if question is not None:
                await self._answer(talk, question)
                continue
            await self._flush(talk)
            if not session.closed and not session.pending:
                session.feed(await self._read(talk))
        await self._flush(talk)

    async def _read(self, talk: Talk) -> bytes:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._house.patience.idle
        if talk.session.stranger:
            deadline = talk.until
        try:
            return await talk.wire.read(deadline)
        except Gone as e:
            if e.late:
                talk.session.close("waited too long", "SYS/TEMP")
                await self._flush(talk)
            raise

    async def _flush(self, talk: Talk) -> None:
        octets = talk.session.take()
        if octets:
            loop = asyncio.get_running_loop()
            await talk.wire.send(octets, loop.time() + self._house.patience.unread)

    async def _answer(self, talk: Talk, question: Question) -> None:
        match question:
            case StartTls():
                await self._secure(talk)
            case Login(mechanism, initial):
                await self._login(talk, mechanism, initial)
            case Response(data):
                await self._proceed(talk, lambda attempt: attempt.step(data))
            case Cancelled():
                await self._hang_up(talk)
            case Retrieve(row):
                await self._retrieve(talk, row)
            case Update(rows):
                await self._update(talk, rows)

    async def _secure(self, talk: Talk) -> None:
        assert self._house.context is not None
        try:
            context = await asyncio.to_thread(self._house.context)
        except (OSError, MailfsError) as e:
            log.error("STLS: %s", e)  # noqa: TRY400  # no bug of ours
            talk.session.refuse("TLS not available", "SYS/TEMP")
            return
        talk.session.grant("begin TLS")
        await self._flush(talk)
        await talk.wire.start_tls(context)
        talk.session.secured()

    async def _login(self, talk: Talk, mechanism: str, initial: bytes | None) -> None:
        assert self._house.agent is not None
        if not self._house.table.note(talk.peer, "failures"):
            talk.session.close("too many logins; try again later", "SYS/TEMP")
            return
        try:
            make = partial(Attempt, self._house.agent, mechanism)
            talk.attempt = await asyncio.to_thread(make)
        except LoginFailed as e:
            await self._failed(talk, e)
            return
        await self._proceed(talk, lambda attempt: attempt.begin(initial))

    async def _proceed(
        self, talk: Talk, job: Callable[[Attempt], bytes | None]
    ) -> None:
        attempt = talk.attempt
        assert attempt is not None
        try:
            challenge = await asyncio.to_thread(job, attempt)
            if challenge is not None:
                talk.session.challenge(challenge)
                return
        except LoginFailed as e:
            await self._failed(talk, e)
            return
        if self._house.stores(attempt.user) is None:
            await self._failed(talk, LoginFailed("no mailbox of that user here"))
            return
        await self._hang_up(talk)
        self._house.table.forgive(talk.peer, "failures")
        log.info("login: %s from %s", attempt.user, talk.wire.peer)
        await self._welcome(talk, attempt.user)

    async def _failed(self, talk: Talk, why: LoginFailed) -> None:
        """Say so, after a while: whatever failed, the client hears the same."""
        user = talk.attempt.user if talk.attempt is not None else ""
        log.info("auth failed: pop3 %r %s: %s", user, talk.wire.peer, why)
        await self._hang_up(talk)
        talk.failures += 1
        await self._flush(talk)
        await asyncio.sleep(min(talk.failures, 5) * self._house.patience.failure)
        if why.passing:
            talk.session.refuse("Temporary authentication failure", "SYS/TEMP")
        elif talk.failures >= self._house.patience.attempts:
            talk.session.close("Authentication failed too often", "AUTH")
        else:
            talk.session.refuse("Authentication failed", "AUTH")

    async def _hang_up(self, talk: Talk) -> None:
        """End the conversation with the factotum."""
        attempt, talk.attempt = talk.attempt, None
        if attempt is not None:
            await asyncio.to_thread(attempt.close)

    async def _welcome(self, talk: Talk, user: str) -> None:
        """Open the mailbox of a user who is known, and tell what is in it."""
        store = self._house.stores(user)
        assert store is not None
        if self._house.exclusive and self._here[user]:
            talk.session.refuse("another session is under way", "IN-USE")
            return
        try:
            await store.begin()
            box = await store.open(await store.find(INBOX))
        except (OSError, MailfsError) as e:
            self._broken(talk, user, e)
            return
        talk.user = user
        talk.leave = partial(store.release, box)
        self._here[user] += 1
        try:
            talk.snapshot = await Snapshot.take(box)
        except (OSError, MailfsError) as e:
            self._broken(talk, user, e)
            return
        talk.session.logged_in(talk.snapshot.drop)

    def _broken(self, talk: Talk, user: str, why: OSError | MailfsError) -> None:
        said = reason(why) if isinstance(why, OSError) else str(why)
        log.error("mailbox of %s: %s", user, said)
        talk.session.close("the mailbox cannot be opened now", "SYS/TEMP")

    async def _retrieve(self, talk: Talk, row: int) -> None:
        assert talk.snapshot is not None
        session, snapshot = talk.session, talk.snapshot
        try:
            text = await snapshot.text(row)
        except (OSError, MailfsError) as e:
            log.warning("mailbox of %s: %s", talk.user, e)
            session.refuse("the message cannot be read now", "SYS/TEMP")
            return
        if text is None:
            session.refuse("no such message any more")
            return
        session.begin()
        at, end = 0, len(text)
        while at < end:
            # What fails from here on would be taken for the whole: hang up instead.
            piece = await snapshot.piece(text, at, min(at + PIECE, end))
            at += len(piece)
            if not piece:
                raise Gone
            if not session.piece(piece):
                break
            if end > PIECE:
                await self._flush(talk)
        session.done()

    async def _update(self, talk: Talk, rows: Sequence[int]) -> None:
        assert talk.snapshot is not None
        try:
            # What has begun goes on to its end, though the client goes.
            await asyncio.shield(talk.snapshot.remove(rows))
        except (OSError, MailfsError) as e:
            log.warning("mailbox of %s: %s", talk.user, e)
            talk.session.refuse("the messages were not removed", "SYS/TEMP")
            return
        talk.session.grant(f"{len(rows)} messages removed")

    async def _end(self, talk: Talk) -> None:
        await self._hang_up(talk)
        if talk.leave is not None:
            self._here[talk.user] -= 1
            leave, talk.leave = talk.leave, None
            await leave()
