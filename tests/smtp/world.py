"""A client below a root of its own, and servers for it to talk to."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from mailfs.factotum.client import Factotum
from mailfs.ndb.db import open_ndb
from mailfs.ndb.sysname import SystemNames
from mailfs.site.log import SysLog
from mailfs.smtp.client import SmtpClient, SmtpMail
from mailfs.smtp.dialogue import Opener
from mailfs.smtp.dkim import Signers
from mailfs.smtp.dns import Dns, Resolvers
from mailfs.smtp.options import parse
from mailfs.smtp.route import Dialer, MxRouter
from mailfs.smtp.session import Timeouts
from mailfs.smtp.source import OctetSource
from mailfs.smtp.sts import Policies
from tests.factotum.serving import Loop

NOW = 1795351508.0
TEXT = b"From: glenda@h.org\nTo: a@b.com\nSubject: hello\n\nhello\n"
QUICK = Timeouts(2, 2, 2, 2, 2, 2, 2)


def no_factotum() -> Factotum:
    raise FileNotFoundError(2, "No such file or directory")


def logs(root: Path, *names: str) -> None:
    """Make the logs, which nobody else does."""
    folder = root / "sys/log"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ("smtp", "smtp.fail", "runq", "mail"):
        (folder / name).touch()


def logged(root: Path, name: str = "smtp") -> list[str]:
    """Return the lines of a log without their stamps."""
    text = (root / "sys/log" / name).read_text()
    return [line.split(" ", 4)[-1] for line in text.splitlines()]


def client(
    root: Path,
    *words: str,
    resolvers: Resolvers | None = None,
    keys: Callable[[], Factotum] = no_factotum,
    timeouts: Timeouts = QUICK,
    dialer: Dialer | None = None,
    trace: Callable[[str], None] = lambda line: None,
    cache: Path | None = None,
    fetch: Callable[[str], bytes] | None = None,
) -> SmtpClient:
    """Return a client; words are the options of the verb."""
    ndb, names = open_ndb(root), SystemNames("gnot.h.org", "gnot", ("gnot.h.org",))
    log = SysLog(root, "gnot", lambda: NOW)
    asker = Dns(resolvers or Resolvers(("127.0.0.1",), 1))
    policies = Policies(asker, cache, fetch) if fetch else None
    options = parse(words)
    opener = Opener(root, names.helo, log, keys, options, timeouts, dialer, trace=trace)
    router = MxRouter(asker, policies, names.all)
    signers = Signers(keys)
    return SmtpClient(opener, router, ndb, names, log, signers, clock=lambda: NOW)


def posted(text: bytes, dest: str, sender: str, rcpts: tuple[str, ...]) -> SmtpMail:
    return SmtpMail(OctetSource(text), dest, sender, rcpts)


def mail(port: int, *rcpts: str, text: bytes = TEXT, whole: bool = False) -> SmtpMail:
    dest = f"net!127.0.0.1!{port}"
    one = posted(text, dest, "glenda", rcpts or ("a@b.com",))
    return replace(one, whole=whole)


class Box:
    """Keeps what comes; refuses recipients as ``rcpts`` says, messages as ``data``."""

    def __init__(self) -> None:
        self.got: list[Envelope] = []
        self.rcpts: dict[str, str] = {}
        self.data = "250 2.0.0 kept"
        self.extensions: list[str] = []
        self.names: list[str] = []

    async def handle_EHLO(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        session.host_name = hostname
        self.names.append(hostname)
        return [*responses[:-1], *(f"250-{x}" for x in self.extensions), responses[-1]]

    async def handle_RCPT(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        reply = self.rcpts.get(address, "250 2.1.5 ok")
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return reply

    async def handle_DATA(
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if self.data.startswith("2"):
            self.got.append(envelope)
        return self.data


def context(pem: Path) -> ssl.SSLContext:
    """Return the server's side of TLS with PEM and KEY beside it."""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(pem, pem.with_suffix(".key"))
    return ctx


@contextlib.contextmanager
def receiver(
    box: object,
    *,
    host: str = "127.0.0.1",
    implicit: ssl.SSLContext | None = None,
    **told: Any,
) -> Iterator[int]:
    """Run aiosmtpd on a port of its own, which is yielded."""
    loop = Loop()
    sessions: list[SMTP] = []

    def session() -> SMTP:
        sessions.append(SMTP(box, hostname="test", ident="test", loop=None, **told))
        return sessions[-1]

    async def listen() -> asyncio.Server:
        here = asyncio.get_running_loop()
        return await here.create_server(session, host, 0, ssl=implicit)

    async def close() -> None:
        server.close()
        for one in sessions:
            if isinstance(one.transport, asyncio.WriteTransport):
                one.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    server = loop.do(listen())
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.do(close())
        loop.close()
