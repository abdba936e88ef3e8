"""The user's own files below the root, each line of which has to be meant.

Every remedy mends for good without a question: what is taken out of a file stays
beside it, in FILE.old.
"""

import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from mailfs import where
from mailfs.doctor.finding import Finding, bad, note, ok
from mailfs.doctor.world import DoctorWorld
from mailfs.errors import MailfsError, UsageError, reason
from mailfs.factotum import keyfile
from mailfs.factotum.key import parse_key
from mailfs.factotum.keyfile import KeyFile
from mailfs.mailbox.drivers.spec import SEVERAL, is_network
from mailfs.mailboxes import listed
from mailfs.mailboxes.spec import named
from mailfs.marshal import draft
from mailfs.ndb import shipped
from mailfs.ndb.install import FILES, TMP
from mailfs.send import settings
from mailfs.site import placeholder
from mailfs.site import site as sites

MAX_TEXT = 1 << 20  # octets of a file that are looked at
OTHERS = 0o022  # mode bits: a program that others may change is not run
STICKY = 0o1777
PROGRAMS = ("pipeto", "pipefrom")


def comment_out(path: Path, numbers: Sequence[int]) -> str:
    """Return the command that makes lines comments, for a file that has such."""
    return _sed(path, "".join(f"{n}s/^/#/;" for n in numbers))


def drop(path: Path, numbers: Sequence[int]) -> str:
    """Return the command that takes lines out of a file."""
    return _sed(path, "".join(f"{n}d;" for n in numbers))


def _sed(path: Path, script: str) -> str:
    return shlex.join(["sed", "-i.old", script, str(path)])


def box(world: DoctorWorld) -> Iterator[Finding]:
    """Look at the user's mail directory, and at programs that take his mail."""
    folder = world.root / "mail" / "box" / world.user
    if not folder.parent.exists():
        yield ok("box", f"{folder}: made when it is needed")
        return
    if not folder.is_dir():
        quoted = shlex.quote(str(folder))
        away = f"mv {quoted} {quoted}.old; " if os.path.lexists(folder) else ""
        text = f"{folder}: not a directory" if away else f"there is no {folder}"
        yield bad("box", text, f"{away}mkdir -m 700 {quoted}")
        return
    good = True
    for name in PROGRAMS:
        path = folder / name
        try:
            st = path.stat()
        except OSError:
            continue
        if stat.S_ISREG(st.st_mode) and st.st_mode & 0o111 and st.st_mode & OTHERS:
            good = False
            text = f"{path}: others may change it, so it is not run"
            yield bad("box", text, f"chmod go-w {shlex.quote(str(path))}")
    if good:
        yield ok("box", str(folder))


def temporary(world: DoctorWorld) -> Iterator[Finding]:
    """Look at mail/tmp, which takes what is too large for memory."""
    path = world.root / TMP
    quoted = shlex.quote(str(path))
    if not path.parent.exists():
        return
    if not path.is_dir():
        away = f"rm -f {quoted}; " if os.path.lexists(path) else ""
        remedy = f"{away}mkdir {quoted} && chmod 1777 {quoted}"
        yield bad("tmp", f"there is no directory {path}", remedy)
    elif stat.S_IMODE(path.stat().st_mode) & STICKY != STICKY:
        text = f"{path}: not writable by all, each for himself"
        yield bad("tmp", text, f"chmod 1777 {quoted}")
    else:
        yield ok("tmp", str(path))


def scripts(world: DoctorWorld) -> Iterator[Finding]:
    """Look for the programs of mail/lib that rules and the queue call."""
    lib = world.root / "mail" / "lib"
    if not lib.is_dir():
        return
    good = True
    for source, to, program in FILES:
        if not program:
            continue
        path = world.root / to
        quoted = shlex.quote(str(path))
        if not path.is_file():
            good = False
            ships = shlex.quote(str(shipped.path(source)))
            text = f"there is no {path}; mail cannot be queued or sent without it"
            yield bad("scripts", text, f"install -m 755 {ships} {quoted}")
        elif not path.stat().st_mode & 0o111:
            good = False
            yield bad("scripts", f"{path}: not executable", f"chmod a+rx {quoted}")
    if good:
        yield ok("scripts", f"{lib}: all there")


