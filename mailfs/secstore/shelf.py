"""The files of one account on a secstore server, as octets the server cannot read."""

import base64
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

from mailfs.attr import lines
from mailfs.disk.replace import replace
from mailfs.secstore.error import SecstoreError

MAX_FILE = 10 << 20  # octets stored in one file; what Plan 9's programs accept
MAX_FILES = 1000  # of one account: all are read for a listing
MAX_NAME = 200  # octets


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One line of a listing; the digest is the SHA-1 of the stored octets."""

    name: str
    size: int
    date: str
    digest: bytes


def good_name(name: str) -> bool:
    """Whether a stored file may be called that."""
    return (
        0 < len(name.encode()) <= MAX_NAME
        and name.isprintable()
        and name == name.strip()
        and not name.startswith(".")
        and "/" not in name
    )


def listing(entries: list[StoredFile]) -> str:
    """Return the lines a client gets for ``GET .``; dirls of secstore(1)."""
    name_width = max((len(e.name) for e in entries), default=0)
    size_width = max((len(str(e.size)) for e in entries), default=0)
    return "".join(
        f"{e.name:<{name_width}}\t{e.size:>{size_width}} {e.date} "
        f"{base64.b64encode(e.digest).decode()}\n"
        for e in entries
    )


def parse_listing(text: str) -> list[StoredFile]:
    """Read such lines.  Raises SecstoreError for one that is none."""
    entries = []
    for line in lines(text):
        name, _, rest = line.partition("\t")
        words = rest.split()
        name = name.rstrip()
        if len(words) < 3 or not words[0].isdecimal() or not good_name(name):
            raise SecstoreError("bad directory listing")
        digest = base64.b64decode(words[-1] + "==")
        entries.append(StoredFile(name, int(words[0]), " ".join(words[1:-1]), digest))
        if len(entries) > MAX_FILES:
            raise SecstoreError("too many files")
    return entries


class Shelf:
    """One folder of stored files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def entries(self) -> list[StoredFile]:
        """List the stored files by name.  Raises SecstoreError and OSError."""
        found: list[StoredFile] = []
        for path in sorted(self._folder.iterdir()):
            if not good_name(path.name) or not path.is_file():
                continue
            if len(found) == MAX_FILES:
                raise SecstoreError("too many files")
            data = self.get(path.name)
            date = time.strftime("%b %d %H:%M:%S GMT %Y", _gmt(path))
            digest = hashlib.sha1(data).digest()  # noqa: S324  what Plan 9 lists
            found.append(StoredFile(path.name, len(data), date, digest))
        return found

    def get(self, name: str) -> bytes:
        """Return a file's octets.  Raises SecstoreError and OSError."""
        path = self._folder / name
        if not good_name(name):
            raise SecstoreError("illegal name")
        with path.open("rb") as f:
            data = f.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise SecstoreError("implausible filesize")
        return data

    def put(self, name: str, data: bytes) -> None:
        """Store a file, or replace it.  Raises SecstoreError and OSError."""
        if not good_name(name):
            raise SecstoreError("illegal name")
        path = self._folder / name
        if not path.exists() and sum(1 for _ in self._folder.iterdir()) >= MAX_FILES:
            raise SecstoreError("too many files")
        replace(path, data)

    def remove(self, name: str) -> None:
        """Remove a file.  Raises SecstoreError and OSError."""
        if not good_name(name):
            raise SecstoreError("illegal name")
        (self._folder / name).unlink()


def _gmt(path: Path) -> time.struct_time:
    return time.gmtime(path.stat().st_mtime)
