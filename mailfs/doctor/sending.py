"""What sending needs: the network database, the rules, the queue, its servers."""

import shlex
from collections.abc import Iterator, Sequence
from functools import partial

from mailfs.attr import Attrs
from mailfs.doctor import account, smtp
from mailfs.doctor.finding import Finding, bad, note, ok
from mailfs.doctor.rounds import ProbeJob
from mailfs.doctor.world import DoctorWorld
from mailfs.errors import MailfsError, reason
from mailfs.ndb.sysname import attribute
from mailfs.queue import spool, status
from mailfs.queue.status import QueueRow
from mailfs.runq import runq, script
from mailfs.send import rewrite
from mailfs.site import site as sites
from mailfs.site.site import Site
from mailfs.smtp.options import DEFAULT, Options
from mailfs.smtp.path import BadPath, dial

STUCK = 24 * 3600.0  # seconds in the queue after which somebody should look
MAX_SHOWN = 5  # messages that are named
MAX_RULES = 1 << 20  # octets of the rules that are read
SUBMISSION = 587
PLACEHOLDER = "YOURDOMAIN.DOM"  # in the rules that ship


def ndb(world: DoctorWorld) -> Iterator[Finding]:
    """Look for what this machine is called, and the server that takes its mail."""
    file = world.root / "lib" / "ndb" / "local"
    edit = f"${{EDITOR:-vi}} {shlex.quote(str(file))}"
    try:
        site = sites.here(world.root, world.user)
    except (OSError, MailfsError) as e:
        yield bad("ndb", f"{file}: {reason(e) if isinstance(e, OSError) else e}", edit)
        return
    server = attribute(site.ndb, site.names, "smtp")
    name = site.names.helo
    text = f"this machine is {name}; its mail goes to {server or 'nobody: no smtp='}"
    if not file.exists():
        yield note("ndb", f"{text}; there is no {file}")
    elif "." not in name:
        yield note("ndb", f"{text}; the name has no domain: want dom=", edit)
    else:
        yield ok("ndb", text)


def rules(world: DoctorWorld) -> Iterator[Finding]:
    """Read the rules that say what becomes of an address."""
    file = world.root / "mail" / "lib" / "rewrite"
    quoted = shlex.quote(str(file))
    try:
        with file.open("rb") as f:
            text = f.read(MAX_RULES).decode(errors="replace")
    except FileNotFoundError:
        yield note("rewrite", f"{file}: none yet: mail is sent nowhere")
        return
    site = sites.here(world.root, world.user)
    found = rewrite.parse(text, site.names.all)
    for complaint in found.complaints:
        yield bad("rewrite", f"{file}: {complaint}", f"${{EDITOR:-vi}} {quoted}")
    if PLACEHOLDER in text:
        told = f"{file}: {PLACEHOLDER} is nobody's domain"
        remedy = f"sed -i s/{PLACEHOLDER}/example.org/ {quoted}"
        yield bad("rewrite", told, remedy)
    elif not found.complaints:
        yield ok("rewrite", f"{file}: {len(found)} rules")


def queue(world: DoctorWorld) -> Iterator[Finding]:
    """Look for mail that does not leave."""
    folder = world.root / "mail" / "queue"
    rows = list(status.rows(spool.folders(folder)))
    if not rows:
        yield ok("queue", "empty")
        return
    now = world.clock()
    wrong = [row for row in rows if _is_stuck(row, now)]
    for row in wrong[:MAX_SHOWN]:
        hours = (now - row.queued) / 3600
        text = f"{row.job.ident}: {row.state} for {hours:.0f} h"
        words = ["mailfs", "queue", "--root", str(world.root), "show", row.job.ident]
        yield bad("queue", f"{text}: {row.error or 'untried'}", shlex.join(words))
    if len(wrong) > MAX_SHOWN:
        yield bad("queue", f"{len(wrong) - MAX_SHOWN} more of them", "mailfs queue")
    waiting = sum(row.state in ("new", "waiting") for row in rows)
    text = f"{waiting} wait, {sum(row.state == 'held' for row in rows)} are held"
    if waiting and not runq.watched(folder):
        yield note("queue", f"{text}; nobody delivers them", "mailfs runq --watch &")
    else:
        yield ok("queue", text)


def _is_stuck(row: QueueRow, now: float) -> bool:
    if row.state == "held":
        return False  # somebody wants it so
    return row.state == "broken" or now - row.queued > STUCK


def servers(world: DoctorWorld, keys: Sequence[Attrs]) -> Iterator[ProbeJob]:
    """Give a check for each server that we send to, by ndb or by key."""
    try:
        site = sites.here(world.root, world.user)
    except (OSError, MailfsError):
        return  # ndb() tells
    done = set()
    told = attribute(site.ndb, site.names, "smtp")
    options = _options(site)
    wanted = [(told, options)] if told else []
    for host, user in account.senders(keys):
        wanted.append((f"net!{host}!{SUBMISSION}", Options(auth=True, user=user)))
    for text, how in wanted:
        try:
            dest = dial(text)
        except BadPath as e:
            yield ProbeJob("ndb", partial(_refuse, str(e)))
            continue
        if dest.host not in done:
            done.add(dest.host)
            check = partial(smtp.check, world, dest, how, site.names.helo)
            yield ProbeJob(f"smtp {dest}", check)


def _refuse(text: str) -> Iterator[Finding]:
    yield bad("ndb", text)


def _options(site: Site) -> Options:
    """Read the smtp options in the queue's script; plain ones if there are none."""
    try:
        return script.options(site.lib / "remotemail") or DEFAULT
    except OSError:
        return DEFAULT
