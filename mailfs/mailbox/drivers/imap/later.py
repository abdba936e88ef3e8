"""Changes made to a remote mailbox while its server could not be reached.

They are kept in a file below the root, one JSON line each, on disk before anybody is
told that a change was made.  They are not in the index: that may be removed.  A line
that is no change of ours is never sent: it is put aside, into a file beside.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mailfs.disk.replace import replace, sync_dir, write_all
from mailfs.errors import MailfsError
from mailfs.imap.grammar.ranges import MAX_UID
from mailfs.mailbox.kinds import Flag

NONE = Flag(0)
MAX_QUEUE = 16 << 20  # octets of the file; nobody makes so many changes by hand
MAX_NAME = 4096  # characters of a folder's name; what the wire may carry
VERBS = frozenset({"flags", "delete", "expunge", "move"})
SETTABLE = Flag.ANSWERED | Flag.DELETED | Flag.DRAFT | Flag.FLAGGED | Flag.SEEN


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
        """Return the change as a line of the file."""
        fields = [self.verb, self.validity, self.uid, int(self.add), int(self.drop)]
        return json.dumps([*fields, self.folder]) + "\n"

    @classmethod
    def parse(cls, line: str | bytes) -> "WaitingChange":
        """Read a line.  Raises ValueError unless it is a change that can be made."""
        try:
            fields = json.loads(line)
        except RecursionError as e:
            raise ValueError("lists too deep") from e
        if not isinstance(fields, list) or len(fields) != 6:
            raise ValueError("not a change")
        verb, validity, uid, add, drop, folder = fields
        if not (
            isinstance(verb, str)
            and verb in VERBS
            and all(type(n) is int for n in (validity, uid, add, drop))
            and 0 < validity <= MAX_UID
            and 0 < uid <= MAX_UID
            and not (add | drop) & ~int(SETTABLE)
            and not add & drop
            and bool(add | drop) == (verb == "flags")
            and _target(folder, needed=verb == "move")
        ):
            raise ValueError("not a change")
        return cls(verb, validity, uid, Flag(add), Flag(drop), folder)


def _target(folder: object, *, needed: bool) -> bool:
    """Whether folder can be where a change moves its message."""
    if not isinstance(folder, str) or bool(folder) != needed:
        return False
    return len(folder) <= MAX_NAME and not any(c in folder for c in "\0\r\n")


class WaitingChanges:
    """The queue of one mailbox, used by one process at a time."""

    def __init__(self, path: Path, most: int = MAX_QUEUE) -> None:
        """Keep changes in the file path, of at most some octets."""
        self.path = path
        self.bad = path.with_name(path.name + ".bad")  # lines that are no changes
        self._most = most

    def __len__(self) -> int:
        return len(self.waiting())

    @property
    def aside(self) -> int:
        """How many lines have been put aside, unsent."""
        try:
            return self.bad.read_bytes().count(b"\n")
        except FileNotFoundError:
            return 0

    def waiting(self) -> list[WaitingChange]:
        """Return the changes, oldest first.

        A line cut short by a crash was promised to nobody and is passed over; any
        other that is no change is put aside.
        """
        changes, bad = self._read()
        if bad:
            with self._file():
                changes, bad = self._read()
                self._put_aside(bad)
                self._rewrite(changes)
        return changes

    def _read(self) -> tuple[list[WaitingChange], list[bytes]]:
        """Return the file's changes, and its whole lines that are none."""
        try:
            octets = self.path.read_bytes()
        except FileNotFoundError:
            return [], []
        changes, bad = [], []
        *lines, tail = octets.split(b"\n")
        for line in lines:
            try:
                changes.append(WaitingChange.parse(line))
            except (ValueError, TypeError):
                bad += [line] if line else []
        with suppress(ValueError, TypeError):  # cut short
            changes.append(WaitingChange.parse(tail))
        return changes, bad

    def _put_aside(self, lines: Sequence[bytes]) -> None:
        """Append lines to the file of bad ones; those of a full one are dropped."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self.bad, flags, 0o600)
        try:
            if lines and os.fstat(fd).st_size <= self._most:
                write_all(fd, b"".join(line + b"\n" for line in lines))
                os.fsync(fd)
        finally:
            os.close(fd)
        sync_dir(str(self.bad.parent))

    def _rewrite(self, changes: Sequence[WaitingChange]) -> None:
        """Put these changes, and no others, in the file."""
        replace(self.path, "".join(one.line() for one in changes).encode())

    def add(self, changes: Sequence[WaitingChange]) -> None:
        """Put changes at the end; on disk when it returns."""
        with self._file() as fd:
            size = os.fstat(fd).st_size
            if size > self._most:
                raise MailfsError(f"{self.path}: too many changes wait for the server")
            text = "".join(one.line() for one in changes)
            if size and os.pread(fd, 1, size - 1) != b"\n":
                text = self._after_tail(fd, size) + text
            write_all(fd, text.encode())
            os.fsync(fd)
        if not size:
            sync_dir(str(self.path.parent))

    def _after_tail(self, fd: int, size: int) -> str:
        """Make an end for a last line without one, which is dropped if cut short."""
        start = size
        tail = b""
        while start and b"\n" not in tail:
            start = max(0, start - 4096)
            tail = os.pread(fd, size - start, start)
        tail = tail.rpartition(b"\n")[2]
        try:
            WaitingChange.parse(tail)
        except (ValueError, TypeError):
            os.ftruncate(fd, size - len(tail))
            return ""
        return "\n"

    def done(self, count: int) -> None:
        """Forget the oldest count changes; others may have come behind them."""
        with self._file() as fd:
            changes, bad = self._read()
            if bad:
                self._put_aside(bad)
            rest = changes[count:]
            if not rest:
                os.ftruncate(fd, 0)
                os.fsync(fd)
                return
            self._rewrite(rest)

    @contextmanager
    def _file(self) -> Iterator[int]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        while True:
            fd = os.open(self.path, flags, 0o600)
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
