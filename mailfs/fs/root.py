"""The root of the tree: ctl, and a directory for each open mailbox."""

import time
from collections.abc import Iterator

from mailfs.errors import ENOENT, EPERM, P9Error
from mailfs.fs import rootctl
from mailfs.fs.boxdir import BoxDir
from mailfs.fs.boxes import Boxes
from mailfs.fs.ctl import CtlHandle
from mailfs.fs.node import (
    CTL,
    ROOT,
    Attachment,
    Listing,
    Writable,
    directory,
    path,
    plain,
    without_suffix,
)
from mailfs.p9.fcall import OEXEC, QTDIR, QTFILE, Qid, Stat
from mailfs.p9.file import File, Handle


class Root(File):
    """The root of one attach."""

    __slots__ = ("attachment",)

    def __init__(self, attachment: Attachment) -> None:
        self.attachment = attachment

    @property
    def qid(self) -> Qid:
        """The root's identity."""
        return Qid(QTDIR, 0, path(0, 0, 0, ROOT))

    def stat(self) -> Stat:
        """Return its entry."""
        user = self.attachment.user
        return directory(".", self.qid.path, 0, int(time.time()), user)

    def walk(self, name: str) -> File:
        """Return a mailbox or ctl; a suffix is passed over."""
        if name == "..":
            return self
        box = self.attachment.boxes.get(name)
        if box is not None:
            return BoxDir(self.attachment, self, box)
        if name == "ctl":
            return RootCtl(self.attachment)
        bare = without_suffix(name)
        if bare is None:
            raise P9Error(ENOENT)
        return self.walk(bare)

    def open(self, mode: int) -> Handle:
        """Open it to be listed."""
        return Listing(self.entries)

    def entries(self) -> Iterator[bytes]:
        """Give the packed entries: ctl, then the mailboxes as they were opened."""
        yield RootCtl(self.attachment).stat().pack()
        for box in self.attachment.boxes:
            yield BoxDir(self.attachment, self, box).entry().pack()


class RootCtl(Writable):
    """The root's ctl."""

    __slots__ = ("attachment",)

    def __init__(self, attachment: Attachment) -> None:
        self.attachment = attachment

    @property
    def qid(self) -> Qid:
        """The file's identity."""
        return Qid(QTFILE, 0, path(0, 0, 0, CTL))

    def stat(self) -> Stat:
        """Return its entry."""
        now, user = int(time.time()), self.attachment.user
        return plain("ctl", self.qid.path, 0, now, user, 0o666, 0)

    def open(self, mode: int) -> Handle:
        """Open it for commands; reading shows nothing."""
        if mode & 3 == OEXEC:
            raise P9Error(EPERM)
        boxes = self.attachment.boxes
        return CtlHandle(lambda line: rootctl.command(boxes, line))


# What an attach name asks for; the empty one is what Plan 9's mount sends.
ANAMES = {"": False, "upas": False, "upas/all": True}


def attach(boxes: Boxes, uname: str, aname: str) -> Root:
    """Return the root for an attach.

    Only the server's user may attach.  Raises P9Error for others, and for an attach
    name that means nothing: it may have been meant to restrict what is seen.
    """
    if uname != boxes.place.user:
        raise P9Error(EPERM)
    if aname not in ANAMES:
        raise P9Error(f"unknown attach name {aname!r}"[:64])
    return Root(Attachment(boxes, ANAMES[aname]))
