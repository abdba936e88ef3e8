"""9front's mailbox directories: a file a message; mdir(6).

A message is in a file ``SECONDS.NN``, its From_ line included, and is never altered.
Everything else in the directory is another mailbox or not ours.  There are no locks:
a file gets its name when it is complete.  Flags that we set are kept beside the
directory (mailfs.mailbox.flagfile), as 9front keeps its index.
"""

import itertools
import os
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b

from mailfs.disk import lock
from mailfs.disk.replace import give_name, sweep, sync_dir
from mailfs.mailbox.driver import Driver, Place
from mailfs.mailbox.drivers.companion import (
    SUFFIXES,
    move_companions,
    remove_companions,
)
from mailfs.mailbox.drivers.folder import (
    FileStore,
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
from mailfs.mailbox.flagfile import FlagEntry, FlagFile
from mailfs.mailbox.kinds import Flag, Listing, Stale
from mailfs.mailbox.octets import Joined, Octets, octets_of
from mailfs.msg import fromline

OLDEST = 1_000_000  # seconds; mdir(6) knows no older message
_NUMBERS = 100  # messages of one second; mdir(6)
_PATCH = 64  # changed names up to which an old listing is patched, not made anew
MAX_DEPTH = 8  # levels looked at of mailboxes within a mailbox without messages
MAX_NESTED = 1000  # directories in one of those; more are no user's folders
_HEAVY = 1 << 20  # octets of a directory from which a listing disturbs
_MESSAGE = re.compile(r"(\d{7,11})\.(\d{1,9})", re.ASCII)
_TEMPORARY = re.compile(r"\..*\.mailfs-[a-z]+")  # see disk.lock.unique
_OWN = re.compile(r"\d{7,11}\.\d{1,9}|L\..*|.*\.(idx|imp)", re.ASCII)
_RECENT = int(Flag.RECENT)


class MdirStore(FileStore):
    """Reads messages of an mdir, whose names may come back for other messages."""

    def same(self, key: str, fd: int, st: os.stat_result, ident: int) -> bool:
        """Whether name, octets and inode are those listed."""
        return _ident(key, st) == ident


class Mdir(FolderDriver):
    """A directory with a file a message."""

    kind = "mdir"
    store_type = MdirStore
    envelope = True

    def __init__(self, path: str, place: Place) -> None:
        super().__init__(path, place)
        self.wait = lock.LOCK_WAIT  # seconds to wait for the lock of the flags
        self._flags = FlagFile(os.path.abspath(path), place)
        self._swept = False  # whether what killed processes left has been looked for

    def signature(self) -> str:
        """Identity and times of the directory, and of the flags file."""
        return f"{self._directory()}/{self._flags.signature()}"

    def heavy(self, old: Listing | None) -> bool:
        """Whether many thousand files are to be looked at for the first time."""
        size = os.stat(self.path).st_size
        return old is None and size > _HEAVY

    def list(self, old: Listing | None = None) -> Listing:
        """List the directory; an old listing spares looking at known files."""
        since = None
        if old is not None and old.settled:
            since = old.signature.partition("/")[0]
        found = look([self.path], self._directory, self._read, since)
        if found is None:
            assert old is not None
            return self._reflagged(old)
        self.passed.intersection_update(found.names)
        signature = f"{found.signature}/{self._flags.read()}"
        if old is not None:
            listing = self._patched(old, found.names)
            if listing is not None:
                listing = self._reflagged(listing)
                return replace(listing, signature=signature, settled=found.settled)
        table = Table.filled(sorted(self._rows(found.names)))
        return self._listing(table, signature, settled=found.settled)

    def restore(self, listing: Listing) -> Listing | None:
        """Take the listing up again if the directory has not changed."""
        try:
            now = self._directory()
        except OSError:
            return None
        if listing.signature.partition("/")[0] != now:
            return None
        return self._reflagged(replace(listing, store=self._store()))

    def delete(self, listing: Listing, rows: Sequence[int]) -> Listing:
        """Unlink the messages' files."""
        keys = self._present(listing, rows)
        self._keep(listing, keys)
        for key in keys:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(self.path, key))
        sync_dir(self.path)
        table = Table.of(listing)
        table.drop(set(rows))
        return self._listing(table, self.signature(), settled=False)

    def set_flags(
        self, listing: Listing, changes: Sequence[tuple[int, Flag]]
    ) -> Listing:
        """Record flags beside the directory."""
        keys = self._present(listing, [row for row, _ in changes])
        entries = [
            _entry(key, listing.sizes[row], listing.idents[row], value)
            for key, (row, value) in zip(keys, changes, strict=True)
        ]
        if entries:
            self._flags.append(entries, self.wait)
        return self._reflagged(listing)

    def append(
        self, message: bytes | Octets, date: int, sender: str, flags: Flag
    ) -> None:
        """Write a file of another name, then call it SECONDS.NN."""
        self.check_writable()
        base = os.path.join(os.path.abspath(self.path), "append")
        if not self._swept:
            self._swept = True
            sweep(base)
        temp = lock.unique(base, "tmp")
        octets = Joined(fromline.make(sender, date), octets_of(message))
        st = write_file(temp, octets, 0o660)
        try:
            for name in self._free_names(max(date, OLDEST)):
                if flags & ~Flag.RECENT:
                    self._flags.append(
                        [_entry(name, st.st_size, _ident(name, st), flags)], self.wait
                    )
                with suppress(FileExistsError):
                    give_name(temp, os.path.join(self.path, name))
                    break
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temp)
            raise
        sync_dir(self.path)

    def _free_names(self, second: int) -> Iterator[str]:
        """Yield names nobody has: of that second, or of the next that has some left."""

        def taken(number: int) -> bool:
            return os.path.lexists(os.path.join(self.path, f"{when}.{number:02d}"))

        for when in itertools.count(second):
            first = bisect_left(range(_NUMBERS), True, key=lambda n: not taken(n))
            for number in range(first, _NUMBERS):
                yield f"{when}.{number:02d}"

    def make(self) -> None:
        """Create the directory, and its parents."""
        self.check_writable()
        make_folder(self.path, 0o777)

    def rename(self, new: str, *, keep: bool = False) -> None:
        """Give the directory another name; flags and 9front's index come along."""
        self.check_writable()
        move_folder(self.path, new)
        move_companions(self.path, new, self._flags)
        old, self.path = self.path, new
        self._flags = FlagFile(os.path.abspath(new), self.place)
        if keep:
            Mdir(old, self.place).make()

    def remove(self, *, recurse: bool = False, truncate: bool = False) -> None:
        """Remove the messages, then the directory if nothing else is in it."""
        self.check_writable()
        if recurse:
            for entry in list(os.scandir(self.path)):
                if entry.is_dir(follow_symlinks=False):
                    Mdir(entry.path, self.place).remove(recurse=True, truncate=truncate)
        own = _MESSAGE if truncate else _OWN
        remove_files(self.path, lambda name: own.fullmatch(name) is not None)
        remove_companions(self.path, self._flags, truncate=truncate)
        if not truncate:
            with suppress(OSError):  # not empty: foreign files are spared
                os.rmdir(self.path)
                sync_dir(os.path.dirname(os.path.abspath(self.path)))

    def _directory(self) -> str:
        return signature_of([self.path], self._names)

    def _listing(self, table: Table, signature: str, *, settled: bool) -> Listing:
        listing = table.listing(signature, self._store(), settled=settled)
        seqs = bytearray(_number(key) & 0xFF for key in table.keys)
        return replace(listing, seqs=seqs)

    def _read(self) -> Keys:
        return [name for name in os.listdir(self.path) if _MESSAGE.fullmatch(name)]

    def _rows(self, names: Iterable[str]) -> Rows:
        rows = []
        entries = self._flags.entries
        for name in names:
            st = self._regular(name)
            seconds, _, number = name.partition(".")
            date = int(seconds)
            if st is None or st.st_size == 0 or date < OLDEST:
                continue
            entry = entries.get(_identity(name, st.st_size))
            flags = entry.merged(_RECENT) if entry else _RECENT
            row = FolderRow(
                date,
                int(number),
                name,
                st.st_size,
                _ident(name, st),
                _weak(name, st),
                flags,
            )
            rows.append(row)
        return rows

    def _patched(self, old: Listing, names: Keys) -> Listing | None:
        """Return old with what little has changed; None if it is not little."""
        was, now = set(old.keys), set(names)
        added, gone = now - was, was - now
        many = len(added) + len(gone) > _PATCH
        # A name may have come back for another message before we looked.
        if many or self._names.misses or not old.settled:
            return None
        table = Table.of(old)
        table.drop({table.keys.index(str(key)) for key in gone})
        for row in self._rows(str(name) for name in added):
            table.insert(table.place(row, _number), row)
        return self._listing(table, old.signature, settled=False)

    def _reflagged(self, old: Listing) -> Listing:
        """Return old, with what the flags file has learned since."""
        box, _, was = old.signature.partition("/")
        signature = self._flags.read()
        if signature == was:
            return old
        newer = self._flags.since(was)
        flags = bytearray(old.flags)
        for row, (key, size) in enumerate(zip(old.keys, old.sizes, strict=True)):
            entry = newer.get(_identity(str(key), size))
            if entry is not None:
                flags[row] = entry.merged(_RECENT)
        return replace(old, signature=f"{box}/{signature}", flags=flags)

    def _present(self, listing: Listing, rows: Iterable[int]) -> Keys:
        """Return the keys of rows; raise Stale if one is not that message any more."""
        self.check_writable()
        keys = []
        for row in rows:
            key = str(listing.keys[row])
            st = self._regular(key)
            if st is None or _ident(key, st) != listing.idents[row]:
                self._names.miss(key)
                raise Stale(f"{key}: message is gone")
            keys.append(key)
        return keys


