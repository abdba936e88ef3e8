"""What sending needs: the network database, the rules, the queue, its servers."""

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from mailfs.attr import Attrs, lines, parse
from mailfs.disk.open import read_regular
from mailfs.doctor import account, files, smtp
from mailfs.doctor.finding import Finding, bad, note, ok
from mailfs.doctor.rounds import ProbeJob
from mailfs.doctor.world import DoctorWorld
from mailfs.errors import MailfsError, reason
from mailfs.factotum import keyfile
from mailfs.factotum.keyfile import KeyFile
from mailfs.mailbox.drivers.spec import is_network
from mailfs.mailboxes import listed
from mailfs.ndb import shipped
from mailfs.ndb.sysname import attribute
from mailfs.queue import spool, status
from mailfs.queue.status import QueueRow
from mailfs.runq import runq, script
from mailfs.send import rewrite, settings
from mailfs.site import placeholder
from mailfs.site import site as sites
from mailfs.site.site import Site
from mailfs.smtp.options import DEFAULT, Options
from mailfs.smtp.path import BadPath, dial

STUCK = 24 * 3600.0  # seconds in the queue after which somebody should look
MAX_SHOWN = 5  # messages that are named
MAX_RULES = 1 << 20  # octets of the rules that are read
SUBMISSION = 587

_AT = re.compile(r"line (\d+)")  # where a complaint says a rule stands


def ndb(world: DoctorWorld) -> Iterator[Finding]:
    """Look for what this machine is called, and the server that takes its mail."""
    file = world.root / "lib" / "ndb" / "local"
    quoted = shlex.quote(str(file))
    try:
        site = sites.here(world.root, world.user)
    except (OSError, MailfsError) as e:
        text = reason(e) if isinstance(e, OSError) else str(e)
        yield bad("ndb", f"{file}: {text}", f"mv {quoted} {quoted}.old")
        return
    server = attribute(site.ndb, site.names, "smtp")
    name = site.names.helo
    text = f"this machine is {name}; its mail goes to {server or 'nobody: no smtp='}"
    sys = site.names.sysname
    words = (server or "").split("!")
    if (server is None and _gateway(site)) or (
        server and placeholder.is_placeholder(words[1] if len(words) > 1 else server)
    ):
        remedy = f"echo {shlex.quote(f'sys={sys} smtp={_likely(world, site)}')}"
        if server:  # it has to come before the other
            entry = f"1i sys={sys} smtp={_likely(world, site)}\\n"
            yield bad("ndb", text, shlex.join(["sed", "-i.old", entry, str(file)]))
        else:
            yield bad("ndb", text, f"{remedy} >>{quoted}")
    elif not file.exists():
        yield note("ndb", f"{text}; there is no {file}")
    elif "." not in name:
        edit = f"${{EDITOR:-vi}} {quoted}"
        yield note("ndb", f"{text}; the name has no domain: want dom=", edit)
    else:
        yield ok("ndb", text)


def _gateway(site: Site) -> bool:
    """Whether the rules send mail to ``$smtp``."""
    try:
        raw = read_regular(site.lib / "rewrite", MAX_RULES, follow=True)
    except OSError:
        return False
    told = raw.decode(errors="replace").split("\n")
    return any("!$smtp" in line and not line.startswith("#") for line in told)


def _likely(world: DoctorWorld, site: Site) -> str:
    """Guess the server that takes mail: of a key, else of the mailboxes, or a name."""
    for host, _ in account.senders([*account.listed(world), *_filed(world)]):
        return f"net!{host}!{SUBMISSION}"
    with suppress(MailfsError):
        for line in listed.read(world.root, world.user):
            words = listed.split(line)[1].split("/")
            if len(words) > 2 and words[0] == "":
                host = words[2].split("!")[1] if "!" in words[2] else words[2]
                if is_network("/" + "/".join(words[1:])):
                    return f"net!{host.replace('imap.', 'smtp.', 1)}!{SUBMISSION}"
    return f"net!smtp.{settings.domain(site)}!{SUBMISSION}"


def _filed(world: DoctorWorld) -> list[Attrs]:
    """List the public attributes of the keys in the user's file."""
    try:
        text = KeyFile(keyfile.path(world.root, world.user)).load()
    except (MailfsError, OSError):
        return []
    told = (line.strip().removeprefix("key ") for line in lines(text))
    return [tuple(a for a in parse(one) if not a.private) for one in told]


def rules(world: DoctorWorld) -> Iterator[Finding]:
    """Read the rules that say what becomes of an address."""
    file = world.root / "mail" / "lib" / "rewrite"
    quoted = shlex.quote(str(file))
    try:
        text = read_regular(file, MAX_RULES, follow=True).decode(errors="replace")
    except FileNotFoundError:
        text = ""
    except OSError as e:
        yield bad("rewrite", f"{file}: {reason(e)}", f"mv {quoted} {quoted}.old")
        return
    try:
        site = sites.here(world.root, world.user)
    except (OSError, MailfsError):
        return  # ndb() tells
    found = rewrite.parse(text, site.names.all)
    left = placeholder.left(text)
    if found.complaints:
        for complaint in found.complaints:
            m = _AT.search(complaint)
            edit = f"${{EDITOR:-vi}} {quoted}"
            remedy = files.comment_out(file, [int(m[1])]) if m else edit
            yield bad("rewrite", f"{file}: {complaint}", remedy)
    if left:
        told = f"{file}: line {left[0]}: {placeholder.SAMPLE} is nobody's domain"
        yield bad("rewrite", told, placeholder.mend(file, settings.domain(site)))
    elif not found.complaints and not len(found):
        yield _unruled(site, file)
    elif not found.complaints:
        yield ok("rewrite", f"{file}: {len(found)} rules")


def _unruled(site: Site, file: Path) -> Finding:
    text = f"{file}: no rules: mail is sent nowhere"
    ships = file.with_name("rewrite.gateway")
    if not ships.is_file():
        ships = shipped.path("rewrite.gateway")
    remedy = shlex.join(["cp", str(ships), str(file)])
    if settings.sends(site):
        return bad("rewrite", text, remedy)
    return note("rewrite", text, f"{settings.setup(site)}, or: {remedy}")


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


def servers(
    world: DoctorWorld, keys: Sequence[Attrs], only: Sequence[Attrs] | None = None
) -> Iterator[ProbeJob]:
    """Yield a check for each server that we send to, by ndb or by key.

    only: the keys that must fit, if others are looked at elsewhere.
    """
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
        if only is not None and all(dest.host != h for h, _ in account.senders(only)):
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
