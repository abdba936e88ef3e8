"""A new root's first files: rules to choose from, lists, scripts, directories, logs.

What is there is never touched.  Files are made once: a root that has the one named last
is taken to have them all, so what is removed later stays away.  The directories that
people write into are made whenever they are missing.
"""

import os
from contextlib import suppress
from pathlib import Path

from mailfs.disk.replace import create
from mailfs.ndb import shipped

# Shipped file, where it goes, and whether it is a program.  The last is written last.
FILES: tuple[tuple[str, str, bool], ...] = (
    ("local", "lib/ndb/local", False),
    ("namefiles", "mail/lib/namefiles", False),
    ("names.local", "mail/lib/names.local", False),
    ("ignore", "mail/lib/ignore", False),
    ("qmail", "mail/lib/qmail", True),
    ("justqmail", "mail/lib/justqmail", True),
    ("kickqueue", "mail/lib/kickqueue", True),
    ("remotemail", "mail/lib/remotemail", True),
    ("rewrite", "mail/lib/rewrite", False),
    ("rewrite.gateway", "mail/lib/rewrite.gateway", False),
    ("rewrite.direct", "mail/lib/rewrite.direct", False),
)
LOGS = ("mail", "smtp", "smtp.fail", "runq")
_FOLDERS = ("mail/box", "mail/queue", "mail/lib", "sys/log", "sys/lib/tls", "lib/ndb")
TMP = "mail/tmp"  # world writable, as the manual asks
_QUEUE = "mail/queue"  # shared by all users of root's installation
_SHARED = 0o1777


def install(root: Path, user: str) -> bool:
    """Fill a new root and make the user's mail directory; say whether it was new.

    What may not be written is left alone: it is somebody else's.
    """
    new = not (root / FILES[-1][1]).exists()
    _directories(root, user)
    if not new:
        return False
    with suppress(PermissionError):
        for name in LOGS:
            _create(root / "sys" / "log" / name, b"", 0o644)
        for name, to, program in FILES:
            source = shipped.path(name)
            if source.exists():
                data = source.read_bytes()
                if name == "names.local":
                    data += f"\npostmaster\t{user}\n".encode()
                _create(root / to, data, 0o755 if program else 0o644)
        return True
    return False


def _directories(root: Path, user: str) -> None:
    for name in (*_FOLDERS, TMP):
        path = root / name
        if path.exists():
            continue
        with suppress(PermissionError):
            path.mkdir(parents=True, exist_ok=True)
            if name == TMP or (os.geteuid() == 0 and name == _QUEUE):
                path.chmod(_SHARED)
    with suppress(PermissionError, FileExistsError):
        (root / "mail" / "box" / user).mkdir(mode=0o700)


def _create(path: Path, data: bytes, mode: int) -> None:
    """Write a file whole, unless there is one of that name."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        create(path, data, mode)
