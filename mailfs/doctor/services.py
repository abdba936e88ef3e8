"""What is posted in the name space: whether it lives, and what mailboxes say."""

import shlex
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from mailfs.attr import lines
from mailfs.doctor.finding import Finding, bad, note, ok
from mailfs.doctor.world import DoctorWorld
from mailfs.errors import MailfsError, reason
from mailfs.factotum.client import SERVICE as FACTOTUM
from mailfs.fs.plumb import SERVICE as PLUMB
from mailfs.p9.client import Client
from mailfs.where import DialString

MAIL = ("upasfs", "mail")  # services of mailboxes
ALL = "upas/all"
MAX_BOXES = 1000  # of a server that are looked at
WHAT = "services"


def sockets(world: DoctorWorld) -> Iterator[Finding]:
    """Knock at every socket; the factotum has a check of its own."""
    alive = []
    space = _space(world)
    if space is None:
        return
    for path in sorted(space.iterdir()):
        try:
            is_socket = stat.S_ISSOCK(path.stat().st_mode)
        except OSError:
            continue
        if not is_socket or path.name == FACTOTUM or path.name.endswith("~"):
            continue
        why = _dead(path, world.timeout)
        if not why:
            alive.append(path.name)
        else:
            text = f"{path}: {why}: its server has gone"
            yield bad(WHAT, text, f"rm {shlex.quote(str(path))}")
    if not set(alive) & set(MAIL):
        yield note(WHAT, "no mail server runs", "mailfs fs &")
    else:
        yield ok(WHAT, " ".join(alive))


def _dead(path: Path, timeout: float) -> str:
    """Return why nobody answers at a socket, empty if somebody does."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect(str(path))
        except ConnectionRefusedError as e:
            return reason(e)
        except OSError:
            return ""  # not for us, or too busy to be dead
    return ""


def plumber(world: DoctorWorld) -> Iterator[Finding]:
    """See whether there is somebody to tell of new mail."""
    space = _space(world)
    if space is None:
        return
    path = space / PLUMB
    if not path.exists():
        yield ok("plumber", "none runs; new mail is told by the files event only")
        return
    try:
        with Client(DialString("unix", str(path)), timeout=world.timeout) as client:
            client.stat("/send")
    except MailfsError as e:
        yield bad("plumber", str(e), f"rm -f {shlex.quote(str(path))}; plumber")
    else:
        yield ok("plumber", str(path))


def mailboxes(world: DoctorWorld) -> Iterator[Finding]:
    """Ask the running servers how their mailboxes are."""
    for service, path in _mail(world):
        try:
            rows = _status(path, world.timeout)
        except MailfsError as e:
            remedy = f"fuser -v {shlex.quote(str(path))}"
            yield bad(service, f"does not answer: {e}", remedy)
            continue
        yield ok(service, f"{path}: {len(rows)} mailboxes")
        for row in rows:
            yield from _mailbox(service, row)


def _mailbox(service: str, row: dict[str, str]) -> Iterator[Finding]:
    name = row.get("name", "?")
    what = f"{service}/{name}"
    again = f"echo refresh | mailfs 9p write {shlex.quote(f'{what}/ctl')}"
    for key in ("error", "server-error", "index"):
        if key in row:
            yield bad(what, row[key], again)
            return
    if "dropped" in row:
        yield bad(what, f"changes that the server refused: {row['dropped']}")
    elif "waiting" in row:
        yield note(what, f"changes that wait for the server: {row['waiting']}", again)


def paths(world: DoctorWorld) -> list[str]:
    """Return the paths of all mailboxes that running servers have open."""
    found = []
    for _, path in _mail(world):
        try:
            found += [row.get("path", "") for row in _status(path, world.timeout)]
        except MailfsError:
            continue  # mailboxes() tells
    return found


def _mail(world: DoctorWorld) -> Iterator[tuple[str, Path]]:
    """Give name and socket of the living servers of mail."""
    space = _space(world)
    if space is None:
        return
    for name in MAIL:
        path = space / name
        if path.exists() and not _dead(path, world.timeout):
            yield name, path


def _space(world: DoctorWorld) -> Path | None:
    """Name the name space; None if it cannot be used, as its own check tells."""
    try:
        return world.namespace()
    except MailfsError:
        return None


def _status(path: Path, timeout: float) -> list[dict[str, str]]:
    """Read the file status of each mailbox.

    plan9port's servers have no such file, nor do they know our attach names.
    """
    with Client(DialString("unix", str(path)), aname=ALL, timeout=timeout) as client:
        rows = []
        for entry in client.ls("/")[:MAX_BOXES]:
            try:
                text = client.read(f"/{entry.name}/status").decode(errors="replace")
            except MailfsError:
                continue  # no mailbox
            found = [line.partition(" ") for line in lines(text)]
            if any(key == "path" for key, _, _ in found):
                rows.append({key: told for key, _, told in found})
        return rows