def _entry(name: str, size: int, ident: int, flags: Flag) -> FlagEntry:
    return FlagEntry(_identity(name, size), 0, ident, Flag.RECENT, flags & ~Flag.RECENT)


def _identity(name: str, size: int) -> str:
    return f"{name}:{size}"


def _number(name: str) -> int:
    return int(name.partition(".")[2])


def _ident(name: str, st: os.stat_result) -> int:
    return _digest(f"{name}:{st.st_size}:{st.st_ino}")


def _weak(name: str, st: os.stat_result) -> int:
    # A directory restored from a backup has other inodes.
    return _digest(f"{name}:{st.st_size}")


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def claim(path: str, place: Place) -> Driver | None:
    """Take a directory with messages, or one that is a mailbox without any.

    That is an empty one, one with flags or 9front's files beside it, and one in which
    there is nothing but such directories; in the user's own mail directory, any.
    Raises PermissionError if it cannot be read.
    """
    if is_network(path) or not os.path.isdir(path):
        return None
    os.listdir(path)
    ours = os.path.join(str(place.root), "mail", "box", place.user, "")
    own = os.path.abspath(path).startswith(ours)
    return Mdir(path, place) if own or _is_mailbox(path, 0) else None


def has_messages(path: str) -> bool:
    """Whether a directory holds messages of an mdir."""
    return any(_MESSAGE.fullmatch(name) for name in os.listdir(path))


def _is_mailbox(path: str, depth: int) -> bool:
    # What a deliverer of ours has not finished, or never will, is no part of it.
    names = [name for name in os.listdir(path) if not _TEMPORARY.match(name)]
    if not names or any(_OWN.fullmatch(name) for name in names):
        return True
    beside = (os.path.abspath(path) + suffix for suffix in (".flags", *SUFFIXES))
    if any(map(os.path.lexists, beside)):
        return True
    if depth >= MAX_DEPTH or len(names) > MAX_NESTED:
        return False
    below = [os.path.join(path, name) for name in names]
    return all(
        not os.path.islink(one) and os.path.isdir(one) and _is_mailbox(one, depth + 1)
        for one in below
    )
