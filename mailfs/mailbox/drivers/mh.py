"""MH folders: a file a message, numbered; flags as sequences; mh-mail(5).

A message keeps its file when another program gives it a new number (folder -pack), so
its identity is a digest of inode, modification time and octets.

SEEN is not being in ``unseen``; ANSWERED, FLAGGED and the others are the sequences
``replied``, ``flagged``, ``deleted``, ``draft`` and ``stored``.  No sequence says that
a message is old.
"""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from hashlib import blake2b

from mailfs.disk import lock
from mailfs.disk.open import NotRegular
from mailfs.disk.replace import (
    give_name,
    pread_all,
    replacing,
    sweep,
    sync_dir,
    write_all,
)
from mailfs.errors import EFBIG, MailfsError
from mailfs.mailbox.driver import Driver, Place
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
    regular,
    remove_files,
    signature_of,
    write_file,
)
from mailfs.mailbox.drivers.sequences import MAX_FILE, Sequences
from mailfs.mailbox.drivers.spec import is_network
from mailfs.mailbox.kinds import Flag, Listing, Stale

SEQUENCES = ".mh_sequences"
_HEAVY = 1 << 20  # octets of a directory from which a listing disturbs
_MESSAGE = re.compile(r"[1-9]\d{0,8}")
_MDIR = re.compile(r"\d{7,11}\.\d+")
_EVIDENCE = (SEQUENCES, ".mh_profile", ".xmhcache", ".mhcache")
# Files of MH programs: removed messages, sequences, caches.
_OWN = re.compile(r"[1-9]\d{0,8}|[,#][1-9]\d{0,8}|\.mh_sequences|\.xmhcache|\.mhcache")
_NAMED = {
    "replied": Flag.ANSWERED,
    "flagged": Flag.FLAGGED,
    "deleted": Flag.DELETED,
    "draft": Flag.DRAFT,
    "stored": Flag.STORED,
}


class MhStore(FileStore):
    """Reads messages of an MH folder, whose numbers may change."""

    def same(self, key: str, st: os.stat_result, ident: int) -> bool:
        """Whether the file is the one listed under that number."""
        return _ident(st) == ident


