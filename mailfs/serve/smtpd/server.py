"""A connection of the SMTP server: a session's questions, put to policy and intake."""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from mailfs.errors import MailfsError, reason
from mailfs.serve import limits
from mailfs.serve.limits import Table
from mailfs.serve.login import Agent, Attempt, LoginFailed, ways
from mailfs.serve.smtpd import submission
from mailfs.serve.smtpd.grammar import Path as MailPath
from mailfs.serve.smtpd.grey import Greylist
from mailfs.serve.smtpd.intake import Intake, Trace
from mailfs.serve.smtpd.lists import Lookup
from mailfs.serve.smtpd.net import address
from mailfs.serve.smtpd.policy import Client, Policy, Switches
from mailfs.serve.smtpd.session import (
    Abandoned,
    Auth,
    Begin,
    End,
    Hello,
    Limits,
    Octets,
    Question,
    Recipient,
    Reply,
    Response,
    Sender,
    Session,
    StartTls,
)
from mailfs.serve.smtpd.spool import Budget, Spool, SpoolFull
from mailfs.serve.smtpd.tables import Current
from mailfs.serve.wire import Gone, Wire

log = logging.getLogger(__name__)

T = TypeVar("T")
WORKERS = 8  # threads that resolve and deliver
BUSY = Reply(421, "4.7.0", "too many connections from your network; try again later")
ENDING = Reply(421, "4.3.2", "the server ends; try again later")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for the client; RFC 5321 section 4.5.3.2.

    A deadline is set when we begin to wait: octets that drip in do not move it.
    """

    command: float = 300.0
    text: float = 180.0  # for a message, and a second more for each `rate` octets
    rate: float = 1000.0
    session: float = 1800.0  # of a stranger's session, from its last message on
    tarpit: float = 1.0  # more for each refused command, up to ten of them


@dataclass(frozen=True, slots=True)
class Logins:
    """How clients may log in."""

    required: bool = False  # before MAIL
    clear: bool = False  # passwords without TLS, from anywhere
    attempts: int = 3  # in one session
    delay: float = 1.0  # seconds more for each failure, up to five of them


@dataclass(slots=True)
class Talk:
    """One conversation."""

    wire: Wire
    session: Session
    policy: Policy
    client: Client
    peer: str  # what it counts for in the table
    until: float  # the loop's time at which a stranger has to go
    lmtp: bool
    spool: Spool | None = None
    login: Attempt | None = None
    failures: int = 0  # logins
    begun: float = 0.0  # the loop's time at which the message began


class Smtpd:
    """The server of one root, on an event loop."""

    def __init__(
        self,
        root: Path,
        user: str,
        *,
        lookup: Lookup,
        switches: Switches | None = None,
        context: Callable[[], ssl.SSLContext] | None = None,
        domain: str = "",
        patience: Patience | None = None,
        table: Table | None = None,
        budget: Budget | None = None,
        agent: Agent | None = None,
        logins: Logins | None = None,
    ) -> None:
        """Read the tables.  Raises OSError and MailfsError.

        context  gives the TLS context of STARTTLS; without it, it is not offered
        domain   our name, over defaultdomain
        agent    dials the factotum; without it, AUTH is not offered
        """
        self._root = root
        self._intake = Intake(root, user)
        self._tables = Current(root)
        self._lookup = lookup
        self._switches = switches or Switches()
        self._context = context
        self._domain = domain
        self._patience = patience or Patience()
        self._table = table or Table(time.monotonic)
        self._budget = budget or Budget()
        self._grey = Greylist(root)
        self._agent = agent
        self._logins = logins or Logins()
        self._workers = ThreadPoolExecutor(WORKERS, "smtpd")

    def close(self) -> None:
        """Let go of the threads; what they deliver they finish."""
        self._workers.shutdown(wait=True, cancel_futures=True)

    async def smtp(self, wire: Wire) -> None:
        """Hold an SMTP conversation."""
        await self._converse(wire, lmtp=False)

    async def lmtp(self, wire: Wire) -> None:
        """Hold an LMTP conversation; RFC 2033."""
        await self._converse(wire, lmtp=True)

    async def _converse(self, wire: Wire, *, lmtp: bool) -> None:
        tables = await self._work(self._tables.get)
        policy = Policy(
            self._intake.site,
            tables,
            self._switches,
            self._lookup,
            self._grey,
            self._domain,
        )
        shown = wire.peer
        client = policy.client(shown or "local", address(shown))
        if policy.silent(client):
            return
        bounds = Limits(size=tables.conf.maxsize, recipients=tables.conf.maxrcpts)
        offer = () if lmtp else await ways(self._agent)
        session = Session(
            policy.domain,
            bounds,
            lmtp=lmtp,
            tls=self._context is not None and not wire.secure and not lmtp,
            normalize=client.address in tables.conf.normalize,
            mechanisms=offer if self._may_show(client, secure=wire.secure) else (),
            secret=offer,
        )
        peer = limits.network(shown)
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience.session
        talk = Talk(wire, session, policy, client, peer, until, lmtp)
        trusted = client.trusted  # later it may have logged in
        if not self._table.enter(peer, trusted=trusted):
            session.close(BUSY)
            await self._flush(talk)
            return
        try:
            await self._greet(talk)
            await self._dialogue(talk)
        except asyncio.CancelledError:
            session.close(ENDING)
            with suppress(Gone):
                await self._flush(talk)
        finally:
            self._table.leave(peer, trusted=trusted)
            self._drop(talk)
            self._hang_up(talk)

    async def _greet(self, talk: Talk) -> None:
        """Greet; a stranger who cannot wait for it is no mail server."""
        name = talk.session.domain
        kind = "LMTP" if talk.lmtp else "ESMTP"
        pause = talk.policy.tables.conf.earlytalker
        if pause and not talk.client.known and not talk.lmtp:
            await talk.wire.send(f"220-{name} {kind}\r\n".encode(), talk.until)
            with suppress(Gone):
                loop = asyncio.get_running_loop()
                talk.session.feed(await talk.wire.read(loop.time() + pause))
                log.info("Hung up on impatient spammer %s", talk.client.shown)
                talk.session.close(Reply(554, "5.7.0", "Spammer!"))
                return
        talk.session.say(Reply(220, "", f"{name} {kind}"))

    async def _dialogue(self, talk: Talk) -> None:
        session = talk.session
        while not session.closed:
            question = session.next()
            if question is not None:
                await self._answer(talk, question)
                continue
            await self._flush(talk)
            if not session.closed:
                session.feed(await self._read(talk))
        await self._flush(talk)

    async def _read(self, talk: Talk) -> bytes:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience.command
        if talk.spool is not None:
            grown = talk.session.size / self._patience.rate
            deadline = talk.begun + self._patience.text + grown
        elif not talk.client.trusted:
            deadline = min(deadline, talk.until)
        try:
            return await talk.wire.read(deadline)
        except Gone as e:
            if e.late:
                talk.session.close(Reply(421, "4.4.2", "waited too long"))
                await self._flush(talk)
            raise

    async def _flush(self, talk: Talk) -> None:
        octets = talk.session.take()
        if octets:
            loop = asyncio.get_running_loop()
            await talk.wire.send(octets, loop.time() + self._patience.command)

    async def _work(self, job: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._workers, job)

    async def _answer(self, talk: Talk, question: Question) -> None:
        match question:
            case Octets(data):
                await self._keep(talk, data)
            case Abandoned():
                self._drop(talk)
                self._hang_up(talk)
            case StartTls():
                await self._secure(talk)
            case End(size):
                talk.session.answer_each(await self._deliver(talk, size))
                self._drop(talk)
            case Auth(mechanism, initial):
                await self._login(talk, mechanism, initial)
            case Response(data):
                if (login := talk.login) is None:
                    talk.session.answer(Reply(503, "5.5.1", "no login was begun"))
                else:
                    await self._proceed(talk, login, partial(login.step, data))
            case Hello() | Sender() | Recipient() | Begin():
                reply = await self._judge(talk, question)
                if not reply.good:
                    await self._tarpit(talk)
                talk.session.answer(reply)
                if reply.code == 554 and isinstance(question, Hello):
                    talk.session.end()

    async def _judge(
        self, talk: Talk, question: Hello | Sender | Recipient | Begin
    ) -> Reply:
        """Return the reply to what may be refused."""
        policy, client, envelope = talk.policy, talk.client, talk.session.envelope
        match question:
            case Hello(name):
                log.info("ehlo from %s as %s", client.shown, name)
                return policy.hello(client, name)
            case Sender(path):
                if self._logins.required and not (client.trusted or talk.lmtp):
                    return Reply(530, "5.7.0", "Authentication required")
                if not client.trusted and not self._table.note(talk.peer, "messages"):
                    return Reply(421, "4.7.0", "too many messages; try again later")
                if client.user:
                    ask = partial(submission.sender, policy, client.user, path)
                    refusal = await self._work(ask)
                    if refusal is not None:
                        return refusal
                return policy.sender(client, path)
            case Recipient(path, _):
                job = partial(self._recipient, policy, client, envelope.sender, path)
                reply = await self._work(job)
                counted = reply.code >= 500 and not client.trusted
                if counted and not self._table.note(talk.peer, "refusals"):
                    return Reply(421, "4.7.0", "too many unknown recipients")
                return reply
            case Begin():
                now = int(self._intake.site.clock())
                to = tuple(envelope.recipients)
                job = partial(policy.begin, client, envelope.sender, to, now)
                reply = await self._work(job)
                if reply.good:
                    talk.spool = Spool(self._root, self._budget)
                    talk.begun = asyncio.get_running_loop().time()
                return reply

    def _recipient(
        self, policy: Policy, client: Client, sender: MailPath, path: MailPath
    ) -> Reply:
        found = policy.recipient(client, path)
        return found if found is not None else self._intake.resolve(sender, path)

    async def _tarpit(self, talk: Talk) -> None:
        if not talk.client.trusted:
            await self._flush(talk)
            await asyncio.sleep(min(talk.session.errors, 10) * self._patience.tarpit)

    async def _keep(self, talk: Talk, data: bytes) -> None:
        """Add to the message; one that there is no room for is refused at its end."""
        if talk.spool is None:
            return
        try:
            await self._work(partial(talk.spool.write, data))
        except (SpoolFull, OSError) as e:
            why = reason(e) if isinstance(e, OSError) else str(e)
            log.warning("message from %s: %s", talk.client.shown, why)
            self._drop(talk)

    def _may_show(self, client: Client, *, secure: bool) -> bool:
        """Whether a password may be shown: no one goes in clear but to here."""
        near = client.address is not None and client.address.is_loopback
        return secure or near or self._logins.clear

    async def _login(self, talk: Talk, mechanism: str, initial: bytes | None) -> None:
        if self._agent is None:
            talk.session.answer(Reply(502, "5.5.1", "AUTH not offered here"))
            return
        if not self._table.note(talk.peer, "failures"):
            talk.session.answer(Reply(421, "4.7.0", "too many logins; try later"))
            return
        try:
            attempt = await self._work(partial(Attempt, self._agent, mechanism))
        except LoginFailed as e:
            await self._failed(talk, e)
            return
        talk.login = attempt
        await self._proceed(talk, attempt, lambda: attempt.begin(initial))

    async def _proceed(
        self, talk: Talk, attempt: Attempt, job: Callable[[], bytes | None]
    ) -> None:
        try:
            challenge = await self._work(job)
        except LoginFailed as e:
            await self._failed(talk, e)
            return
        if challenge is not None:
            talk.session.challenge(challenge)
            return
        talk.login = None
        await self._work(attempt.close)
        log.info("auth(%s, (protected)) from %s", attempt.user, talk.client.shown)
        talk.client.user, talk.client.trusted = attempt.user, True
        self._table.forgive(talk.peer, "failures")
        talk.session.logged_in(attempt.user)

    async def _failed(self, talk: Talk, why: LoginFailed) -> None:
        log.info("auth failed: smtp %s %s", talk.client.shown, why)
        self._hang_up(talk)
        talk.failures += 1
        await self._flush(talk)
        await asyncio.sleep(min(talk.failures, 5) * self._logins.delay)
        if why.passing:
            reply = Reply(454, "4.7.0", "Temporary authentication failure")
        elif talk.failures >= self._logins.attempts:
            reply = Reply(421, "4.7.0", "Authentication failed too often")
        else:
            reply = Reply(535, "5.7.8", "Authentication failed")
        talk.session.answer(reply)

    def _hang_up(self, talk: Talk) -> None:
        """End a login that is not complete."""
        attempt, talk.login = talk.login, None
        if attempt is not None:
            self._workers.submit(attempt.close)

    def _drop(self, talk: Talk) -> None:
        if talk.spool is not None:
            talk.spool.close()
            talk.spool = None

    async def _deliver(self, talk: Talk, size: int) -> list[Reply]:
        envelope = talk.session.envelope
        to = tuple(envelope.recipients)
        each = len(to) if talk.lmtp else 1
        spool = talk.spool
        if spool is None:
            return [Reply(452, "4.3.1", "no room for the message now")] * each
        if talk.client.user:
            refusal = await self._work(partial(_submitted, talk, spool))
            if refusal is not None:
                return [refusal] * each
        refusal = talk.policy.after(talk.client)
        if refusal is not None:
            log.info("Blocked %s (%s)", envelope.sender, talk.client.shown)
            if talk.policy.saving:
                await self._work(lambda: self._intake.save(spool.read()))
            return [refusal] * each
        trace = Trace(
            talk.session.name,
            talk.client.shown,
            talk.policy.domain,
            _protocol(talk),
        )
        # What has begun goes on to its end, though the client or the server goes: it
        # was not told that the message is ours, and may send it again.
        job = partial(
            self._intake.deliver,
            trace,
            envelope.sender,
            to,
            each=talk.lmtp,
            dsn=envelope.dsn,
        )
        replies = await asyncio.shield(self._work(lambda: job(text=spool.read())))
        who = f"[{talk.session.name}/{talk.client.shown}]"
        names = " ".join(map(str, to))[:1000]
        log.info("%s %s sent %d bytes to %s", who, envelope.sender, size, names)
        talk.until = asyncio.get_running_loop().time() + self._patience.session
        return replies

    async def _secure(self, talk: Talk) -> None:
        if self._context is None:
            talk.session.answer(Reply(454, "4.7.0", "TLS not available"))
            return
        try:
            context = await self._work(self._context)
        except (OSError, MailfsError) as e:
            log.error("STARTTLS: %s", e)  # noqa: TRY400  # no bug of ours
            talk.session.answer(Reply(454, "4.7.0", "TLS not available"))
            return
        talk.session.answer(Reply(220, "2.0.0", "Go ahead make my day"))
        await self._flush(talk)
        await talk.wire.start_tls(context)
        talk.session.secured()
        log.info("started TLS with %s", talk.client.shown)


def _submitted(talk: Talk, spool: Spool) -> Reply | None:
    """Refuse a letter in another's name; put before it what it lacks."""
    head = spool.head(submission.MAX_HEADER)
    refusal = submission.check(talk.policy, talk.client.user, head)
    if refusal is None:
        policy = talk.policy
        spool.front = submission.missing(policy.site, head, policy.domain)
    return refusal


def _protocol(talk: Talk) -> str:
    """Return the protocol as Received: names it; RFC 3848, RFC 6531."""
    if talk.lmtp:
        return "LMTP"
    utf8 = "UTF8" if talk.session.envelope.utf8 else ""
    name = f"{utf8}SMTP" if utf8 or not talk.session.extended else "ESMTP"
    name += "S" if talk.wire.secure else ""
    return name + ("A" if talk.client.user else "")
