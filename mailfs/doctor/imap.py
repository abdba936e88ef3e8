"""An IMAP account, step by step: dial, TLS, login, folder, what the server can do."""

import difflib
import shlex
from collections.abc import Iterator

from mailfs.attr import quote
from mailfs.doctor import clock
from mailfs.doctor.finding import Finding, bad, note, ok
from mailfs.doctor.visit import Probe, median, milliseconds
from mailfs.doctor.world import DoctorWorld
from mailfs.errors import MailfsError
from mailfs.imap.account import ALL, INBOX, Account
from mailfs.imap.error import ImapError
from mailfs.imap.folder import Selected
from mailfs.imap.session import ImapSession

# Capabilities we use, any of a row's, and what is lost without them.
WANTED: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"IDLE"}), "new mail is seen when it is asked for"),
    (frozenset({"UIDPLUS", "IMAP4REV2"}), "messages cannot be deleted one by one"),
    (frozenset({"MOVE", "IMAP4REV2"}), "moving is copying and deleting"),
    (frozenset({"QRESYNC", "CONDSTORE"}), "opening again asks for all flags"),
    (frozenset({"LIST-STATUS", "IMAP4REV2"}), "folders are counted one by one"),
)
GRAVE = "UIDPLUS"


def check(
    world: DoctorWorld, spec: str, account: Account, folder: str
) -> Iterator[Finding]:
    """Log in, and look at a folder without changing anything in it."""
    again = shlex.join(["mailfs", "doctor", "--timeout", "60", "-f", spec])
    visit = Probe(world, spec, account.peer, account.user or "", again)
    try:
        session = ImapSession.open(
            account,
            visit.keys,
            visit.trust,
            timeout=world.timeout,
            dial=visit.dial,
            compress=False,
        )
    except (MailfsError, OSError) as e:
        yield from visit.failed(e)
        return
    finally:
        visit.keys.close()
    try:
        yield from visit.reached()
        yield from visit.secured()
        yield visit.logged_in(session.user)
        yield from _inside(world, spec, session, folder)
    except OSError as e:
        yield bad(f"{spec}: folder", e.strerror or str(e), again)
    finally:
        session.drop()


def _inside(
    world: DoctorWorld, spec: str, session: ImapSession, folder: str
) -> Iterator[Finding]:
    now = clock.told(session.greeting)
    yield from clock.against(spec, now, world.clock())
    if folder == ALL:
        count = sum(one.selectable for one in session.folders())
        yield ok(f"{spec}: folder", f"{count} folders")
        folder = INBOX
    try:
        selected = session.select(folder, readonly=True)
    except ImapError as e:
        yield _absent(spec, session, folder, e)
    else:
        yield _present(spec, selected)
        yield from _newest(world, spec, session, selected)
    yield _abilities(spec, session)


def _present(spec: str, selected: Selected) -> Finding:
    what = f"{spec}: folder"
    text = f"{selected.folder}: {selected.exists} messages"
    if not selected.uidvalidity:
        return note(what, f"{text}; without UIDVALIDITY nothing of it can be kept")
    return ok(what, text)


def _absent(spec: str, session: ImapSession, folder: str, error: ImapError) -> Finding:
    text = error.text
    here = [one.name for one in session.folders() if one.selectable]
    near = difflib.get_close_matches(folder, here, 1)
    if near:
        text += f"; there is {near[0]}"
        meant = spec.removesuffix(folder) + near[0]
        remedy = shlex.join(["mailfs", "doctor", "-f", meant])
    else:
        command = shlex.quote(f"create {quote(spec)}")
        remedy = f"echo {command} | mailfs 9p write upasfs/ctl"
    return bad(f"{spec}: folder", f"{folder}: {text}", remedy)


def _newest(
    world: DoctorWorld, spec: str, session: ImapSession, selected: Selected
) -> Iterator[Finding]:
    """See whether the last message has come before it came."""
    if selected.exists and selected.uidnext > 1:
        dates = session.columns(f"{selected.uidnext - 1}:*").dates
        latest = float(max(dates, default=0))
        if latest > world.clock():
            yield from clock.against(spec, latest, world.clock())


def _abilities(spec: str, session: ImapSession) -> Finding:
    lacks = [
        (min(names & {GRAVE} or names), why)
        for names, why in WANTED
        if not names & session.capabilities
    ]
    trip = median(session.noop)
    text = f"a round trip is {milliseconds(trip)}; "
    text += "; ".join(f"no {name}: {why}" for name, why in lacks) or "lacks nothing"
    if session.quirks.lacks:
        text += f"; not used, for it is broken there: {' '.join(session.quirks.lacks)}"
    what = f"{spec}: server"
    return note(what, text) if any(n == GRAVE for n, _ in lacks) else ok(what, text)
