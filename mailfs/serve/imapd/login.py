"""Who the client is, and how the connection is protected; RFC 9051 section 6.1, 6.2."""

import asyncio
import logging
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from mailfs.errors import MailfsError
from mailfs.serve import limits
from mailfs.serve.imapd import capability, reader
from mailfs.serve.imapd.actions import Authenticate, Compress, Enable, Id, Login
from mailfs.serve.imapd.command import Request, octets
from mailfs.serve.imapd.compress import Deflate
from mailfs.serve.imapd.cursor import BadCommand
from mailfs.serve.imapd.session import Session, bad, no
from mailfs.serve.login import Attempt, LoginFailed

log = logging.getLogger(__name__)

T = TypeVar("T")
MAX_FAILURES = 3  # logins in one connection
_WRONG = "Authentication failed."
IDENTITY = b'("name" "mailfs")'


async def capability_(session: Session, request: Request) -> None:
    """CAPABILITY."""
    session.line(f"CAPABILITY {session.capabilities}")


async def id_(session: Session, request: Request) -> None:
    """ID: say who we are; who the client is matters to the log only."""
    assert isinstance(request.action, Id)
    who = {name.lower(): value for name, value in request.action.pairs}
    shown = b" ".join(who.get(name, b"") for name in (b"name", b"version"))
    log.debug("client %r", shown[:200])
    session.say(b"* ID " + IDENTITY + b"\r\n")


async def logout(session: Session, request: Request) -> None:
    """LOGOUT."""
    session.line("BYE logging out")
    session.closing = True


async def starttls(session: Session, request: Request) -> None:
    """STARTTLS: the answer goes out in clear, and nothing from before counts."""
    context = session.house.context
    if context is None or session.wire.secure:
        raise bad("STARTTLS not offered")
    if session.reader.buffered or session.wire.waiting:
        session.closing = True
        raise bad("commands came behind STARTTLS")
    try:
        made = await asyncio.to_thread(context)
    except (OSError, MailfsError) as e:
        log.error("STARTTLS: %s", e)  # noqa: TRY400  # no bug of ours
        raise no("TLS not available") from e
    session.say(f"{request.tag} OK begin TLS\r\n".encode())
    await session.flush()
    await session.wire.start_tls(made)
    session.reader = reader.Reader()
    session.silent = True


async def login(session: Session, request: Request) -> None:
    """LOGIN: SASL PLAIN in other words."""
    action = request.action
    assert isinstance(action, Login)
    if "PLAIN" not in session.mechanisms:
        raise no("LOGIN needs TLS", "PRIVACYREQUIRED")
    initial = b"\0%s\0%s" % (action.user, action.password)
    if b"\0" in action.user or b"\0" in action.password:
        raise bad("NUL in LOGIN")
    await _login(session, "PLAIN", initial, action.user)


async def authenticate(session: Session, request: Request) -> None:
    """AUTHENTICATE."""
    action = request.action
    assert isinstance(action, Authenticate)
    if action.mechanism not in session.mechanisms:
        if not session.mechanisms:
            raise no("AUTHENTICATE needs TLS", "PRIVACYREQUIRED")
        raise no("unknown mechanism", "CANNOT")
    await _login(session, action.mechanism, action.initial)


async def _login(
    session: Session, mechanism: str, initial: bytes | None, user: bytes = b""
) -> None:
    agent = session.house.agent
    assert agent is not None
    peer = limits.network(session.wire.peer)
    if not session.house.table.note(peer, "failures"):
        session.closing = True
        raise no("too many logins; try again later", "UNAVAILABLE")
    try:
        attempt = await asyncio.to_thread(Attempt, agent, mechanism)
    except LoginFailed as e:
        raise await _failed(session, mechanism, user, e) from None
    try:
        await _dialogue(session, attempt, initial)
        if attempt.user:
            await session.welcome(attempt.user)
    except LoginFailed as e:
        raise await _failed(session, mechanism, user, e) from None
    finally:
        await asyncio.to_thread(attempt.close)
    session.house.table.forgive(peer, "failures")
    log.info("login: %s from %s by %s", session.user, session.wire.peer, mechanism)
    session.code = f"CAPABILITY {session.capabilities}"


async def _dialogue(session: Session, attempt: Attempt, initial: bytes | None) -> None:
    """Ask and answer until the client is known.  Raises LoginFailed, Done."""
    challenge = await _step(partial(attempt.begin, initial))
    while challenge is not None:
        session.say(b"+ " + b64encode(challenge) + b"\r\n")
        text = await session.line_in()
        if text == b"*":
            raise bad("cancelled")
        try:
            response = octets(text)
        except BadCommand as e:
            raise bad(str(e)) from e
        challenge = await _step(partial(attempt.step, response))
    if session.house.stores(attempt.user) is None:
        raise LoginFailed("no mailboxes of that user here")


async def _step(job: Callable[[], T]) -> T:
    return await asyncio.to_thread(job)


async def _failed(
    session: Session, mechanism: str, user: bytes, why: LoginFailed
) -> Exception:
    """Wait, then return the end of a login: whatever failed, the client hears the same.

    The name is as the client gave it.
    """
    session.failures += 1
    log.info(
        "auth failed: imap %r %s %s: %s",
        user.decode("utf-8", "replace")[:100],
        session.wire.peer,
        mechanism,
        why,
    )
    await session.flush()
    pause = session.house.patience.failure
    await asyncio.sleep(min(session.failures, 5) * pause)
    if session.failures >= MAX_FAILURES:
        session.line("BYE too many failed logins")
        session.closing = True
    if why.passing:
        return no("Temporary authentication failure.", "UNAVAILABLE")
    return no(_WRONG, "AUTHENTICATIONFAILED")


async def compress(session: Session, request: Request) -> None:
    """COMPRESS: the answer goes out as it is."""
    assert isinstance(request.action, Compress)
    if session.deflate is not None:
        raise no("compressed already", "COMPRESSIONACTIVE")
    if request.action.algorithm != "DEFLATE":
        raise bad("unknown algorithm")
    if session.reader.buffered or session.wire.waiting:
        session.closing = True
        raise bad("commands came behind COMPRESS")
    session.say(f"{request.tag} OK deflate begins\r\n".encode())
    await session.flush()
    session.deflate, session.silent = Deflate(), True


async def enable(session: Session, request: Request) -> None:
    """ENABLE: an answer always comes, with what was enabled now; RFC 5161."""
    assert isinstance(request.action, Enable)
    wanted = [name for name in request.action.names if name in capability.ENABLES]
    fresh = [name for name in dict.fromkeys(wanted) if name not in session.enabled]
    session.enabled.update(fresh)
    if "QRESYNC" in fresh:
        session.told.vanished = True
    if {"QRESYNC", "CONDSTORE"} & set(fresh):
        session.told.modseq = True
    if "IMAP4REV2" in fresh:
        session.told.recent = False
    session.say(f"* ENABLED{''.join(f' {name}' for name in fresh)}\r\n".encode())
