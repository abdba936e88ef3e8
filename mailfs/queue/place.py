"""The directory of a user's queued mail: whose it is, and whose files count there.

Anybody may make a directory in ``mail/queue``, so one of another user under our name
is refused: he could read what we queue, and queue what we send.
"""

import os
import pwd
import stat
from pathlib import Path

from mailfs.errors import MailfsError

PRIVATE = 0o700  # mode of a user's directory, whatever the umask
SHARED = 0o777  # of one that qer -q shares
FILE = 0o600  # mode of its files
SHARED_FILE = 0o664


class QueueError(MailfsError):
    """A message cannot be queued, or what is queued cannot be believed."""


def check(folder: Path, *, shared: bool) -> None:
    """Raise QueueError if a directory is not for us to put mail into.

    Raises FileNotFoundError if it is not there.  What is ours and open to others,
    though not shared, is closed.
    """
    st = folder.lstat()
    if not stat.S_ISDIR(st.st_mode):
        raise QueueError(f"not a directory {folder}")
    euid = os.geteuid()
    if st.st_uid not in (euid, 0) and not (shared and euid and _open(st)):
        raise foreign(folder, st.st_uid)
    if st.st_uid == euid and not shared and st.st_mode & 0o077:
        folder.chmod(PRIVATE)


def make(folder: Path, *, shared: bool) -> None:
    """Make a directory with its mode, whatever the umask.  Raises OSError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=PRIVATE)
    except FileExistsError:
        return
    folder.chmod(SHARED if shared else PRIVATE)


def drained(folder: Path) -> bool:
    """Whether mail in a directory is ours to deliver: it is ours, or we share it.

    Root itself delivers only its own: anybody may put links into the others.
    """
    try:
        st = folder.lstat()
    except OSError:
        return True  # nothing there, nothing to refuse
    if not stat.S_ISDIR(st.st_mode):
        return False
    euid = os.geteuid()
    return st.st_uid == euid or (euid != 0 and _open(st))


def owners(folder: Path) -> frozenset[int] | None:
    """Return the user ids whose files are believed in a directory; None: anybody's.

    Raises OSError if it is not there.
    """
    st = folder.lstat()
    euid = os.geteuid()
    if euid and _open(st):
        return None
    return frozenset((0, euid, st.st_uid))


def foreign(folder: Path, uid: int) -> QueueError:
    """Return the refusal of another user's directory."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"user {uid}"
    return QueueError(f"{folder}: belongs to {name}: have it removed (as root, rm -r)")


def _open(st: os.stat_result) -> bool:
    return bool(st.st_mode & 0o002)