class Mh(FolderDriver):
    """A folder of MH."""

    kind = "mh"
    store_type = MhStore

    def __init__(self, path: str, place: Place) -> None:
        super().__init__(path, place)
        self.wait = lock.LOCK_WAIT  # seconds to wait for the lock of the sequences
        self._swept = False  # whether what killed processes left has been looked for

    def signature(self) -> str:
        """Identity and times of the directory, and of the sequences."""
        parts = (signature_of([path], self._names) for path in self._paths())
        return "/".join(parts)

    def heavy(self, old: Listing | None) -> bool:
        """Whether many thousand files are to be looked at."""
        return os.stat(self.path).st_size > _HEAVY

    def list(self, old: Listing | None = None) -> Listing:
        """List the folder."""
        since = old.signature if old is not None and old.settled else None
        found = look(self._paths(), self.signature, self._read, since)
        if found is None:
            assert old is not None
            return old
        rows = self._rows(found.names)
        rows.sort(key=lambda row: row.order)
        table = Table.filled(rows)
        flags = _flags(self._sequences(), [int(key) for key in table.keys])
        table.flags = flags
        return table.listing(found.signature, self._store(), settled=found.settled)

    def delete(self, listing: Listing, rows: Sequence[int]) -> Listing:
        """Unlink the messages' files and forget their numbers."""
        keys = self._present(listing, rows)
        self._keep(listing, keys)
        for key in keys:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(self.path, key))
        sync_dir(self.path)
        numbers = {int(key) for key in keys}

        def forget(sequences: Sequences, there: set[int]) -> None:
            for name in sequences:
                if name != "cur":
                    sequences.set(name, sequences.get(name, there) - numbers)

        if os.path.exists(os.path.join(self.path, SEQUENCES)):
            self._change(forget, numbers)
        return self._without(listing, rows)

    def set_flags(
        self, listing: Listing, changes: Sequence[tuple[int, Flag]]
    ) -> Listing:
        """Put the messages into the sequences, or take them out."""
        keys = self._present(listing, [row for row, _ in changes])
        numbers = [int(key) for key in keys]

        def mark(sequences: Sequences, there: set[int]) -> None:
            wanted = (flags for _, flags in changes)
            _mark(sequences, there, list(zip(numbers, wanted, strict=True)))

        if changes:
            self._change(mark, set())
        flags = bytearray(listing.flags)
        for row, value in changes:
            flags[row] = int(value | Flag.RECENT)
        return replace(listing, signature=self.signature(), settled=False, flags=flags)

    def append(self, message: bytes, date: int, sender: str, flags: Flag) -> None:
        """Write a file of another name, then give it the next number.

        The sequences know the number before: a crash in between leaves a number that
        is no message's.
        """
        self.check_writable()
        base = os.path.join(os.path.abspath(self.path), "append")
        if not self._swept:
            self._swept = True
            sweep(base)
        temp = lock.unique(base, "tmp")
        write_file(temp, message)
        try:
            os.utime(temp, (date, date))
            while True:
                number = self._reserve(flags)
                with suppress(FileExistsError):  # taken by who does not ask for locks
                    give_name(temp, os.path.join(self.path, str(number)))
                    break
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temp)
            raise
        sync_dir(self.path)

    def _reserve(self, flags: Flag) -> int:
        """Give the next number its sequences, and return it."""
        number = 0

        def mark(sequences: Sequences, there: set[int]) -> None:
            nonlocal number
            number = max(there, default=0) + 1
            _mark(sequences, there, [(number, flags)])

        self._change(mark, set())
        return number

    def make(self) -> None:
        """Create the folder, and parents; its sequences show that it is MH's."""
        self.check_writable()
        make_folder(self.path, 0o700)
        with replacing(os.path.join(self.path, SEQUENCES)):
            pass

    def rename(self, new: str, *, keep: bool = False) -> None:
        """Give the folder another name."""
        self.check_writable()
        move_folder(self.path, new)
        old, self.path = self.path, new
        if keep:
            Mh(old, self.place).make()

    def remove(self, *, recurse: bool = False, truncate: bool = False) -> None:
        """Remove the messages, then the folder if nothing else is in it."""
        self.check_writable()
        if recurse:
            for entry in list(os.scandir(self.path)):
                if entry.is_dir(follow_symlinks=False):
                    Mh(entry.path, self.place).remove(recurse=True, truncate=truncate)
        own = _MESSAGE if truncate else _OWN
        remove_files(self.path, lambda name: own.fullmatch(name) is not None)
        if not truncate:
            with suppress(OSError):  # not empty: foreign files are spared
                os.rmdir(self.path)
                sync_dir(os.path.dirname(os.path.abspath(self.path)))

    def _paths(self) -> Keys:
        sequences = os.path.join(self.path, SEQUENCES)
        return [self.path, sequences] if os.path.exists(sequences) else [self.path]

    def _read(self) -> Keys:
        return [name for name in os.listdir(self.path) if _MESSAGE.fullmatch(name)]

    def _rows(self, names: Iterable[str]) -> Rows:
        rows = []
        for name in names:
            st = regular(os.path.join(self.path, name))
            if st is not None:
                date = int(st.st_mtime)
                rows.append(
                    FolderRow(date, int(name), name, st.st_size, _ident(st), 0, 0)
                )
        return rows

    def _sequences(self) -> Sequences:
        try:
            with self._locked(exclusive=False) as held:
                return _parsed(held.fd)
        except (FileNotFoundError, NotRegular):
            return Sequences()

    def _locked(self, *, exclusive: bool) -> AbstractContextManager[lock.HeldLock]:
        return lock.locked(
            os.path.join(self.path, SEQUENCES),
            root=self.place.root,
            exclusive=exclusive,
            create=not self.place.readonly,
            wait=self.wait,
        )

    def _change(
        self, change: Callable[[Sequences, set[int]], None], gone: set[int]
    ) -> None:
        """Rewrite the sequences under their lock; gone are numbers to know besides."""
        path = os.path.join(self.path, SEQUENCES)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with self._locked(exclusive=True) as held:
            sequences = _parsed(held.fd)
            before = sequences.pack()
            change(sequences, {int(name) for name in self._read()} | gone)
            after = sequences.pack()
            if after != before:
                with replacing(path) as fd:
                    write_all(fd, after)

    def _present(self, listing: Listing, rows: Iterable[int]) -> Keys:
        """Return the keys of rows; raise Stale if one is not that message any more."""
        self.check_writable()
        keys = []
        for row in rows:
            key = str(listing.keys[row])
            st = regular(os.path.join(self.path, key))
            if st is None or _ident(st) != listing.idents[row]:
                self._names.miss(key)
                raise Stale(f"{key}: message is gone or has another number")
            keys.append(key)
        return keys


def _mark(
    sequences: Sequences, there: set[int], changes: Sequence[tuple[int, Flag]]
) -> None:
    """Put (number, flags) into the sequences that say so, and take them out of others.

    there are the numbers of messages; sequences may have others, of none.
    """
    for name in ("unseen", *_NAMED):
        had = sequences.get(name, there | {number for number, _ in changes})
        now = set(had)
        for number, flags in changes:
            wanted = (
                not flags & Flag.SEEN
                if name == "unseen"
                else bool(flags & _NAMED[name])
            )
            (now.add if wanted else now.discard)(number)
        if now != had:
            sequences.set(name, now)


def _parsed(fd: int) -> Sequences:
    if os.fstat(fd).st_size > MAX_FILE:
        raise MailfsError(f"{SEQUENCES}: {EFBIG}")
    return Sequences(pread_all(fd, MAX_FILE, 0))


def _flags(sequences: Sequences, numbers: list[int]) -> bytearray:
    """Return the flags column of messages with those numbers."""
    there = set(numbers)
    unseen = sequences.get("unseen", there)
    named = [(sequences.get(name, there), int(f)) for name, f in _NAMED.items()]
    flags = bytearray()
    for number in numbers:
        bits = int(Flag.RECENT if number in unseen else Flag.RECENT | Flag.SEEN)
        for members, flag in named:
            if number in members:
                bits |= flag
        flags.append(bits)
    return flags


def _ident(st: os.stat_result) -> int:
    text = f"{st.st_ino}:{st.st_mtime_ns}:{st.st_size}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def claim(path: str, place: Place) -> Driver | None:
    """Take a directory that MH has used, or that holds numbered files.

    Raises PermissionError if it cannot be read.
    """
    if is_network(path) or not os.path.isdir(path):
        return None
    names = os.listdir(path)
    if any(name in names for name in _EVIDENCE):
        return Mh(path, place)
    numbered = any(_MESSAGE.fullmatch(name) for name in names)
    if numbered and not any(_MDIR.fullmatch(name) for name in names):
        return Mh(path, place)
    return None
