"""Maildir: a file a message, flags in its name; maildir(5), Maildir++.

A name is ``UNIQUE`` in new/ or ``UNIQUE:2,FLAGS`` in cur/; where a file system cannot
have colons, ``;`` or ``!`` stand for them.  The identity of a message is a 64-bit
digest of the unique name.  Its size is what ``,S=`` in the name says, else the file's:
reading 100,000 names takes a fraction of asking for each file.  A name that lies is
found out at the first read, which is then Stale, and the next listing knows better.

Two names with one unique part are one message if they lead to one file, as a crash
between link and unlink leaves them; else they are two, and both are shown.  Of such
twins the file with the lowest inode has the identity of the name; another has that of
the name with its inode, ``UNIQUE_INODE``, which it gets when the two would collide.
"""

import itertools
import os
import re
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b

from mailfs.disk.holder import host
from mailfs.disk.replace import sync_all, sync_dir
from mailfs.errors import Refused
from mailfs.mailbox.driver import Driver, Place, WatchedDir
from mailfs.mailbox.drivers.folder import (
    FolderDriver,
    FolderRow,
    Keys,
    Rows,
    Table,
    look,
    make_folder,
    move_folder,
    remove_files,
    signature_of,
    write_file,
)
from mailfs.mailbox.drivers.spec import is_network
from mailfs.mailbox.kinds import Flag, Listing, Stale
from mailfs.mailbox.octets import Octets, octets_of

_PATCH = 64  # changed names up to which an old listing is patched, not made anew
_HEAVY = 2 << 20  # octets of directories from which a listing disturbs
_ABANDONED = 36 * 3600  # seconds after which a file in tmp is nobody's; maildir(5)
_DIRS = ("new", "cur")  # in this order: messages move from new to cur, not back
FEW = 8  # messages added at once up to which each file is put on disk by itself
_LETTERS = {
    "D": Flag.DRAFT,
    "F": Flag.FLAGGED,
    "P": Flag.STORED,
    "R": Flag.ANSWERED,
    "S": Flag.SEEN,
    "T": Flag.DELETED,
}
_deliveries = itertools.count(1)
_INFO = re.compile(r"(?:[:;!]2,)+")
# What Dovecot and Courier keep in a Maildir, beside the three directories.
_OWN = re.compile(r"maildirfolder|maildirsize|dovecot[-.].*|courierimap.*")


