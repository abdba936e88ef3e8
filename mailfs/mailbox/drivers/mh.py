"""MH folders: a file a message, numbered; flags as sequences; mh-mail(5).

A message gets a new number when another program packs the folder (folder -pack), so
its identity is a digest of its first octets, its size and its modification time, and
its weak one, for programs that annotate messages, of Message-ID and Date.  Looking at
files and doing something to them happen under one lock, that of the sequences: between
two, a number may come to be another message's.

SEEN is not being in ``unseen``; ANSWERED, FLAGGED and the others are the sequences
``replied``, ``flagged``, ``deleted``, ``draft`` and ``stored``.  No sequence says that
a message is old.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
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
    remove_files,
    signature_of,
    weak,
    write_file,
)
from mailfs.mailbox.drivers.sequences import MAX_FILE, Sequences
from mailfs.mailbox.drivers.spec import is_network
from mailfs.mailbox.drivers.stamp import Stamp
from mailfs.mailbox.kinds import Flag, Listing, Stale
from mailfs.mailbox.octets import Octets, octets_of

SEQUENCES = ".mh_sequences"
HEAD = 1024  # octets of a message that its identity is computed from
_HEAVY = 1 << 20  # octets of a directory from which a listing disturbs
_MESSAGE = re.compile(r"[1-9]\d{0,8}", re.ASCII)
_MDIR = re.compile(r"\d{7,11}\.\d+", re.ASCII)
_EVIDENCE = (SEQUENCES, ".mh_profile", ".xmhcache", ".mhcache")
# Files of MH programs: removed messages, sequences, caches; our lock.
_OWN = re.compile(
    r"[1-9]\d{0,8}|[,#][1-9]\d{0,8}|\.mh_sequences|\.xmhcache|\.mhcache|L\.mbox",
    re.ASCII,
)
_NAMED = {
    "replied": Flag.ANSWERED,
    "flagged": Flag.FLAGGED,
    "deleted": Flag.DELETED,
    "draft": Flag.DRAFT,
    "stored": Flag.STORED,
}


class MhStore(FileStore):
    """Reads messages of an MH folder, whose numbers may change."""

    def same(self, key: str, fd: int, st: os.stat_result, ident: int) -> bool:
        """Whether the file is the one listed under that number."""
        return _identity(pread_all(fd, HEAD, 0), st) == ident


class Mh(FolderDriver):
    """A folder of MH."""

    kind = "mh"
    store_type = MhStore

    def __init__(self, path: str, place: Place) -> None:
        super().__init__(path, place)
        self.wait = lock.LOCK_WAIT  # seconds to wait for the lock of the sequences
        self._swept = False  # whether what killed processes left has been looked for
        self._known: dict[Stamp, tuple[int, int]] = {}  # identities, strong and weak

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
        with self._shared() as sequences:
            found = look(self._paths(), self.signature, self._read, since)
            if found is None:
                assert old is not None
                return old
            self.passed.intersection_update(found.names)
            rows = self._rows(found.names)
        rows.sort(key=lambda row: row.order)
        table = Table.filled(rows)
        table.flags = _flags(sequences, [int(key) for key in table.keys])
        return table.listing(found.signature, self._store(), settled=found.settled)

    def delete(self, listing: Listing, rows: Sequence[int]) -> Listing:
        """Unlink the messages' files and forget their numbers."""
        self.check_writable()
        with self._changed() as (sequences, there):
            keys = self._present(listing, rows)
            self._keep(listing, keys)
            for key in keys:
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(self.path, key))
            sync_dir(self.path)
            gone = {int(key) for key in keys}
            for name in sequences:
                if name != "cur":
                    sequences.set(name, sequences.get(name, there) - gone)
        return self._without(listing, rows)

    def set_flags(
        self, listing: Listing, changes: Sequence[tuple[int, Flag]]
    ) -> Listing:
        """Put the messages into the sequences, or take them out."""
        self.check_writable()
        flags = bytearray(listing.flags)
        if changes:
            with self._changed() as (sequences, there):
                keys = self._present(listing, [row for row, _ in changes])
                wanted = [(int(k), f) for k, (_, f) in zip(keys, changes, strict=True)]
                _mark(sequences, there, wanted)
        for row, value in changes:
            flags[row] = int(value | Flag.RECENT)
        return replace(listing, signature=self.signature(), settled=False, flags=flags)

    def append(
        self, message: bytes | Octets, date: int, sender: str, flags: Flag
    ) -> None:
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
        write_file(temp, octets_of(message))
        try:
            os.utime(temp, (date, date))
            while not self._numbered(temp, flags):
                pass  # taken by who does not ask for locks
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temp)
            raise
        sync_dir(self.path)

    def _numbered(self, temp: str, flags: Flag) -> bool:
        """Give a file the next number as its name; False if that was just taken."""
        with self._exclusive() as held:
            sequences, there = _parsed(held.fd), self._numbers()
            number = max(there, default=0) + 1
            _mark(sequences, there, [(number, flags)])
            with self._replaced(sequences.pack()):
                try:
                    give_name(temp, os.path.join(self.path, str(number)))
                except FileExistsError:
                    return False
            return True

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

    @property
    def _sequences(self) -> str:
        return os.path.join(self.path, SEQUENCES)

    def _paths(self) -> Keys:
        here = os.path.exists(self._sequences)
        return [self.path, self._sequences] if here else [self.path]

    def _read(self) -> Keys:
        return [name for name in os.listdir(self.path) if _MESSAGE.fullmatch(name)]

    def _numbers(self) -> set[int]:
        return {int(name) for name in self._read()}

    def _rows(self, names: Iterable[str]) -> Rows:
        rows = []
        now = time.time_ns()
        known: dict[Stamp, tuple[int, int]] = {}
        for name in names:
            st = self._regular(name)
            if st is None:
                continue
            stamp = Stamp.of(st)
            ids = self._known.get(stamp)
            if ids is None:
                ids = self._looked(name)
                if ids is None:
                    continue
            if stamp.settled(now):
                known[stamp] = ids
            date = int(st.st_mtime)
            rows.append(FolderRow(date, int(name), name, st.st_size, *ids, 0))
        self._known = known
        return rows

    def _looked(self, name: str) -> tuple[int, int] | None:
        """Return the identities of a message, strong and weak; None if it is gone."""
        try:
            fd = self.open_message(name)
        except FileNotFoundError:
            return None
        except OSError:
            self.passed.add(name)
            return None
        try:
            head = pread_all(fd, HEAD, 0)
            return _identity(head, os.fstat(fd)), weak(head)
        finally:
            os.close(fd)

    @contextmanager
    def _shared(self) -> Iterator[Sequences]:
        """Hold the lock for looking, if there is one, and give the sequences."""
        try:
            with self._locked(exclusive=False) as held:
                yield _parsed(held.fd)
                return
        except (FileNotFoundError, NotRegular) as e:
            if e.filename != os.path.realpath(self._sequences):
                raise
        yield Sequences()

    @contextmanager
    def _exclusive(self) -> Iterator[lock.HeldLock]:
        """Hold the lock for changing; its file is made if it is missing."""
        with suppress(FileExistsError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(self._sequences, flags, 0o600))
        with self._locked(exclusive=True) as held:
            yield held

    @contextmanager
    def _changed(self) -> Iterator[tuple[Sequences, set[int]]]:
        """Give the sequences and the numbers there are; write what the block made."""
        with self._exclusive() as held:
            sequences, there = _parsed(held.fd), self._numbers()
            before = sequences.pack()
            yield sequences, there
            self._replace(sequences, before)

    @contextmanager
    def _replaced(self, octets: bytes) -> Iterator[None]:
        """Replace the sequences; during the block the new file is locked as the old."""
        with replacing(self._sequences) as fd:
            write_all(fd, octets)
            lock.lock_fd(fd, exclusive=True)
            kept = os.dup(fd)  # the lock stays with it
        try:
            yield
        finally:
            lock.unlock_fd(kept)
            lock.close(kept)

    def _replace(self, sequences: Sequences, before: bytes) -> None:
        after = sequences.pack()
        if after != before:
            with replacing(self._sequences) as fd:
                write_all(fd, after)

    def _locked(self, *, exclusive: bool) -> AbstractContextManager[lock.HeldLock]:
        return lock.locked(
            self._sequences,
            root=self.place.root,
            exclusive=exclusive,
            create=not self.place.readonly,
            wait=self.wait,
        )

    def _present(self, listing: Listing, rows: Iterable[int]) -> Keys:
        """Return the keys of rows; raise Stale if one is not that message any more."""
        keys = []
        for row in rows:
            key = str(listing.keys[row])
            ids = self._looked(key)
            if ids is None or ids[0] != listing.idents[row]:
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


def _identity(head: bytes, st: os.stat_result) -> int:
    """Return the identity of a message that begins with head, all of HEAD octets."""
    d = blake2b(head, digest_size=8)
    d.update(b"\0%d:%d" % (st.st_mtime_ns, st.st_size))
    return int.from_bytes(d.digest(), "little")


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
