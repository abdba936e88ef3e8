"""What the stores that keep a file a message have in common."""

import errno
import os
import re
import stat
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from itertools import compress
from typing import ClassVar, NamedTuple

from mailfs.disk.open import open_regular
from mailfs.disk.replace import pread_all, sync_dir, write_all
from mailfs.disk.rights import acting
from mailfs.errors import ENOENT, Refused
from mailfs.mailbox.driver import Place, WatchedDir
from mailfs.mailbox.drivers.owned import LocalDriver
from mailfs.mailbox.drivers.stamp import settled
from mailfs.mailbox.flagfile import SUFFIX as FLAGS
from mailfs.mailbox.kinds import Key, Listing, MessageReader, Stale
from mailfs.mailbox.octets import Octets, all_of

MAX_KEPT = 64  # files held open for one listing after their messages were deleted
MAX_RENAMED = 100_000  # names followed, so that what is open can be read on
_NAMING = re.compile(rb"\n(message-id|date):([^\n]*)", re.IGNORECASE)
TRIES = 4  # listings of a directory that changes meanwhile


Keys = list[str]  # within a Driver, list is its method


class FolderRow(NamedTuple):
    """One message; rows sort in the order of a listing."""

    date: int  # seconds since the epoch
    order: str | int  # tells messages of one second apart
    key: str
    size: int  # octets
    ident: int
    weak: int
    flags: int


Rows = list[FolderRow]


class Table:
    """The columns of a Listing while they are being made."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.sizes = array("Q")
        self.idents = array("Q")
        self.weaks = array("Q")
        self.dates = array("q")
        self.flags = bytearray()

    @classmethod
    def of(cls, listing: Listing) -> "Table":
        """Return a copy of a listing's columns."""
        table = cls()
        table.keys = [str(key) for key in listing.keys]
        table.sizes = listing.sizes[:]
        table.idents = listing.idents[:]
        table.weaks = listing.weaks[:]
        table.dates = listing.dates[:]
        table.flags = listing.flags[:]
        return table

    @classmethod
    def filled(cls, rows: Iterable[FolderRow]) -> "Table":
        """Return the columns of rows, in their order."""
        table = cls()
        for r in rows:
            table.keys.append(r.key)
            table.sizes.append(r.size)
            table.idents.append(r.ident)
            table.weaks.append(r.weak)
            table.dates.append(r.date)
            table.flags.append(r.flags)
        return table

    def insert(self, at: int, row: FolderRow) -> None:
        """Put a message before row at."""
        self.keys.insert(at, row.key)
        self.sizes.insert(at, row.size)
        self.idents.insert(at, row.ident)
        self.weaks.insert(at, row.weak)
        self.dates.insert(at, row.date)
        self.flags.insert(at, row.flags)

    def place(self, row: FolderRow, order: Callable[[str], str | int]) -> int:
        """Make a message's row; order gives Row.order for a key."""
        at = bisect_left(self.dates, row.date)
        while (
            at < len(self.keys)
            and self.dates[at] == row.date
            and (order(self.keys[at]), self.keys[at]) < (row.order, row.key)
        ):
            at += 1
        return at

    def drop(self, gone: set[int]) -> None:
        """Remove rows."""
        stays = [row not in gone for row in range(len(self.keys))]
        self.keys = list(compress(self.keys, stays))
        self.sizes = array("Q", compress(self.sizes, stays))
        self.idents = array("Q", compress(self.idents, stays))
        self.weaks = array("Q", compress(self.weaks, stays))
        self.dates = array("q", compress(self.dates, stays))
        self.flags = bytearray(compress(self.flags, stays))

    def listing(
        self, signature: str, store: MessageReader, *, settled: bool
    ) -> Listing:
        """Return the listing these are the columns of."""
        return Listing(
            signature,
            settled,
            self.keys,
            self.sizes,
            self.idents,
            self.weaks,
            self.dates,
            self.flags,
            store,
        )


