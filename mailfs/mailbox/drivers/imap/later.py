"""Changes made to a remote mailbox while its server could not be reached.

They are kept in a file below the root, one JSON line each, on disk before anybody is
told that a change was made.  They are not in the index: that may be removed.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mailfs.errors import MailfsError
from mailfs.mailbox.kinds import Flag

NONE = Flag(0)
MAX_QUEUE = 16 << 20  # octets of the file; nobody makes so many changes by hand


@dataclass(frozen=True, slots=True)
class WaitingChange:
    """One change of one message.

    verb      flags, delete, expunge or move
    validity  the uidvalidity under which uid means the message
    add, drop flags to set and to clear
    folder    where to move it
    """

    verb: str
    validity: int
    uid: int
    add: Flag = NONE
    drop: Flag = NONE
    folder: str = ""

    def line(self) -> str:
        """Return it as a line of the file."""
        fields = [self.verb, self.validity, self.uid, int(self.add), int(self.drop)]
        return json.dumps([*fields, self.folder]) + "\n"

    @classmethod
    def parse(cls, line: str) -> "WaitingChange":
        """Read a line.  Raises ValueError if it is none."""
        fields = json.loads(line)
        if not isinstance(fields, list) or len(fields) != 6:
            raise ValueError(line)
        verb, validity, uid, add, drop, folder = fields
        return cls(str(verb), int(validity), int(uid), Flag(add), Flag(drop), folder)


class WaitingChanges:
    """The queue of one mailbox, used by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return len(self.waiting())

    def waiting(self) -> list[WaitingChange]:
        """Return the changes, oldest first.

        A line cut short by a crash was promised to nobody and is passed over.
        """
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return []
        return list(_changes(text))

    def add(self, changes: Sequence[WaitingChange]) -> None:
        """Put changes at the end; on disk when it returns."""
        with self._file() as fd:
            size = os.fstat(fd).st_size
            if size > MAX_QUEUE:
                raise MailfsError(f"{self.path}: too many changes wait for the server")
            text = "".join(one.line() for one in changes)
            if size and os.pread(fd, 1, size - 1) != b"\n":
                text = "\n" + text
            octets = text.encode()
            while octets:
                octets = octets[os.write(fd, octets) :]
            os.fsync(fd)

    def done(self, count: int) -> None:
        """Forget the oldest count changes; others may have come behind them."""
        with self._file() as fd:
            rest = self.waiting()[count:]
            if not rest:
                os.ftruncate(fd, 0)
                os.fsync(fd)
                return
            new = self.path.with_name(self.path.name + ".new")
            with open(new, "w") as file:
                file.writelines(one.line() for one in rest)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self.path)

    @contextmanager
    def _file(self) -> Iterator[int]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if not _same(fd, self.path):
                    continue  # replaced while we waited
                yield fd
            finally:
                os.close(fd)
            return


def _same(fd: int, path: Path) -> bool:
    """Whether fd is the file that path names."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _changes(text: str) -> Iterator[WaitingChange]:
    for line in text.splitlines():
        try:
            yield WaitingChange.parse(line)
        except (ValueError, TypeError):
            continue
