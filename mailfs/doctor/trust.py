"""Whom we trust: the lists of thumbprints, the system's authorities, our own keys."""

import re
import shlex
import ssl
from collections.abc import Iterator
from pathlib import Path

from mailfs.doctor import files
from mailfs.doctor.finding import Finding, bad, note, ok
from mailfs.doctor.world import DoctorWorld
from mailfs.errors import MailfsError, reason
from mailfs.tls import store
from mailfs.tls.clients import Clients
from mailfs.tls.service import SERVICES
from mailfs.tls.thumb import BadThumbprint, Thumb
from mailfs.tls.trust import Policy

WHAT = "trust"
_AT = re.compile(r"(\S.*?):(\d+): ")  # where an error says the line stands


def check(world: DoctorWorld) -> Iterator[Finding]:
    """Read every list there is, to its last line."""
    for name in dict.fromkeys(service.file for service in SERVICES.values()):
        for path in (
            store.trusted(world.root, name),
            store.excluded(world.root, name),
        ):
            if path.exists() or path.is_symlink():
                yield _list(path, world.root)
    try:
        clients = Clients(world.root).load()
    except MailfsError as e:
        yield bad(WHAT, str(e))
    else:
        if clients:
            users = len(set(clients.values()))
            text = f"{len(clients)} certificates of {users} users"
            yield ok(WHAT, f"{Clients(world.root).folder}: {text}")
    yield _authorities(world)


def _list(path: Path, root: Path) -> Finding:
    try:
        lines = store.load(path, root)
    except BadThumbprint as e:
        return bad(WHAT, f"{e}: no server is trusted until this is mended", _edit(e))
    except OSError as e:
        return bad(WHAT, reason(e))
    old = sum(_only_sha1(line) for line in lines)
    text = f"{path}: {len(lines)} certificates"
    if old:
        return note(WHAT, f"{text}, {old} of them by sha1 alone, which can be forged")
    return ok(WHAT, text)


def _edit(error: BadThumbprint) -> str:
    m = _AT.match(str(error))
    if m:
        return files.comment_out(Path(m[1]), [int(m[2])])
    path = str(error).partition(": ")[0]
    if "anyone may write" in str(error):
        return f"chmod o-w {shlex.quote(path)}"
    return f"ls -l {shlex.quote(path)}"


def _only_sha1(line: Thumb) -> bool:
    return all(name == "sha1" for name, _ in line.digests)


def _authorities(world: DoctorWorld) -> Finding:
    if world.trust.policy is not Policy.CA:
        return ok(WHAT, "authorities are not asked")
    paths = ssl.get_default_verify_paths()
    count = ssl.create_default_context().cert_store_stats()["x509_ca"]
    folder = Path(paths.capath) if paths.capath else None
    if count:
        return ok(WHAT, f"{count} authorities of the system")
    if folder is not None and folder.is_dir() and any(folder.iterdir()):
        return ok(WHAT, f"authorities of the system: {folder}")
    text = "the system has no authorities: only what is listed is trusted"
    return note(WHAT, text, "sudo apt-get install ca-certificates")
