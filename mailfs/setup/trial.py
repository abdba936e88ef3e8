"""Logging in to an account's servers before anything is written.

The keys that are tried are held by a factotum of this process, which nobody else can
ask and which ends with the trial.
"""

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from mailfs import where
from mailfs.errors import MailfsError
from mailfs.factotum.agent import Agent
from mailfs.factotum.authsrv import asker
from mailfs.factotum.client import Factotum, FactotumError
from mailfs.factotum.fetch import Fetch
from mailfs.factotum.proto import PROTOS
from mailfs.factotum.step import Env
from mailfs.factotum.tree import FactotumService
from mailfs.imap import account as imap_account
from mailfs.imap.error import LoginRefused as ImapRefused
from mailfs.imap.session import ImapSession
from mailfs.p9.srv import Server as P9Server
from mailfs.pop import account as pop_account
from mailfs.pop.error import LoginRefused as PopRefused
from mailfs.pop.session import Pop3Session
from mailfs.secret import Secret
from mailfs.setup.server import MailServer
from mailfs.site.site import Site
from mailfs.smtp.auth import AuthError
from mailfs.smtp.dialogue import Opener
from mailfs.smtp.options import Options
from mailfs.smtp.route import Target
from mailfs.smtp.session import Timeouts
from mailfs.tls.trust import Policy, Trust, Vouch

TIMEOUT = 30.0  # seconds for each wait; a person sits there
_TIMEOUTS = Timeouts(TIMEOUT, TIMEOUT, TIMEOUT)

Keys = Callable[[], Factotum]
T = TypeVar("T")


class TrialRefused(MailfsError):
    """The server does not take the key."""


class Trial:
    """A factotum of our own while entered."""

    def __init__(self, fetch: Fetch) -> None:
        env = Env(os.urandom, time.time, asker(lambda dom: ""), fetch)
        self._agent = Agent(where.user(), PROTOS, env)
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> "Trial":
        self._folder = tempfile.TemporaryDirectory(prefix="mf")
        self._address = where.DialString("unix", f"{self._folder.name}/f")
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        service = FactotumService(self._agent)
        self._server = P9Server(lambda uname, aname: service.root(uname))
        self._do(self._server.listen(self._address))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._server.close())
        self._do(self._agent.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def keys(self) -> Factotum:
        """Return a connection to it."""
        return Factotum(self._address)

    def add(self, line: Secret) -> None:
        """Take a key, ``key ...``, in the place of one it equals."""
        with self.keys() as agent:
            agent.control(line.text())


def vouching(agreed: Sequence[tuple[bytes, str]], usual: Vouch) -> Vouch:
    """Return what vouches for the certificates, DER, that a person trusts at a host."""

    def vouch(chain: Sequence[bytes], host: str) -> None:
        if (chain[0], host) not in agreed:
            usual(chain, host)

    return vouch


def read(server: MailServer, user: str, keys: Keys, root: Path, vouch: Vouch) -> str:
    """Log in where mail is read, and return what is there, for a person.

    Raises Refused for a key that is not taken; MailfsError or OSError.
    """
    trust = Trust(root, Policy.CA, vouch)
    try:
        with keys() as agent:
            if server.kind == "imap":
                return _imap(server, user, agent, trust)
            return _pop(server, user, agent, trust)
    except (ImapRefused, PopRefused) as e:
        raise TrialRefused(str(e)) from e


def _imap(server: MailServer, user: str, agent: Factotum, trust: Trust) -> str:
    found = imap_account.parse(server.mailbox(user))
    assert found is not None  # it is one of IMAP's services
    session = ImapSession.open(found[0], agent, trust, timeout=TIMEOUT, compress=False)
    try:
        box = session.select(imap_account.INBOX, readonly=True)
        return f"{box.exists} messages in {imap_account.INBOX}"
    finally:
        session.logout()


def _pop(server: MailServer, user: str, agent: Factotum, trust: Trust) -> str:
    found = pop_account.parse(server.mailbox(user))
    assert found is not None  # it is one of POP's services
    session = Pop3Session.open(found, agent, trust, timeout=TIMEOUT)
    count = session.count
    session.leave()
    return f"{count} messages"


def options(server: MailServer, user: str, domain: str) -> Options:
    """Return how smtp is to reach a server; no user: without a login."""
    implicit = server.service == "submissions" and server.port not in (0, 465)
    return Options(
        auth=bool(user),
        user=user,
        domain=domain,
        tls=implicit,
        starttls=server.tls and not implicit and not user,
    )


def words(told: Options) -> list[str]:
    """Return options as remotemail gives them to smtp."""
    out = ["-a", "-u", told.user] if told.auth else []
    out += ["-t"] if told.tls else []
    out += ["-s"] if told.starttls else []
    return [*out, "-h", told.domain] if told.domain else out


def send(
    server: MailServer, told: Options, keys: Keys, site: Site, vouch: Vouch
) -> bool:
    """Log in where mail is sent, sending none; say whether it wants a login.

    Raises Refused for a key that is not taken; MailfsError.
    """
    opener = Opener(
        site.root, site.names.helo, site.log, keys, told, _TIMEOUTS, vouch=vouch
    )
    try:
        session = opener.open(Target(server.host, server.peer.port))
    except AuthError as e:
        if e.code:
            raise TrialRefused(str(e)) from e
        raise
    try:
        return bool(session.mechanisms)
    finally:
        session.finish()


def wants_login(server: MailServer, told: Options, site: Site, vouch: Vouch) -> bool:
    """Whether a server offers a login; nothing is shown to it that is secret."""
    bare = options(server, "", told.domain)

    def nobody() -> Factotum:
        raise FactotumError("nobody logs in")

    return send(server, bare, nobody, site, vouch)
