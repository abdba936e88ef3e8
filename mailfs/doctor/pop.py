"""A POP3 maildrop, step by step; nothing in it is marked or deleted."""

import shlex
from collections.abc import Iterator

from mailfs.doctor.finding import Finding, note, ok
from mailfs.doctor.visit import Probe
from mailfs.doctor.world import DoctorWorld
from mailfs.errors import MailfsError
from mailfs.pop.account import Account
from mailfs.pop.error import Busy
from mailfs.pop.session import Pop3Session

# What we use, and what is lost without it.
WANTED: tuple[tuple[str, str], ...] = (
    ("UIDL", "messages are told apart by reading them"),
    ("TOP", "a header is not had without the whole message"),
    ("PIPELINING", "each message takes a round trip"),
)


def check(world: DoctorWorld, spec: str, account: Account) -> Iterator[Finding]:
    """Log in, count, and leave."""
    again = shlex.join(["mailfs", "doctor", "--timeout", "60", "-f", spec])
    visit = Probe(world, spec, account.peer, account.user or "", again)
    try:
        session = Pop3Session.open(
            account, visit.keys, visit.trust, timeout=world.timeout, dial=visit.dial
        )
    except Busy as e:
        # A server of ours may have it: POP3 lets in one at a time.
        yield from visit.reached()
        yield note(f"{spec}: login", e.strerror or str(e))
        return
    except (MailfsError, OSError) as e:
        yield from visit.failed(e)
        return
    finally:
        visit.keys.close()
    yield from visit.reached()
    yield from visit.secured()
    yield visit.logged_in(session.user)
    yield ok(f"{spec}: folder", f"{session.count} messages, {session.size} octets")
    lacks = [f"no {n}: {why}" for n, why in WANTED if n not in session.capabilities]
    yield ok(f"{spec}: server", "; ".join(lacks) or "lacks nothing")
    session.leave()
