"""What every node of the tree has: an identity and a directory entry.

qid.path is unique in the server: 16 bits of mailbox, 26 of message, 16 of MIME part
and 6 that tell the file.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mailfs.errors import Refused
from mailfs.mailboxes.scopedset import ScopedMailboxes
from mailfs.p9.errstr import EWSTAT
from mailfs.p9.fcall import DMDIR, NOTOUCH, QTDIR, QTFILE, Qid, Stat
from mailfs.p9.file import DirHandle, File, Later, Records

MAX_BOX = (1 << 16) - 1
MAX_NUMBER = (1 << 26) - 1
MAX_PART = (1 << 16) - 1
MAX_SUFFIX = 10  # characters of a suffix that we give a name; "torrent" has seven
MAX_TIME = 0xFFFFFFFF  # the largest time a directory entry can tell


def path(box: int, number: int, part: int, code: int) -> int:
    """Make the qid.path of a node; code is fs/codes' or a file's row's."""
    return box << 48 | (number & MAX_NUMBER) << 22 | (part & MAX_PART) << 6 | code


@dataclass(frozen=True, slots=True)
class Attach:
    """What one attach sees: the mailboxes, and how much of our own is listed."""

    boxes: ScopedMailboxes
    everything: bool = False  # list names that upas/fs does not have
    modes: bool = False  # modes tell clients what they may remove

    @property
    def ctl(self) -> bool:
        """Whether control files are there."""
        return self.boxes.scope.ctl

    @property
    def user(self) -> str:
        """The owner of every file."""
        return self.boxes.place.user


class DirListing(DirHandle):
    """A directory, open; give returns its packed entries, now or later."""

    __slots__ = ("_give",)

    def __init__(self, give: Callable[[], Later[Iterable[bytes | Records]]]) -> None:
        super().__init__()
        self._give = give

    def entries(self) -> Later[Iterable[bytes | Records]]:
        """List the directory as it is at this moment."""
        return self._give()


class Writable(File):
    """A file that takes commands; truncating it, as a shell's > does, does nothing."""

    __slots__ = ()

    def wstat(self, stat: Stat) -> None:
        """Accept a length of 0, which Linux sends at an open that truncates."""
        rest = stat._replace(length=0, atime=NOTOUCH.atime, mtime=NOTOUCH.mtime)
        if stat.length or rest != NOTOUCH._replace(length=0):
            raise Refused(EWSTAT)


def directory(
    name: str, qid: int, vers: int, when: int, user: str, mode: int = 0o555
) -> Stat:
    """Make the entry of a directory; when is in seconds since 1970."""
    when = min(max(when, 0), MAX_TIME)
    return Stat(
        type=0,
        dev=0,
        qid=Qid(QTDIR, vers, qid),
        mode=DMDIR | mode,
        atime=when,
        mtime=when,
        length=0,
        name=name,
        uid=user,
        gid=user,
        muid=user,
    )


def plain(  # the fields of a directory entry
    name: str, qid: int, vers: int, when: int, user: str, mode: int, length: int
) -> Stat:
    """Make the entry of a plain file; when is in seconds since 1970."""
    when = min(max(when, 0), MAX_TIME)
    return Stat(
        type=0,
        dev=0,
        qid=Qid(QTFILE, vers, qid),
        mode=mode,
        atime=when,
        mtime=when,
        length=length,
        name=name,
        uid=user,
        gid=user,
        muid=user,
    )


def without_suffix(name: str) -> str | None:
    """Cut name at its first dot; None if there is none to cut at.

    Clients add a suffix to tell others what is in a file: ``body.jpg``, ``raw.eml``.
    """
    at = name.find(".", 1)
    return name[:at] if at > 0 and name != ".." else None


def suffix(filename: str) -> str:
    """Find what a file is called by its kind: ``.pdf`` of ``Offer 3.pdf``, else empty.

    Only letters and digits, for it becomes part of a name here.
    """
    _, dot, kind = filename.rpartition(".")
    fit = dot and kind.isascii() and kind.isalnum() and len(kind) <= MAX_SUFFIX
    return f".{kind}" if fit else ""