class Maildir(FolderDriver):
    """A Maildir."""

    kind = "maildir"

    def __init__(self, path: str, place: Place) -> None:
        super().__init__(path, place)
        self._twins: dict[str, list[str]] = {}  # other names of files, by the listed
        self._swept = False  # whether tmp has been looked at

    def check_beneath(self) -> None:
        """Raise Refused if the mailbox, or one of its directories, is behind a link."""
        super().check_beneath()
        for name in (*_DIRS, "tmp") if self.confined else ():
            if os.path.islink(os.path.join(self.path, name)):
                raise Refused(f"{name}: is a symbolic link")

    def watched(self, real: str) -> Sequence[WatchedDir]:
        """Name new and cur, and the mailbox, where they may be put anew."""
        inner = (WatchedDir(os.path.join(real, name)) for name in _DIRS)
        return (WatchedDir(real, frozenset(_DIRS)), *inner)

    def signature(self) -> str:
        """Identity and times of both directories."""
        return signature_of(self._dirs(), self._names)

    def heavy(self, old: Listing | None) -> bool:
        """Whether many thousand names are to be looked at for the first time."""
        size = sum(os.stat(path).st_size for path in self._dirs())
        return old is None and size > _HEAVY

    def list(self, old: Listing | None = None) -> Listing:
        """List both directories; an old listing spares looking at known files."""
        since = old.signature if old is not None and old.settled else None
        found = look(self._dirs(), self.signature, self._read, since)
        if found is None:
            assert old is not None
            return old
        self.passed.intersection_update(found.names)
        if old is not None:
            listing = self._patched(old, found.names)
            if listing is not None:
                return replace(
                    listing,
                    signature=found.signature,
                    settled=found.settled,
                    store=self._store(),
                )
        table = self._table(found.names)
        return table.listing(found.signature, self._store(), settled=found.settled)

    def delete(self, listing: Listing, rows: Sequence[int]) -> Listing:
        """Unlink the messages' files."""
        keys = self._present(listing, rows)
        self._keep(listing, keys)
        for key in keys:
            for name in (key, *self._twins.pop(key, ())):
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(self.path, name))
        self._sync()
        return self._without(listing, rows)

    def set_flags(
        self, listing: Listing, changes: Sequence[tuple[int, Flag]]
    ) -> Listing:
        """Rename the files; letters that are not ours are kept."""
        keys = self._present(listing, [row for row, _ in changes])
        table = Table.of(listing)
        for at, (row, value) in enumerate(changes):
            aside = self._make_room(keys[at], value)
            if aside is not None:  # before another file has the name it had
                was, now = aside
                keys = [now if key == was else key for key in keys]
                for other, key in enumerate(table.keys):
                    if other != row and self._names.follow(str(key)) == now:
                        table.keys[other] = now
            table.keys[row] = self._renamed(keys[at], value)
            table.flags[row] = int(value & ~Flag.RECENT)
        self._sync()
        return table.listing(self.signature(), self._store(), settled=False)

    def append(
        self, message: bytes | Octets, date: int, sender: str, flags: Flag
    ) -> None:
        """Write into tmp, then give the file its name; with flags, in cur."""
        octets = octets_of(message)
        self.add([(f"{date}.{delivery()},S={len(octets)}", octets, flags)])

    def add(self, messages: Sequence[tuple[str, Octets, Flag]]) -> None:
        """Add messages under unique names, in cur if they have flags; all on disk.

        If this ends early some may be there, each whole.
        """
        self.check_writable()
        if not self._swept:
            self._swept = True
            self._sweep()
        temps: list[tuple[str, str, str]] = []
        few = len(messages) <= FEW
        try:
            for name, octets, flags in messages:
                kept = flags & ~Flag.RECENT
                letters = sorted(c for c, flag in _LETTERS.items() if kept & flag)
                sub, info = ("cur", f":2,{''.join(letters)}") if kept else ("new", "")
                temp = os.path.join(self.path, "tmp", name)
                temps.append((temp, sub, name + info))
                write_file(temp, octets, sync=few)
            if not few:
                sync_all(self.path)
            for temp, sub, name in temps:
                os.rename(temp, os.path.join(self.path, sub, name))
        except BaseException:
            for temp, _, _ in temps:
                with suppress(FileNotFoundError):
                    os.unlink(temp)
            raise
        for sub in {sub for _, sub, _ in temps}:
            sync_dir(os.path.join(self.path, sub))

    def names(self) -> Keys:
        """List the messages' files: directory, slash, name."""
        return [
            f"{sub}/{name}"
            for sub in _DIRS
            for name in os.listdir(os.path.join(self.path, sub))
        ]

    def discard(self, keys: Iterable[str]) -> None:
        """Unlink messages' files, which may be gone."""
        self.check_writable()
        for key in keys:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(self.path, key))

    def _sweep(self) -> None:
        """Remove what deliverers left in tmp that were killed; maildir(5)."""
        with os.scandir(os.path.join(self.path, "tmp")) as entries:
            old = time.time() - _ABANDONED
            for entry in entries:
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < old:
                        os.unlink(entry.path)

    def make(self) -> None:
        """Create the three directories, and parents."""
        self.check_writable()
        make_folder(self.path, 0o700)
        for name in ("tmp", "new", "cur"):
            os.mkdir(os.path.join(self.path, name), 0o700)
        sync_dir(self.path)

    def rename(self, new: str, *, keep: bool = False) -> None:
        """Give the directory another name."""
        self.check_writable()
        move_folder(self.path, new)
        old, self.path = self.path, new
        if keep:
            Maildir(old, self.place).make()

    def remove(self, *, recurse: bool = False, truncate: bool = False) -> None:
        """Remove the messages and the three directories; with recurse .NAME too."""
        self.check_writable()
        for path in self._dirs():
            remove_files(path, lambda name: name[0] != ".")
        if recurse:
            for entry in list(os.scandir(self.path)):
                if entry.name[0] == "." and is_maildir(entry.path):
                    Maildir(entry.path, self.place).remove(
                        recurse=True, truncate=truncate
                    )
        if truncate:
            return
        remove_files(os.path.join(self.path, "tmp"), lambda _: True)
        remove_files(self.path, lambda name: bool(_OWN.fullmatch(name)))
        for name in ("cur", "new", "tmp", ""):
            with suppress(OSError):  # not empty: foreign files are spared
                os.rmdir(os.path.join(self.path, name))

    def _dirs(self) -> Keys:
        return [os.path.join(self.path, name) for name in _DIRS]

    def _sync(self) -> None:
        for path in self._dirs():
            sync_dir(path)

    def _read(self) -> Keys:
        return [
            f"{sub}/{name}"
            for sub, path in zip(_DIRS, self._dirs(), strict=True)
            for name in os.listdir(path)
            if name[0] != "."
        ]

    def _patched(self, old: Listing, names: Keys) -> Listing | None:
        """Return old with what little has changed; None if it is not little."""
        if self._twins or self._names.wrong:
            return None
        was, now = set(old.keys), set(names)
        added, gone = now - was, was - now
        if not added and not gone:
            return old
        if len(added) + len(gone) > _PATCH:
            return None
        table = Table.of(old)
        table.drop({table.keys.index(str(key)) for key in gone})
        for row in self._rows(str(name) for name in added):
            if row.ident in table.idents:
                return None  # another file with that unique name
            table.insert(table.place(row, unique), row)
        return table.listing("", self._store(), settled=False)

    def _table(self, names: Keys) -> Table:
        """Return the columns for names; one plain loop, or 100,000 take a second."""
        uniques, dates, sizes, digests = [], [], [], []
        for key in names:
            name = unique(key)
            head = name.partition(".")[0]
            size = name.partition(",S=")[2].partition(",")[0]
            plain = head.isdecimal() and len(head) == 10
            if not (plain and size.isdecimal() and len(size) < 16):
                break  # a name that does not say everything, or sorts otherwise
            uniques.append(name)
            dates.append(int(head))
            sizes.append(int(size))
            digests.append(_digest(name))
        n = len(names)
        if self._names.wrong or len(digests) < n or len(set(uniques)) < n:
            return Table.filled(sorted(self._rows(names)))
        order = sorted(range(n), key=uniques.__getitem__)
        table = Table()
        table.keys = [names[i] for i in order]
        table.sizes = array("Q", [sizes[i] for i in order])
        table.idents.frombytes(b"".join([digests[i] for i in order]))
        table.weaks = array("Q", bytes(8 * n))
        table.dates = array("q", [dates[i] for i in order])
        table.flags = bytearray([_flags(key) for key in table.keys])
        return table

    def _rows(self, names: Iterable[str]) -> Rows:
        rows = []
        wrong = self._names.wrong
        for key in names:
            name = unique(key)
            date, size = _date(name), _size(name)
            if size < 0 or date < 0 or key in wrong:
                st = self._regular(key)
                if st is None:
                    continue
                size = st.st_size
                date = date if date >= 0 else int(st.st_mtime)
            rows.append(FolderRow(date, name, key, size, _ident(name), 0, _flags(key)))
        if len({row.ident for row in rows}) < len(rows):
            return self._parted(rows)
        return rows

    def _parted(self, rows: Rows) -> Rows:
        """Make one row of names of one file, and give different files identities."""
        count = Counter(row.order for row in rows)
        files: dict[tuple[str | int, int], FolderRow] = {}
        self._twins = {}
        parted = []
        for row in sorted(rows, key=lambda row: row.key):  # cur/ before new/
            if count[row.order] == 1:
                parted.append(row)
                continue
            st = self._regular(row.key)
            if st is None:  # seen in new/, moved to cur/ while we looked
                continue
            first = files.setdefault((row.order, st.st_ino), row)
            if first is not row:
                self._twins.setdefault(first.key, []).append(row.key)
        elder: dict[str | int, int] = {}
        for name, inode in files:
            elder[name] = min(elder.get(name, inode), inode)
        for (name, inode), row in files.items():
            if inode != elder[name]:
                row = row._replace(ident=_ident(_apart(str(name), inode)))
            parted.append(row)
        return parted

    def _present(self, listing: Listing, rows: Iterable[int]) -> Keys:
        """Return the present keys of rows; raise Stale if a file is gone."""
        self.check_writable()
        keys = [self._names.follow(str(listing.keys[row])) for row in rows]
        lost = [k for k in keys if not os.path.lexists(os.path.join(self.path, k))]
        if lost:  # other programs rename too
            found: dict[str, Keys] = {}
            for name in self._read():
                found.setdefault(unique(name), []).append(name)
            for key in lost:
                names = found.get(unique(key), [])
                if len(names) != 1:  # of twins it could be either
                    raise Stale(f"{key}: message is gone")
                self._names.rename(key, names[0])
            keys = [self._names.follow(key) for key in keys]
        return keys

    def _make_room(self, key: str, flags: Flag) -> tuple[str, str] | None:
        """Set a twin apart that has the name a file is to get, if it is the younger.

        Tells the twin's old key and its new one; None if it stays.
        """
        new = _reflagged(key, flags)
        source, target = (os.path.join(self.path, k) for k in (key, new))
        if new == key or not os.path.lexists(target):
            return None
        with suppress(FileNotFoundError):
            if os.lstat(source).st_ino < os.lstat(target).st_ino:
                return new, self._set_apart(new)
        return None

    def _renamed(self, key: str, flags: Flag) -> str:
        """Give a file the name with those flags; return its new key."""
        new = _reflagged(key, flags)
        if new == key:
            return key
        source, target = (os.path.join(self.path, k) for k in (key, new))
        if os.path.lexists(target) and not os.path.samefile(source, target):
            new = _with_unique(new, _apart(unique(key), os.lstat(source).st_ino))
            target = os.path.join(self.path, new)
        if os.path.lexists(target) and not os.path.samefile(source, target):
            raise Stale(f"{new}: name is taken")
        try:
            os.rename(source, target)
        except FileNotFoundError:
            raise Stale(f"{key}: message is gone") from None
        self._names.rename(key, new)
        return new

    def _set_apart(self, key: str) -> str:
        """Give a twin, of another file, the unique name that its identity is of."""
        path = os.path.join(self.path, key)
        new = _with_unique(key, _apart(unique(key), os.lstat(path).st_ino))
        target = os.path.join(self.path, new)
        if os.path.lexists(target):
            raise Stale(f"{new}: name is taken")
        os.rename(path, target)
        self._names.rename(key, new)
        return new