class FolderNames:
    """What a driver learned of file names, shared by the stores it made."""

    def __init__(self) -> None:
        self.renamed: dict[str, str] = {}
        self.wrong: set[str] = set()  # keys whose files were not as listed
        self.misses = 0  # how often that was found

    def rename(self, old: str, new: str) -> None:
        """Remember a new name, for those who know the old one."""
        if len(self.renamed) >= MAX_RENAMED:
            del self.renamed[next(iter(self.renamed))]
        self.renamed[old] = new
        self.renamed.pop(new, None)

    def miss(self, key: str) -> None:
        """Remember that a file is not as listed: the next listing looks at it."""
        self.wrong.add(self.follow(key))
        self.misses += 1

    def follow(self, key: str) -> str:
        """Return the name a file has by now."""
        while key in self.renamed:
            key = self.renamed[key]
        return key


class FileStore(MessageReader):
    """Reads files of one directory by name."""

    def __init__(self, driver: "FolderDriver", names: FolderNames) -> None:
        self._path = driver.path
        self._open_one = driver.open_message
        self._names = names
        self._kept: dict[str, int] = {}

    def __del__(self) -> None:
        for fd in self._kept.values():
            os.close(fd)

    def keep(self, keys: Iterable[str]) -> None:
        """Hold files open that are about to be unlinked; not more than MAX_KEPT."""
        for key in keys:
            if len(self._kept) >= MAX_KEPT:
                return
            with suppress(OSError):
                self._kept.setdefault(key, self._open(key))

    def read(self, key: Key, size: int, ident: int, start: int, end: int) -> bytes:
        """Open the file and read; it is Stale if it has another size by now."""
        assert isinstance(key, str)
        fd = self._kept.get(key)
        opened = fd is None
        if fd is None:
            try:
                fd = self._open(key)
            except FileNotFoundError:
                if os.path.lexists(os.path.join(self._path, key)):  # leads nowhere
                    self._names.miss(key)
                raise Stale(f"{key}: {ENOENT}") from None
            except OSError as e:
                if e.errno not in (errno.ENODEV, errno.ELOOP, errno.EACCES):
                    raise
                self._names.miss(key)
                raise Stale(f"{key}: {e.strerror}") from e
        try:
            st = os.fstat(fd)
            if st.st_size != size or not self.same(key, fd, st, ident):
                self._names.miss(key)
                raise Stale(f"{key}: not the file that was listed")
            data = pread_all(fd, max(min(end, size) - start, 0), start)
            if len(data) < min(end, size) - start:
                raise Stale(f"{key}: file became shorter")
            return data
        finally:
            if opened:
                os.close(fd)

    def same(self, key: str, fd: int, st: os.stat_result, ident: int) -> bool:
        """Whether the file behind fd is the message of that identity."""
        return True

    def _open(self, key: str) -> int:
        # By its latest name first: another file may have the name it had.
        name = self._names.follow(key)
        try:
            return self._open_one(name)
        except FileNotFoundError:
            if name == key:
                raise
            return self._open_one(key)


class Look(NamedTuple):
    """Directories at one moment: their signature, and whether it can be relied on."""

    signature: str
    settled: bool
    names: Keys


def signature_of(paths: Iterable[str], names: FolderNames) -> str:
    """Make a signature that changes when entries of the directories do.

    Raises FileNotFoundError, PermissionError and the like.
    """
    words = []
    for path in paths:
        st = os.stat(path)
        words.append(f"{st.st_ino:x}.{st.st_mtime_ns:x}.{st.st_ctime_ns:x}")
    if names.misses:
        words.append(f"{names.misses}")
    return "-".join(words)


def look(
    paths: Keys, sign: Callable[[], str], read: Callable[[], Keys], since: str | None
) -> Look | None:
    """Read directories, again while they change; None if sign still gives since."""
    for _ in range(TRIES):
        now = time.time_ns()
        signature = sign()
        if signature == since:
            return None
        sure = all(settled(os.stat(path).st_mtime_ns, now) for path in paths)
        found = Look(signature, sure, read())
        # readdir(3) may miss a name while another program renames it.
        if sign() == signature:
            break
    return found


def move_folder(old: str, new: str) -> None:
    """Rename a directory; never onto something that is there."""
    if os.path.lexists(new):
        raise Refused(f"{old}: can't rename")
    try:
        os.rename(old, new)
    except OSError as e:
        moved = e.errno == errno.EXDEV
        raise Refused(f"{old}: can't {'move' if moved else 'rename'}") from e
    sync_dir(os.path.dirname(os.path.abspath(new)))
    sync_dir(os.path.dirname(os.path.abspath(old)))


