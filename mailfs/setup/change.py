"""Changes to files: what was there, what shall be, and the way from one to the other.

A file is replaced whole, from a temporary one beside it that is on disk before it gets
the name; what it held before stays beside it, with ``.old`` behind its name.
"""

import difflib
import stat
from dataclasses import dataclass
from pathlib import Path

from mailfs.attr import lines
from mailfs.disk import replace as disk
from mailfs.errors import EFBIG, MailfsError
from mailfs.printable import shown

MAX_FILE = 4 << 20  # octets of a file that setup edits; they are written by hand
OLD = ".old"  # behind the name of what a file held before
SHARED, PRIVATE = 0o644, 0o600


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file's change; old is None if there is no such file.

    usual  the old text is what a new root has, so nobody wrote it
    """

    path: Path
    old: str | None
    new: str
    mode: int = SHARED
    usual: bool = False

    @property
    def needed(self) -> bool:
        """Whether there is anything to do."""
        return self.old != self.new

    @property
    def overwrites(self) -> bool:
        """Whether anything that a person wrote is replaced: a line goes."""
        if self.old is None or self.usual:
            return False
        kept = set(lines(self.new))
        return any(line.strip() and line not in kept for line in lines(self.old))

    @property
    def kept(self) -> Path:
        """Where what a person wrote is kept."""
        return self.path.with_name(self.path.name + OLD)

    def diff(self) -> list[str]:
        """Return the lines that show it, as diff -u does."""
        found = difflib.unified_diff(
            lines(self.old or ""),
            lines(self.new),
            "/dev/null" if self.old is None else str(self.path),
            str(self.path),
            lineterm="",
        )
        return [_plain(line) for line in found]

    def apply(self) -> None:
        """Make it; the new file is on disk when this returns.

        Raises MailfsError if the file has changed since it was read, and OSError.
        """
        if read(self.path) != self.old:
            raise MailfsError(f"{self.path}: changed meanwhile; not written")
        mode = self.mode
        if self.old is not None:  # as its owner has set it, but no wider than may be
            mode = stat.S_IMODE(self.path.stat().st_mode) & (self.mode | 0o111)
        if self.overwrites and self.old is not None:
            replace(self.kept, self.old, mode)
        replace(self.path, self.new, mode)


def _plain(line: str) -> str:
    return shown(line, keep="\t")


def read(path: Path) -> str | None:
    """Return the text of a file, None if there is none.

    Octets that are no UTF-8 come back as they were when the text is written.
    """
    try:
        with open(path, "rb") as f:
            raw = f.read(MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(raw) > MAX_FILE:
        raise MailfsError(f"{path}: {EFBIG}")
    return raw.decode("utf-8", "surrogateescape")


def replace(path: Path, text: str, mode: int) -> None:
    """Put a text into the place of a file, wholly or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    disk.replace(path, text.encode("utf-8", "surrogateescape"), mode)
