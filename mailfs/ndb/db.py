"""The network database: files that are searched as one; ndb(6), ndb(8).

``lib/ndb/local`` is searched first, then ``lib/ndb/common``.  If an entry of the former
has the attribute ``database``, its ``file=`` pairs are the files to search instead, in
that order.  A path lies below the root; a file that is not there is the one that ships
under that name.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mailfs.errors import EFBIG, MailfsError
from mailfs.ndb import shipped
from mailfs.ndb.parse import Entry, Lines, records

LOCAL = "lib/ndb/local"
COMMON = "lib/ndb/common"
MAX_FILE = 64 << 20  # octets; a site of a hundred thousand machines
MAX_FILES = 32  # of a database; Plan 9's own has four

Stamp = tuple[int, int, int]  # inode, octets, nanoseconds: what a change alters


@dataclass(frozen=True, slots=True)
class NdbMatch:
    """An entry that was found, and the line of it that matched."""

    lines: Lines
    line: Entry

    @property
    def pairs(self) -> Entry:
        """All pairs, in order."""
        return [pair for line in self.lines for pair in line]

    def values(self, attr: str) -> list[str]:
        """Return the values of attr: of the matching line, if it has any there."""
        for pairs in (self.line, self.pairs):
            found = [value for name, value in pairs if name == attr]
            if found:
                return found
        return []

    def value(self, attr: str) -> str | None:
        """Return the first of values(attr), None if there are none."""
        found = self.values(attr)
        return found[0] if found else None


class Ndb:
    """A database as its files were when it was opened; safe in any thread."""

    def __init__(
        self, lists: Iterable[Lines], stamps: dict[Path, Stamp | None]
    ) -> None:
        """Take entries in the order of their search, and what they were read from."""
        self._stamps = stamps
        self._by: dict[tuple[str, str], list[NdbMatch]] = {}
        self._first: dict[str, list[NdbMatch]] = {}
        for lines in lists:
            seen: set[tuple[str, str]] = set()
            for line in lines:
                for pair in line:
                    if pair in seen:
                        continue
                    seen.add(pair)
                    match = NdbMatch(lines, line)
                    self._by.setdefault(pair, []).append(match)
                    self._first.setdefault(pair[0], []).append(match)

    def search(self, attr: str, value: str) -> Iterator[NdbMatch]:
        """Yield the entries with attr=value, in order; ndbsearch of ndb(2).

        ``*`` as the value stands for any.  Everything is case-sensitive.
        """
        if value != "*":
            yield from self._by.get((attr, value), ())
            return
        seen: set[int] = set()
        for match in self._first.get(attr, ()):
            if id(match.lines) not in seen:
                seen.add(id(match.lines))
                yield match

    def values(self, attr: str, value: str, wanted: str) -> list[str]:
        """Return the values of wanted in the first entry with attr=value that has it.

        ndbgetvalue of ndb(2).
        """
        for match in self.search(attr, value):
            found = match.values(wanted)
            if found:
                return found
        return []

    def value(self, attr: str, value: str, wanted: str) -> str | None:
        """Return the first of values(), None if there are none."""
        found = self.values(attr, value, wanted)
        return found[0] if found else None

    @property
    def current(self) -> bool:
        """Whether no file has changed since this was opened."""
        return all(_stamp(path) == stamp for path, stamp in self._stamps.items())


def open_ndb(root: Path, given: Path | None = None) -> Ndb:
    """Read the database below root, or the one that the file given heads.

    Raises OSError for a file that is there and cannot be read, and for a given one
    that is not there; MailfsError if one is over MAX_FILE.
    """
    stamps: dict[Path, Stamp | None] = {}
    top = given or root / LOCAL
    head = _read(top, stamps, given=given is not None)
    # Normal from the top on, so that no .. leads above the root.
    names = [os.path.normpath(f"/{name}").lstrip("/") for name in _files(head)]
    if not names and given is None:
        names = [LOCAL, COMMON]
    own = LOCAL if given is None else ""
    if own not in names:
        names.insert(0, own)
    lists: list[Lines] = []
    for name in dict.fromkeys(names):
        lists += head if name == own else _read(root / name, stamps)
    return Ndb(lists, stamps)


def _files(lists: list[Lines]) -> list[str]:
    """Return the files that the first entry with ``database`` names."""
    for lines in lists:
        pairs = [pair for line in lines for pair in line]
        if any(name == "database" for name, _ in pairs):
            found = [value for name, value in pairs if name == "file" and value]
            return found[:MAX_FILES]
    return []


def _read(
    path: Path, stamps: dict[Path, Stamp | None], *, given: bool = False
) -> list[Lines]:
    stamps[path] = _stamp(path)
    if stamps[path] is None and not given:
        path = shipped.path(path.name)
        if not path.exists():
            return []
    with open(path, "rb") as f:
        raw = f.read(MAX_FILE + 1)
    if len(raw) > MAX_FILE:
        raise MailfsError(f"{path}: {EFBIG}")
    return records(raw.decode("utf-8", "replace"))


def _stamp(path: Path) -> Stamp | None:
    try:
        st = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return st.st_ino, st.st_size, st.st_mtime_ns
