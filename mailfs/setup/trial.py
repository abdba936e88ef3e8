"""Logging in to an account's servers before anything is written.

The keys that are tried are held by a factotum of this process.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mailfs.errors import MailfsError
from mailfs.factotum.client import Factotum, FactotumError
from mailfs.imap import account as imap_account
from mailfs.imap import greet
from mailfs.imap.error import LoginRefused as ImapRefused
from mailfs.imap.session import ImapSession
from mailfs.pop import account as pop_account
from mailfs.pop.error import LoginRefused as PopRefused
from mailfs.pop.session import Pop3Session
from mailfs.remote.stream import tcp
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
_TOKENS = frozenset({"XOAUTH2", "OAUTHBEARER"})  # mechanisms that take OAuth2 tokens

Keys = Callable[[], Factotum]


class TrialRefused(MailfsError):
    """The server does not take the key."""


def vouching(agreed: Sequence[tuple[bytes, str]], usual: Vouch) -> Vouch:
    """Make the trust in the certificates, DER, that a person accepts at a host."""

    def vouch(chain: Sequence[bytes], host: str) -> None:
        if (chain[0], host) not in agreed:
            usual(chain, host)

    return vouch


@dataclass(frozen=True, slots=True)
class Reading:
    """What is where mail is read: for a person, and the folder of what was sent."""

    told: str
    sent: str = ""  # empty if there is none


def read(
    server: MailServer, user: str, keys: Keys, root: Path, vouch: Vouch
) -> Reading:
    """Log in where mail is read, and return what is there.

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


def _imap(server: MailServer, user: str, agent: Factotum, trust: Trust) -> Reading:
    found = imap_account.parse(server.mailbox(user))
    assert found is not None  # it is one of IMAP's services
    session = ImapSession.open(found[0], agent, trust, timeout=TIMEOUT, compress=False)
    try:
        box = session.select(imap_account.INBOX, readonly=True)
        folders = session.folders(counts=False)
        sent = [one.name for one in folders if one.special == "sent" and one.selectable]
        told = f"{box.exists} messages in {imap_account.INBOX}"
        return Reading(told, sent[0] if sent else "")
    finally:
        session.logout()


def _pop(server: MailServer, user: str, agent: Factotum, trust: Trust) -> Reading:
    found = pop_account.parse(server.mailbox(user))
    assert found is not None  # it is one of POP's services
    session = Pop3Session.open(found, agent, trust, timeout=TIMEOUT)
    count = session.count
    session.leave()
    return Reading(f"{count} messages")


def options(server: MailServer, user: str, domain: str) -> Options:
    """Make smtp's options for a server; no user: without a login."""
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


def offers_oauth(server: MailServer, site: Site, vouch: Vouch) -> bool:
    """Whether a server says before any login that it takes OAuth2 tokens.

    One that cannot be asked does not; the login tells what is wrong with it.
    """
    try:
        if server.kind == "imap":
            return bool(_TOKENS & _imap_mechanisms(server, site.root, vouch))
        if server.kind == "smtp":
            return bool(_TOKENS.intersection(_smtp_mechanisms(server, site, vouch)))
    except (MailfsError, OSError):
        pass
    return False


def _imap_mechanisms(server: MailServer, root: Path, vouch: Vouch) -> frozenset[str]:
    found = imap_account.parse(server.mailbox(""))
    assert found is not None  # it is one of IMAP's services
    trust = Trust(root, Policy.CA, vouch)
    greeted = greet.connect(
        found[0],
        trust,
        lambda raw: None,
        dialer=tcp,
        opened=lambda stream: None,
        timeout=TIMEOUT,
        clock=time.monotonic,
    )
    try:
        greet.ask(greeted)
        offered = greeted.capabilities
    finally:
        greeted.wire.close()
    return frozenset(c[5:] for c in offered if c.startswith("AUTH="))


def _smtp_mechanisms(server: MailServer, site: Site, vouch: Vouch) -> list[str]:
    bare = options(server, "", "")
    opener = Opener(
        site.root, site.names.helo, site.log, _nobody, bare, _TIMEOUTS, vouch=vouch
    )
    session = opener.open(Target(server.host, server.peer.port))
    try:
        return session.mechanisms
    finally:
        session.finish()


def _nobody() -> Factotum:
    raise FactotumError("nobody logs in")


def wants_login(server: MailServer, told: Options, site: Site, vouch: Vouch) -> bool:
    """Whether a server offers a login; nothing is shown to it that is secret."""
    bare = options(server, "", told.domain)
    return send(server, bare, _nobody, site, vouch)