def delivery() -> str:
    """Make a name unique to one delivery; maildir(5)."""
    now = time.time_ns() // 1000 % 1_000_000
    name = host().replace("/", "\\057").replace(":", "\\072")
    return f"M{now}P{os.getpid()}Q{next(_deliveries)}.{name.replace(',', '_')}"


def unique(key: str) -> str:
    """Return the unique part of a name, which identifies the message for ever."""
    head, colon, _ = key.partition(":")
    if not colon and (";2," in key or "!2," in key):
        head = _INFO.split(key, 1)[0]
    return head[4:]  # both directories have names of three letters


def _apart(name: str, inode: int) -> str:
    """Return the unique name of a twin, which no other file has."""
    return f"{name}_{inode:x}"


def _with_unique(key: str, name: str) -> str:
    """Return a key with another unique name, and the flags it has."""
    return key[:4] + name + key[4 + len(unique(key)) :]


def _reflagged(key: str, flags: Flag) -> str:
    """Return the key in cur with those flags.

    Letters that are not ours are kept, and so is what follows a comma, which is some
    program's own.  ``2,`` said twice is said once.
    """
    name = key.partition("/")[2]
    m = _INFO.search(name)
    head, sign = (name[: m.start()], m[0][:3]) if m else (name, ":2,")
    info, comma, rest = (name[m.end() :] if m else "").partition(",")
    letters = {c for c in info if c not in _LETTERS}
    letters |= {c for c, flag in _LETTERS.items() if flags & flag}
    return f"cur/{head}{sign}{''.join(sorted(letters))}{comma}{rest}"


