"""The name space, the root and what lies below it: whether there, and whose."""

import os
import shlex
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import mailfs
from mailfs.doctor.finding import Finding, bad, note, ok
from mailfs.doctor.world import DoctorWorld
from mailfs.errors import MailfsError, reason

MAX_SOCKET = 107  # octets of a Unix socket's path; unix(7)
LONGEST = "/mailfsdemo~"  # what may stand behind the name space's path
FEW = 100 << 20  # octets free, below which a cache is of little use
NOTHING = 1 << 20  # octets free, below which it is as good as full
OTHERS = 0o007
GROUP_OTHERS = 0o077
WRITE = 0o022

# What lies below the root, which bits nobody but the owner may have there, and why.
GUARDED: tuple[tuple[str, int, str], ...] = (
    ("", WRITE, "others could change all that is believed"),
    ("mail/lib", WRITE, "others could say what becomes of mail"),
    ("mail/box/USER", OTHERS, "others could read your mail"),
    ("lib/ndb", WRITE, "others could say where mail is sent"),
    ("sys/lib/tls", WRITE, "others could say whom you trust"),
    ("sys/lib/tls/key", GROUP_OTHERS, "it is a secret key"),
    ("sys/lib/tls/client.key", GROUP_OTHERS, "it is a secret key"),
    ("adm/secstore", GROUP_OTHERS, "it holds secrets"),
)


def version(world: DoctorWorld) -> Iterator[Finding]:
    """Tell what runs: the first thing a report of a bug should say."""
    python = ".".join(map(str, sys.version_info[:3]))
    system = os.uname()
    text = f"{mailfs.__version__}, Python {python}, {system.sysname} {system.release}"
    yield ok("mailfs", text)


def namespace(world: DoctorWorld) -> Iterator[Finding]:
    """Look at the directory that services are posted in."""
    try:
        path = world.namespace()
    except MailfsError as e:
        yield bad("namespace", str(e), _open_namespace())
        return
    if len(os.fsencode(str(path))) + len(LONGEST) > MAX_SOCKET:
        text = f"{path}: too long for the name of a socket"
        yield bad("namespace", text, "export NAMESPACE=/tmp/ns.$USER")
    elif not _writable(path):
        yield bad("namespace", f"{path}: cannot be written", _own(path))
    else:
        yield ok("namespace", str(path))


def _open_namespace() -> str:
    given = os.environ.get("NAMESPACE")
    if given and os.path.isdir(given):
        return f"chmod 700 {shlex.quote(given)}"
    return "export NAMESPACE=/tmp/ns.$USER; mkdir -m 700 $NAMESPACE"


def root(world: DoctorWorld) -> Iterator[Finding]:
    """Look at the root of Plan 9 paths."""
    path = world.root
    there = path if os.path.exists(path) else _nearest(path)
    if not os.path.isdir(there):
        yield bad("root", f"{there}: not a directory", "export MAILFS_ROOT=~/mailfs")
    elif not _writable(there):
        yield bad("root", f"{path}: cannot be written", _own(there))
    elif there != path:
        yield ok("root", f"{path}: made when it is needed")
    else:
        yield ok("root", str(path))


def _nearest(path: Path) -> Path:
    """Return the part of a path that is there."""
    return next(parent for parent in path.parents if os.path.lexists(parent))


def may(path: str | Path, mode: int) -> bool:
    """Whether we may do with a file what mode says, as we run; access(2)."""
    effective = os.access in os.supports_effective_ids
    return os.access(path, mode, effective_ids=effective)


def _writable(path: Path) -> bool:
    return may(path, os.W_OK | os.X_OK)


def _own(path: Path) -> str:
    quoted = shlex.quote(str(path))
    if path.stat().st_uid == os.geteuid():
        return f"chmod u+rwx {quoted}"
    return f"sudo chown -R $USER {quoted}"


def permissions(world: DoctorWorld) -> Iterator[Finding]:
    """Look at what others may do below the root."""
    good = True
    for name, mask, why in GUARDED:
        path = world.root / name.replace("USER", world.user)
        try:
            st = path.lstat()
        except OSError:
            continue  # not there, or not ours to see: root() tells
        mode = stat.S_IMODE(st.st_mode) & mask
        # A sticky bit does not help: files can be added there.
        if mode and not stat.S_ISLNK(st.st_mode):
            good = False
            letters = "go" if mode & 0o070 and mode & 0o007 else "g"
            letters = "o" if not mode & 0o070 else letters
            bits = "".join(c for c, bit in zip("rwx", (4, 2, 1), strict=True)
                           if mode & (bit | bit << 3))  # fmt: skip
            remedy = f"chmod {letters}-{bits} {shlex.quote(str(path))}"
            yield bad("permissions", f"{path}: {why}", remedy)
    if good:
        yield ok("permissions", f"{world.root}: nobody else may write there")


def cache(world: DoctorWorld) -> Iterator[Finding]:
    """Look at the directory of what can be rebuilt."""
    path = world.cache
    there = path if os.path.exists(path) else _nearest(path)
    if not os.path.isdir(there) or not _writable(there):
        yield bad("cache", f"{path}: cannot be written", _own(there))
        return
    try:
        free = shutil.disk_usage(there).free
    except OSError as e:
        yield note("cache", f"{path}: {reason(e)}")
        return
    text = f"{path}: {free >> 20} MB free"
    if free < NOTHING:
        told = f"{text}: nothing can be kept, and each look asks the server"
        remedy = f"find {shlex.quote(str(path))} -mindepth 1 -delete"
        yield bad("cache", told, f"{remedy}  # all of it can be rebuilt")
    elif free < FEW:
        yield note("cache", text, f"df -h {shlex.quote(str(there))}")
    else:
        yield ok("cache", text)
