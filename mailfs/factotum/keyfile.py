"""A file of keys that only its owner can read, and the factotum may write.

``mail/box/USER/factotum`` holds control messages, one a line, in the clear: whoever can
read the owner's files has the keys.  It needs nobody to unlock it.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mailfs.disk.replace import replace
from mailfs.factotum import keeper


def path(root: Path, user: str) -> Path:
    """Name a user's file."""
    return root / "mail" / "box" / user / keeper.NAME


def usual(root: Path, user: str) -> list[Path]:
    """List the files a factotum reads if it is told none: the user's, if there."""
    file = path(root, user)
    return [file] if file.exists() else []


class KeyFile(keeper.Keeper):
    """The file as a keeper: a key whose token was renewed is put in its place."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def load(self) -> str:
        """Read the text, empty if there is no file.

        Raises MailfsError if others may read it.
        """
        try:
            return keeper.read_file(self.file)
        except FileNotFoundError:
            return ""

    def save(self, text: str) -> None:
        """Replace the file."""
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(self.file, text.encode("utf-8", "surrogateescape"))

    def put(self, line: str) -> None:
        """Put a key's line, ``key ...``, into the place of the one it equals."""
        from mailfs.factotum.key import parse_key

        with self._alone():
            for key in parse_key(line.removeprefix("key ")):
                self.source(key)

    def change(self, job: Callable[[str], str]) -> None:
        """Replace the text by what job makes of it."""
        with self._alone():
            old = self.load()
            new = job(old)
            if new != old:
                self.save(new)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Have other processes that change the file wait meanwhile."""
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(self.file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)