def default_domain(world: DoctorWorld) -> Iterator[Finding]:
    """See whether remotemail still has the domain that nobody has."""
    path = world.root / "mail" / "lib" / "remotemail"
    text = _text(path)
    if text is None or not placeholder.left(text):
        return
    try:
        site = sites.here(world.root, world.user)
    except (OSError, MailfsError):
        return  # the check of ndb tells
    told = f"{path}: addresses without a domain would get {placeholder.NAME}"
    remedy = placeholder.mend(path, settings.domain(site))
    if settings.sends(site):
        yield bad("remotemail", told, remedy)
    else:
        yield note("remotemail", told, remedy)


def headers(world: DoctorWorld) -> Iterator[Finding]:
    """Look for lines of headers that are no header fields."""
    path = world.root / "mail" / "box" / world.user / "headers"
    text = _text(path)
    if text is None:
        return
    wrong = draft.malformed(text.encode("utf-8", "surrogateescape"))
    if wrong:
        told = f"{path}: line {wrong[0]}: not a header field; no mail is sent"
        yield bad("headers", told, drop(path, wrong))
    else:
        yield ok("headers", str(path))


def mailboxes(world: DoctorWorld) -> Iterator[Finding]:
    """Look for mailboxes that the list names and that are not there."""
    path = listed.path(world.root, world.user)
    text = _text(path)
    if text is None:
        return
    good = True
    seen: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        for spec in listed.parse(line):
            why = _unfit(world, seen, spec)
            seen.append(spec)
            if why:
                good = False
                seen.pop()
                told = f"{path}: line {number}: {why}"
                yield bad("mailboxes", told, comment_out(path, [number]))
    if good:
        yield ok("mailboxes", f"{path}: {len(seen)} mailboxes")


def _unfit(world: DoctorWorld, seen: list[str], spec: str) -> str:
    """Tell why a mailbox cannot be opened beside others; empty if it can."""
    try:
        _, given = named([*seen, spec])[-1]
    except UsageError as e:
        return str(e)
    if is_network(given):
        return ""
    name = where.box(world.root, given.removesuffix(SEVERAL), world.user)
    try:
        os.stat(name)
    except OSError as e:
        return f"{given}: {reason(e)}"
    return ""


def keys(world: DoctorWorld) -> Iterator[Finding]:
    """Look at the file of keys: who may read it, and whether each line is a key."""
    path = keyfile.path(world.root, world.user)
    if not os.path.lexists(path):
        return
    quoted = shlex.quote(str(path))
    try:
        text = KeyFile(path).load()
    except (MailfsError, OSError) as e:
        if path.is_file() and path.stat().st_mode & 0o077:
            told = f"{path}: others may read your keys, so they are not used"
            yield bad("keys", told, f"chmod 600 {quoted}")
        else:
            told = f"{path}: {reason(e)}" if isinstance(e, OSError) else str(e)
            yield bad("keys", told, f"mv {quoted} {quoted}.old")
        return
    wrong = []
    count = 0
    for number, line in enumerate(text.split("\n"), 1):
        verb, _, rest = line.strip(" \t").partition(" ")
        if not verb or verb.startswith("#") or verb in ("delkey", "debug"):
            continue
        try:
            # Any other verb is refused as a key without attributes is.
            count += len(parse_key(rest if verb == "key" else ""))
        except MailfsError:
            wrong.append(number)
    if wrong:
        told = f"{path}: line {wrong[0]}: not a key"  # of a secret nothing is shown
        yield bad("keys", told, comment_out(path, wrong))
    else:
        yield ok("keys", f"{path}: {count} keys")


def _text(path: Path) -> str | None:
    """Read a file, None if there is none that can be read."""
    try:
        with open(path, "rb") as f:
            return f.read(MAX_TEXT).decode("utf-8", "surrogateescape")
    except OSError:
        return None