def _date(name: str) -> int:
    """Return the seconds a unique name starts with, or -1."""
    head = name.partition(".")[0]
    return int(head) if len(head) < 12 and head.isdecimal() else -1


def _size(name: str) -> int:
    """Return the octets a unique name says the file has, or -1."""
    text = name.partition(",S=")[2].partition(",")[0]
    return int(text) if text.isdecimal() and len(text) < 16 else -1


def _digest(name: str) -> bytes:
    return blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()


def _ident(name: str) -> int:
    return int.from_bytes(_digest(name), sys.byteorder)


def _flags(key: str) -> int:
    if key[0] == "n":
        return int(Flag.RECENT)
    info = key.partition(":2,")[2]
    if not info and (m := _INFO.search(key)):
        info = key[m.end() :]
    return _letters(info)


@lru_cache(maxsize=1024)
def _letters(info: str) -> int:
    while m := _INFO.match(info):  # said twice
        info = info[m.end() :]
    bits = 0
    for letter in info.partition(",")[0]:
        bits |= int(_LETTERS.get(letter, 0))
    return bits


def is_maildir(path: str) -> bool:
    """Whether a directory has the two directories that matter."""
    return all(os.path.isdir(os.path.join(path, name)) for name in _DIRS)


def claim(path: str, place: Place) -> Driver | None:
    """Take a directory that has cur/ and new/.  Raises PermissionError."""
    if is_network(path) or not os.path.isdir(path):
        return None
    names = os.listdir(path)  # PermissionError says more than an empty mailbox would
    named = place.owner is not None and set(_DIRS) <= set(names)  # by links, perhaps
    return Maildir(path, place) if named or is_maildir(path) else None
