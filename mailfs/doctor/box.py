"""A mailbox in files of this machine: its kind, whether it may be read and changed."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from mailfs.doctor.finding import Finding, bad, note, ok
from mailfs.doctor.local import may
from mailfs.doctor.world import DoctorWorld
from mailfs.errors import MailfsError, reason
from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers import open_store


def check(world: DoctorWorld, path: str) -> Iterator[Finding]:
    """Look at a store, not at what is in it."""
    quoted = shlex.quote(path)
    try:
        driver = open_store(path, Place(world.root, world.user, readonly=True))
        kind = driver.kind
        driver.signature()
        driver.close()
    except OSError as e:
        yield bad(path, reason(e), f"ls -ld {quoted}")
        return
    except MailfsError as e:
        yield bad(path, str(e), f"ls -la {quoted}")
        return
    if not may(path, os.R_OK):
        yield bad(path, f"{kind}: cannot be read", f"ls -ld {quoted}")
    elif not may(path, os.W_OK):
        yield note(path, f"{kind}: read only", f"ls -ld {quoted}")
    elif kind == "mbox" and not may(Path(path).absolute().parent, os.W_OK):
        text = f"{kind}: no lock can be made beside it; rewritten in place"
        yield note(path, text)
    else:
        yield ok(path, kind)
