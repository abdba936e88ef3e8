"""Letters of the outbox: each a file on disk whose name tells what became of it.

    mail/box/USER/outbox/d.NAME   being written, or never finished
    mail/box/USER/outbox/c.NAME   closed: to be queued, and queued after a crash too
    mail/box/USER/outbox/s.NAME   being handed to send(8); after a crash nobody knows
    mail/box/USER/outbox/r.NAME   refused
    mail/box/USER/outbox/w.NAME   what its status says, if it was refused or queued

A rename is what changes a state, so a letter is in one state at any moment.
"""

import os
import stat
from contextlib import suppress
from enum import Enum
from pathlib import Path

from mailfs.disk.replace import replace
from mailfs.errors import EFBIG, EINUSE, Refused

MAX_LETTER = 128 << 20  # octets; send(8) takes no more

# Vim's swap files, emacs' locks and autosaves, backups, and what rsync and browsers
# call what they have not finished.
HELD_STARTS = (".", "#")
HELD_ENDS = ("~", "#", ".tmp", ".swp", ".part")


class LetterState(Enum):
    """What may become of a letter; the value begins its file's name."""

    DRAFT = "d"
    CLOSED = "c"
    SENDING = "s"
    REFUSED = "r"
    QUEUED = "w"  # the letter is gone, its status is left
    REMOVED = ""


WORDS = {
    LetterState.DRAFT: "unfinished",
    LetterState.CLOSED: "waiting",
    LetterState.SENDING: "waiting",
    LetterState.REFUSED: "refused",
    LetterState.QUEUED: "queued",
}
IDLE = (LetterState.DRAFT, LetterState.REFUSED)  # nobody is about to send it


class Letter:
    """One letter.  Its methods are quick, or say that they may block."""

    def __init__(
        self, folder: Path, name: str, number: int, state: LetterState
    ) -> None:
        self.folder = folder
        self.name = name
        self.number = number  # of its qid; no other letter has had it
        self.state = state
        self.version = 0
        self.writers = 0  # handles that may write
        self.changed = False  # since it was last closed, or at all
        self.synced = False  # since it was last written, by its writer's fsync
        self.broken = ""  # why a write was not done, so that it must not be sent
        self.status = ""  # lines for its status, but for the first
        self.todo: tuple[str, ...] = ()  # the recipients that are left, if not all
        self.mtime = 0  # seconds since the epoch
        self.size = 0  # octets
        self.measure()

    @property
    def there(self) -> bool:
        """Whether the letter itself is there to be read."""
        return self.state not in (LetterState.QUEUED, LetterState.REMOVED)

    @property
    def held(self) -> bool:
        """Whether it is not for sending until it gets another name.

        Such names editors and rsync give to files they have not finished.
        """
        return self.name.startswith(HELD_STARTS) or self.name.endswith(HELD_ENDS)

    def path(self, state: LetterState | None = None) -> Path:
        """Return its file's path, in another state if given."""
        return self.folder / f"{(state or self.state).value}.{self.name}"

    def become(self, state: LetterState) -> None:
        """Change its state, on disk too.  Raises OSError."""
        os.rename(self.path(), self.path(state))
        self.state = state
        self.version += 1

    def check_idle(self) -> None:
        """Raise Refused while it is being sent."""
        if self.state not in IDLE:
            raise Refused(EINUSE)

    def touch(self) -> None:
        """Make it a draft again, because it is being changed.  Raises OSError."""
        self.check_idle()
        if self.state is LetterState.REFUSED:
            self.become(LetterState.DRAFT)
            self.forget_status()
        self.changed = True
        self.synced = False
        self.version += 1

    def write(self, fd: int, offset: int, data: bytes) -> int:
        """Put octets; may block.  Raises OSError."""
        at = 0
        while at < len(data):
            at += os.pwrite(fd, data[at:], offset + at)
        return at

    def truncate(self, length: int) -> None:
        """Set its length in octets.  Raises OSError, or Refused while it is sent."""
        if length > MAX_LETTER:
            raise Refused(EFBIG)
        self.touch()
        os.truncate(self.path(), length)
        if not length:
            self.broken = ""
        self.measure()

    def measure(self) -> None:
        """See how long it is and when it was changed."""
        with suppress(OSError):
            st = os.stat(self.path())
            if stat.S_ISREG(st.st_mode):
                self.size, self.mtime = st.st_size, int(st.st_mtime)

    def tell(self, status: str) -> None:
        """Keep what its status says, on disk as far as that goes."""
        self.status = status
        path = self.path(LetterState.QUEUED)
        with suppress(OSError):
            replace(path, status.encode())

    def forget_status(self) -> None:
        """Forget what became of it."""
        self.status, self.todo = "", ()
        with suppress(FileNotFoundError):
            self.path(LetterState.QUEUED).unlink()

    def remove(self) -> None:
        """Remove it with its status.  Raises OSError."""
        with suppress(FileNotFoundError):
            self.path().unlink()
        self.forget_status()
        self.state = LetterState.REMOVED

    def lines(self) -> str:
        """Return the text of its status: a name and a value a line."""
        status = self.status
        if self.broken:
            status = f"error incomplete: {self.broken}\n"
        return f"state {WORDS.get(self.state, 'removed')}\n{status}"