def make_folder(path: str, mode: int) -> None:
    """Create a directory, and its parents as upas/fs does."""
    parent = os.path.dirname(os.path.abspath(path))
    os.makedirs(parent, 0o711, exist_ok=True)
    os.mkdir(path, mode)
    sync_dir(parent)


def write_file(
    path: str, octets: Octets, mode: int = 0o600, *, sync: bool = True
) -> os.stat_result:
    """Write a file that is not there yet, to disk; nothing of it stays on an error.

    Without sync the caller has it put on disk, together with others.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    fd = os.open(path, flags, mode)
    try:
        for piece in all_of(octets):
            write_all(fd, piece)
        if sync:
            os.fsync(fd)
        return os.fstat(fd)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(fd)


def remove_files(path: str, ours: Callable[[str], bool]) -> None:
    """Unlink the regular files of a directory whose names are ours; may be missing."""
    with suppress(FileNotFoundError):
        for entry in list(os.scandir(path)):
            if ours(entry.name) and not entry.is_dir(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    os.unlink(entry.path)
        sync_dir(path)


def weak(head: bytes) -> int:
    """Return a digest of the Message-ID and Date in a message's first octets.

    0 if it has neither: then nothing tells it from others.
    """
    found = sorted({m[1].lower(): m[2] for m in _NAMING.finditer(b"\n" + head)}.items())
    if not found:
        return 0
    d = blake2b(digest_size=8)
    for name, value in found:
        d.update(b"%s:%s\n" % (name, value.strip()))
    return int.from_bytes(d.digest(), "little") or 1


class FolderDriver(LocalDriver):
    """What the drivers of these stores share: names, stores, a plain restore."""

    store_type: ClassVar[type[FileStore]] = FileStore

    def __init__(self, path: str, place: Place) -> None:
        super().__init__(path, place)
        self._names = FolderNames()
        self.passed: set[str] = set()  # names of messages that are no readable files

    def watched(self, real: str) -> Sequence[WatchedDir]:
        """Name the directory, and the one it lies in, for the file of its flags."""
        folder, name = os.path.split(real)
        flags = WatchedDir(folder, frozenset({f"{name}{FLAGS}"}))
        return (WatchedDir(real), flags)

    def state(self) -> Sequence[tuple[str, str]]:
        """Tell how many names were passed over, if any were."""
        count = len(self.passed)
        if not count:
            return ()
        return (("passed", f"{count} that are no readable files"),)

    def _regular(self, key: str) -> os.stat_result | None:
        """Return the stat of a message's file; None if it is gone, or is none.

        What is there but is no regular file, or cannot be looked at, is counted.
        """
        path = os.path.join(self.path, key)
        try:
            st = os.stat(path, follow_symlinks=not self.confined)
        except FileNotFoundError:
            if os.path.lexists(path):
                self.passed.add(key)
            return None
        except OSError:
            self.passed.add(key)
            return None
        believed = self.owners is None or st.st_uid in self.owners
        if not stat.S_ISREG(st.st_mode) or not believed:
            self.passed.add(key)
            return None
        return st

    def open_message(self, key: str) -> int:
        """Open a message's file for reading, in any thread.  Raises OSError."""
        path = os.path.join(self.path, key)
        if not self.confined:
            return open_regular(path, follow=True)
        with acting(self.owner):
            self.check_beneath()
            return open_regular(path, owners=self.owners)

    def restore(self, listing: Listing) -> Listing | None:
        """Take the listing up again if the directories have not changed."""
        try:
            same = listing.signature == self.signature()
        except OSError:
            return None
        return replace(listing, store=self._store()) if same else None

    def _store(self) -> FileStore:
        return self.store_type(self, self._names)

    @staticmethod
    def _keep(listing: Listing, keys: Keys) -> None:
        """Hold the files of messages about to be deleted open for who reads them."""
        if isinstance(listing.store, FileStore):
            listing.store.keep(keys)

    def _without(self, listing: Listing, rows: Sequence[int]) -> Listing:
        """Return the listing once the files of those rows are gone."""
        table = Table.of(listing)
        table.drop(set(rows))
        return table.listing(self.signature(), self._store(), settled=False)
