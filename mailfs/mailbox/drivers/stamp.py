"""Whether a file or directory has changed: what stat(2) says, and when to doubt it."""

import os
from dataclasses import dataclass

TICK = 20_000_000  # ns; twice the coarsest kernel clock that stamps files, 100 Hz
COARSE = 2_000_000_000  # ns; where times have whole seconds: FAT, NFSv2, HFS+
FUTURE = 3_600_000_000_000  # ns; a time so far ahead is no clock's, it was set


def settled(changed: int, now: int) -> bool:
    """Whether a further change would show in the time stamp.

    Both are nanoseconds since the epoch; now is taken before the file was looked at.
    A second change within one tick of the file system's clock leaves the stamp as
    it is, so a stamp that young proves nothing.
    """
    if changed - now > FUTURE:
        return True
    return now - changed > (COARSE if changed % 1_000_000_000 == 0 else TICK)


@dataclass(frozen=True, slots=True)
class Stamp:
    """A file's identity, octets and times; times in nanoseconds.

    changed is ctime, which no program can set back as mutt does with mtime.
    """

    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, st: os.stat_result) -> "Stamp":
        """Return the stamp of what a stat call gave."""
        return cls(st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns)

    @classmethod
    def parse(cls, text: str) -> "Stamp | None":
        """Read back what str() gave; None if it is something else."""
        words = text.split(".")
        try:
            return cls(*(int(w, 16) for w in words)) if len(words) == 4 else None
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.inode:x}.{self.size:x}.{self.modified:x}.{self.changed:x}"

    def settled(self, now: int) -> bool:
        """Whether a further change would alter the stamp; now is in nanoseconds."""
        return settled(self.modified, now) and settled(self.changed, now)
