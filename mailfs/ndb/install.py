"""A new root's first files: rules to choose from, lists, scripts, directories, logs.

What is there is never touched.  All is done once: a root that has the file named last
is taken to have everything, so what is removed later stays away.
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
    ("rewrite.gateway", "mail/lib/rewrite.gateway", False),
    ("rewrite.direct", "mail/lib/rewrite.direct", False),
)
LOGS = ("mail", "smtp", "smtp.fail", "runq")
_FOLDERS = ("mail/box", "mail/queue", "mail/tmp", "sys/log")
_SHARED = frozenset({"mail/queue", "mail/tmp"})  # by all users of root's installation


def install(root: Path, user: str) -> bool:
    """Fill a new root and make the user's mail directory; say whether it was new.

    A root that may not be written is left alone: it is somebody else's.
    """
    if (root / FILES[-1][1]).exists():
        return False
    with suppress(PermissionError):
        for name in _FOLDERS:
            (root / name).mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0 and name in _SHARED:
                (root / name).chmod(0o1777)
        (root / "mail" / "box" / user).mkdir(mode=0o700, exist_ok=True)
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


def _create(path: Path, data: bytes, mode: int) -> None:
    """Write a file whole, unless there is one of that name."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        create(path, data, mode)
