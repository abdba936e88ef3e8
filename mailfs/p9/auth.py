"""Authentication inside 9P: the conversation behind an afid; attach(5).

A Server given an Auth asks it at each Tauth; the protocol that is then read and
written through the afid is no part of 9P.
"""

import time
from collections.abc import Callable

from mailfs.errors import Refused
from mailfs.p9.errstr import EBADUSE
from mailfs.p9.fcall import DMAUTH, QTAUTH, Qid, Stat
from mailfs.p9.file import File, Handle, Later


class AuthHandle(Handle):
    """One conversation, read and written through an afid."""

    __slots__ = ()

    @property
    def user(self) -> str:
        """The user that the conversation has proved; empty until it has."""
        return ""


Auth = Callable[[str, str], Later[AuthHandle]]
"""Begin a conversation for (uname, aname)."""


class AuthFile(File):
    """What an afid stands for: it can be read, written and clunked."""

    __slots__ = ("aname", "uname")

    def __init__(self, uname: str, aname: str) -> None:
        self.uname = uname
        self.aname = aname

    @property
    def qid(self) -> Qid:
        """An identity that no file of a tree has, by its type."""
        return Qid(QTAUTH, 0, id(self))

    def stat(self) -> Stat:
        """Return the entry of a file that only its own client can name."""
        now, user = int(time.time()), self.uname
        return Stat(0, 0, self.qid, DMAUTH | 0o600, now, now, 0, "", user, user, user)

    def wstat(self, stat: Stat) -> None:
        """Refuse."""
        raise Refused(EBADUSE)

    def sync(self) -> None:
        """Refuse."""
        raise Refused(EBADUSE)

    def remove(self) -> None:
        """Refuse."""
        raise Refused(EBADUSE)
