"""A server that takes our mail: dial, TLS, login, as the queue's smtp does it."""

import shlex
from collections.abc import Iterator
from dataclasses import replace

from mailfs.attr import quote, show, value
from mailfs.doctor import clock
from mailfs.doctor.finding import Finding, bad, note, ok
from mailfs.doctor.visit import Probe
from mailfs.doctor.world import DoctorWorld
from mailfs.errors import MailfsError
from mailfs.factotum.client import NeedKey
from mailfs.site.log import SysLog
from mailfs.smtp.auth import AuthError
from mailfs.smtp.dialogue import SUBMISSIONS, Opener
from mailfs.smtp.fate import DeliveryError
from mailfs.smtp.options import Options
from mailfs.smtp.path import Dial
from mailfs.smtp.route import Target
from mailfs.smtp.session import SmtpSession, Timeouts
from mailfs.tls.service import SERVICES, Peer
from mailfs.tls.trust import Untrusted

_BANNER = "<- 220"
SENDING = ("smtp", "submission", "submissions", "ssmtp", "esmtp")  # in keys


def check(
    world: DoctorWorld, dest: Dial, options: Options, helo: str
) -> Iterator[Finding]:
    """Connect and log in; no message is offered."""
    what = f"smtp {dest}"
    implicit = options.tls or dest.port == SUBMISSIONS
    peer = Peer(SERVICES["ssmtp" if implicit else "smtp"], dest.host, dest.port)
    visit = Probe(world, what, peer, options.user, "mailfs doctor --timeout 60")
    said: list[str] = []
    wait = world.timeout
    opener = Opener(
        world.root,
        helo,
        SysLog(world.root / "nowhere", ""),  # looking leaves no trace
        lambda: visit.keys,
        replace(options, ping=False),
        Timeouts(wait, wait, wait, wait, wait, wait, min(wait, 5.0)),
        dialer=visit.dial,
        vouch=world.trust.vouch,
        trace=said.append,
    )
    try:
        session = opener.open(Target(dest.host, dest.port))
    except (DeliveryError, OSError) as e:
        yield from visit.reached()
        yield _failed(visit, options, e)
        return
    finally:
        visit.keys.close()
    yield from visit.reached()
    yield _line(visit.what, session, options)
    banner = next((line for line in said if line.startswith(_BANNER)), "")
    yield from clock.against(what, clock.told(banner), world.clock())
    session.finish()


def _line(what: str, session: SmtpSession, options: Options) -> Finding:
    words = ["TLS" if session.tls else "no TLS"]
    if options.auth:
        words.append("logged in" if session.mechanisms else "no login is offered")
    if session.size:
        words.append(f"messages up to {session.size >> 20} MB")
    text = ", ".join(words)
    if session.tls or session.loopback:
        return ok(f"{what}: server", text)
    return note(f"{what}: server", f"{text}: others could read what is sent")


def _failed(visit: Probe, options: Options, error: Exception) -> Finding:
    what, peer = visit.what, visit.peer
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Untrusted):
            text = str(cause).partition("; to trust it run: ")[0]
            return bad(f"{what}: tls", text, cause.command)
        if isinstance(cause, NeedKey):
            remedy = visit.world.add_key(cause.wanted)
            return bad(f"{what}: login", f"no key for {cause.wanted}", remedy)
        cause = cause.__cause__
    if isinstance(error, AuthError):
        if not visit.keys.reached:
            return bad(f"{what}: login", str(error), "mailfs factotum &")
        remedy = visit.world.add_key(_template(visit, options, peer.host))
        return bad(f"{what}: login", str(error), remedy)
    if not visit.address:
        return bad(f"{what}: dial", str(error), f"nc -vz {peer.host} {peer.port}")
    text = str(error) if isinstance(error, MailfsError) else f"{error}"
    return bad(f"{what}: server", text, shlex.join(["mailfs", "trust", *peer.words()]))


def _template(visit: Probe, options: Options, host: str) -> str:
    """Describe the key that was refused, its secret to be asked for; else a new one."""
    with visit.world.agent() as agent:  # the login has hung up on its own
        listed = agent.keys()
    for key in listed:
        mine = not options.user or value(key, "user") == options.user
        sends = value(key, "service") in (None, *SENDING)
        if mine and sends and value(key, "server") == host:
            return show(key)
    user = f"user={quote(options.user)}" if options.user else "user?"
    return f"proto=pass service=smtp server={quote(host)} {user} !password?"
