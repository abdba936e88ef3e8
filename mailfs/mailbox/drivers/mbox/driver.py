"""Mailbox files: mbox(6), RFC 4155; upasfs(4).

A message is the octets from one From_ line to the next.  They are never altered: a
deletion writes the rest to a new file and renames it, or where that cannot be rewrites
the tail in place from a journal (see journal); flags that we set are kept in a file
beside it (mailfs.mailbox.flagfile), over what Status lines say.

What precedes the first From_ line is no message, and survives every rewrite.
"""

import os
import stat
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import accumulate

from mailfs.disk import lock
from mailfs.disk.open import open_regular
from mailfs.disk.replace import copy, create_like, pread_all, sweep, sync_dir
from mailfs.errors import Refused
from mailfs.mailbox.driver import Driver, Place, WatchedDir
from mailfs.mailbox.drivers.companion import (
    check_free,
    move_companions,
    remove_companions,
)
from mailfs.mailbox.drivers.mbox import addition, journal
from mailfs.mailbox.drivers.mbox import flags as boxflags
from mailfs.mailbox.drivers.mbox.file import (
    MOVED,
    WHOLE,
    Columns,
    MboxFile,
    Ranges,
    SpoolStore,
    begins,
    columns_of,
    file_of,
    joined,
    listing_of,
    onward,
    stamp_of,
    whole,
)
from mailfs.mailbox.drivers.mbox.leftover import Leftovers
from mailfs.mailbox.drivers.mbox.scan import BOM, LINE, PARALLEL, is_bare, scan, undated
from mailfs.mailbox.drivers.owned import LocalDriver
from mailfs.mailbox.drivers.spec import is_network
from mailfs.mailbox.drivers.stamp import Stamp
from mailfs.mailbox.flagfile import SUFFIX as FLAGS
from mailfs.mailbox.flagfile import FlagFile
from mailfs.mailbox.kinds import Flag, Listing, Stale
from mailfs.mailbox.octets import Octets, collect, octets_of
from mailfs.msg import fromline

PREAMBLE = 256 << 10  # octets before the first From_ line of what is a mailbox
_TRIES = 4  # listings of a file that is being rewritten under us without locks
_SETTLE = 0.05  # seconds given to a deliverer that waited for the file we replaced
_CLOSE = 2.0  # seconds at most that closing waits for such deliverers
_PLAN9_TEMP = ".tmp"  # what upas/fs writes, before it removes the mailbox


class Spool(LocalDriver):
    """A mailbox file."""

    kind = "mbox"
    envelope = True
    blank = True
    exact = False  # idents do not see all octets
    volatile = boxflags.VOLATILE

    def __init__(self, path: str, place: Place) -> None:
        super().__init__(path, place)
        self.wait = lock.LOCK_WAIT  # seconds to wait for locks
        self._real = os.path.realpath(path)
        self._flags = FlagFile(self._real, place)
        self._left = Leftovers(self._real)
        self._swept = False

    def watched(self, real: str) -> Sequence[WatchedDir]:
        """Name the directory it lies in, for the file and that of its flags."""
        folder, name = os.path.split(real)
        return (WatchedDir(folder, frozenset({name, f"{name}{FLAGS}"})),)

    def signature(self) -> str:
        """Stamps of the file and of its flags file."""
        self._left.expire()
        stamp = Stamp.of(os.stat(self._present()))
        late = "+" if self._left.pending else ""
        return f"{stamp}/{self._flags.signature()}{late}"

    def heavy(self, old: Listing | None) -> bool:
        """Whether many megabytes are to be scanned, but not so many that others do."""
        now = Stamp.of(os.stat(self._present()))
        was = stamp_of(old)
        fresh = was is None or was.inode != now.inode or now.size < was.size
        size = now.size if was is None or fresh else now.size - was.size
        return WHOLE < size < PARALLEL

    def list(self, old: Listing | None = None) -> Listing:
        """List the messages; from old's last one on if the file has grown."""
        root = self.place.root
        for _ in range(_TRIES):
            if not self.place.readonly:
                self._repair()
            elif journal.pending(root, self._real):
                break
            with self._locked(exclusive=False) as held:
                # Nobody is appending now: a note is that of a process which died.
                if not addition.pending(root, self._real):
                    return self._look(held.fd, old)
        raise Refused(f"{self.path}: change interrupted; open it for writing")

    def restore(self, listing: Listing) -> Listing | None:
        """Open the file again if it still is what was listed."""
        try:
            file = MboxFile(open_regular(self._present()))
        except OSError:
            return None
        stamp = Stamp.of(os.fstat(file.fd))
        if stamp != stamp_of(listing):
            return None
        listing = replace(listing, store=SpoolStore(file, stamp))
        return self._reflagged(listing, file, stamp)

    def delete(self, listing: Listing, rows: Sequence[int]) -> Listing:
        """Write the other messages to a new file, or in place, under the locks."""
        self.check_writable()
        self._repair()
        gone = set(rows)
        with self._locked(exclusive=True) as held:
            now = self._verified(held, listing, gone)
            columns = columns_of(now)
            fd = file_of(now).fd
            moved = boxflags.renumbered(fd, columns, gone, self._flags.entries)
            stays = [row for row in range(len(now)) if row not in gone]
            _check_undated(fd, columns, stays)
            head = columns.keys[0] if columns.keys else 0
            ranges = [(0, head)] if head else []
            ranges += ((columns.keys[r], columns.keys[r] + now.sizes[r]) for r in stays)
            with self._rewritten(held, joined(ranges)):
                if moved:
                    self._flags.append(moved, self.wait)
                result = self._kept(columns, stays, head)
        self._settle(_SETTLE)
        return result

    def set_flags(
        self, listing: Listing, changes: Sequence[tuple[int, Flag]]
    ) -> Listing:
        """Record flags beside the mailbox, whose octets stay as they are."""
        self.check_writable()
        with self._locked(exclusive=False) as held:
            now = self._look(held.fd, listing)
            if not begins(now, listing):
                raise Stale(MOVED)
            signature = self._flags.read()
            entries = boxflags.changed(
                file_of(now).fd,
                columns_of(now),
                [(row, int(flags)) for row, flags in changes],
                self._flags.entries,
            )
            if entries:
                signature = self._flags.append(entries, self.wait)
            flags = bytearray(now.flags)
            for row, value in changes:
                flags[row] = int(value & ~Flag.RECENT) | flags[row] & Flag.RECENT
            box = now.signature.partition("/")[0]
            return replace(now, signature=f"{box}/{signature}", flags=flags)

    def append(
        self, message: bytes | Octets, date: int, sender: str, flags: Flag
    ) -> None:
        """Append it with a From_ line, lines that look like one quoted."""
        self.check_writable()
        self._repair()
        # Before the lock: the message may be far away.
        text = collect(fromline.quoted(boxflags.stamped(octets_of(message), flags)))
        with self._locked(exclusive=True) as held:
            addition.append(self.place.root, held, fromline.make(sender, date), text)

    def make(self) -> None:
        """Create an empty file, and its parent directories."""
        self.check_writable()
        folder = os.path.dirname(self._real)
        os.makedirs(folder, mode=0o711, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        os.close(os.open(self._real, flags, 0o600))
        sync_dir(folder)

    def rename(self, new: str, *, keep: bool = False) -> None:
        """Give the file another name; it stays what it is, so deliverers may wait."""
        self.check_writable()
        check_free(self.path, new)
        self._repair()
        with self._locked(exclusive=True) as held:
            st = os.fstat(held.fd)
            # link(2) refuses to overwrite, which rename(2) does not.
            try:
                os.link(self.path, new, follow_symlinks=False)
                os.unlink(self.path)
            except OSError as e:
                raise Refused(f"{self.path}: can't rename") from e
            sync_dir(os.path.dirname(os.path.abspath(new)))
            if keep:
                with suppress(FileExistsError):  # a delivery has made it already
                    os.close(create_like(self.path, st))
            sync_dir(os.path.dirname(os.path.abspath(self.path)))
            move_companions(self.path, new, self._flags)
        self.path = new
        self._real = os.path.realpath(new)
        self._flags = FlagFile(self._real, self.place)
        self._left.close()
        self._left = Leftovers(self._real)

    def remove(self, *, recurse: bool = False, truncate: bool = False) -> None:
        """Remove the file, or with truncate all that is in it."""
        self.check_writable()
        self._repair()
        with self._locked(exclusive=True) as held:
            if truncate:
                with self._rewritten(held, []):
                    pass
            else:
                # Who waits for our lock will append to a file that has no name.
                self._left.keep(os.fstat(held.fd).st_size)
                try:
                    os.unlink(self.path)
                except OSError as e:
                    self._left.forget()
                    raise Refused(f"{self.path}: can't remove") from e
                sync_dir(os.path.dirname(os.path.abspath(self.path)))
            remove_companions(self.path, self._flags, truncate=truncate)
        self._settle(_SETTLE)

    def close(self) -> None:
        """Carry over what late deliverers appended to a file we replaced."""
        if len(self._left):
            with suppress(OSError):
                self._settle(_CLOSE)
        self._left.close()

    def _present(self) -> str:
        """Return the file to look at: upas/fs may have died between two renames."""
        temp = self._real + _PLAN9_TEMP
        if self.place.readonly and not os.path.exists(self._real):
            return temp if os.path.exists(temp) else self._real
        return self._real

    @contextmanager
    def _locked(self, *, exclusive: bool) -> Iterator[lock.HeldLock]:
        root = self.place.root
        with lock.locked(
            self._present(),
            root=root,
            exclusive=exclusive,
            create=not self.place.readonly,
            wait=self.wait,
        ) as held:
            if exclusive:
                journal.repair(root, held)
                addition.repair(root, held)
            yield held

    def _repair(self) -> None:
        """Finish what was interrupted, here or in a process that was killed."""
        temp = self._real + _PLAN9_TEMP
        if not os.path.exists(self._real) and os.path.exists(temp):
            with suppress(FileExistsError):  # a delivery has made a new mailbox
                os.link(temp, self._real)
                os.unlink(temp)
                sync_dir(os.path.dirname(self._real))
        if os.access(os.path.dirname(self._real), os.W_OK):
            sweep(self._real)
            self._left.adopt()
        if not self._swept:
            self._swept = True
            journal.sweep_temps(self.place.root, self._real)
        root = self.place.root
        unfinished = journal.pending(root, self._real)
        unfinished = unfinished or addition.pending(root, self._real)
        if self._left.pending or unfinished:
            with self._locked(exclusive=True) as held:
                self._left.carry(held)
        self._left.expire()

    def _settle(self, wait: float) -> None:
        """Carry over what deliverers append to files we replaced, while any may."""
        for _ in lock.attempts(wait):
            self._left.expire()
            if not len(self._left):
                return
            if self._left.pending:
                if not os.path.exists(self._real):  # removed; this mail came too late
                    os.close(open_regular(self._real, os.O_WRONLY | os.O_CREAT))
                with self._locked(exclusive=True) as held:
                    self._left.carry(held)

    def _look(self, fd: int, old: Listing | None) -> Listing:
        """List the file, locked, behind fd."""
        file = self._file(fd, old)
        listing = None
        for _ in range(_TRIES):
            now = time.time_ns()
            before = Stamp.of(os.fstat(fd))
            listing = self._listed(file, before, now, old)
            after = Stamp.of(os.fstat(fd))
            if after.size > before.size or after == before:
                break
        assert listing is not None
        return listing

    def _listed(
        self, file: MboxFile, stamp: Stamp, now: int, old: Listing | None
    ) -> Listing:
        was = stamp_of(old)
        if old is not None and was == stamp and old.settled:
            return self._reflagged(old, file, stamp)
        flags = self._flags.read()
        columns, first = None, 0
        if old is not None and was is not None and stamp.size > WHOLE:
            known = columns_of(old)
            grown = stamp.size > was.size or stamp == was
            if was.inode == stamp.inode and grown:
                columns = onward(file, stamp.size, known)
                first = max(len(old) - 1, 0)
        if columns is None:
            columns, first = whole(file, stamp.size), 0
        rows = range(first, len(columns.keys))
        bits = boxflags.overlay(file.fd, columns, self._flags.entries, rows, fresh=True)
        listing = listing_of(
            columns._replace(flags=bits),
            f"{stamp}/{flags}",
            SpoolStore(file, stamp),
            settled=stamp.settled(now),
        )
        if first and old is not None and not old.signature.endswith(f"/{flags}"):
            # Other servers' changes to messages that were not scanned again.
            newer = self._flags.since(old.signature.partition("/")[2])
            before = range(first)
            listing = replace(
                listing,
                flags=boxflags.overlay(
                    file.fd, columns_of(listing), newer, before, fresh=False
                ),
            )
        if old is None or old.signature != listing.signature:
            return listing
        if columns_of(old) == columns_of(listing):
            return replace(old, settled=listing.settled, store=listing.store)
        return listing

    def _reflagged(self, old: Listing, file: MboxFile, stamp: Stamp) -> Listing:
        """Return old, with what the flags file has learned since."""
        box, _, was = old.signature.partition("/")
        signature = self._flags.read()
        if signature == was:
            return old
        flags = boxflags.overlay(
            file.fd,
            columns_of(old),
            self._flags.since(was),
            range(len(old)),
            fresh=False,
        )
        store = SpoolStore(file, stamp)
        return replace(old, signature=f"{box}/{signature}", flags=flags, store=store)

    def _file(self, fd: int, old: Listing | None) -> MboxFile:
        """Return the file behind fd open for reading; old's, if it is the same."""
        if old is not None and isinstance(old.store, SpoolStore):
            file = old.store.file
            if os.path.samestat(os.fstat(file.fd), os.fstat(fd)):
                return file
        return MboxFile(open_regular(self._present()))

    def _verified(
        self, held: lock.HeldLock, listing: Listing, gone: set[int]
    ) -> Listing:
        """Return the listing, with mail that came since; raise Stale if it is wrong.

        The file is scanned again unless it certainly has not changed.
        """
        stamp = Stamp.of(os.fstat(held.fd))
        if stamp_of(listing) == stamp and listing.settled:
            return self._reflagged(listing, self._file(held.fd, listing), stamp)
        now = self._look(held.fd, None)
        # A message half delivered then may be kept, but was not meant to go.
        last = len(listing) - 1
        if not begins(now, listing) or (
            last in gone and now.idents[last] != listing.idents[last]
        ):
            raise Stale(MOVED)
        return now

    @contextmanager
    def _rewritten(self, held: lock.HeldLock, ranges: Ranges) -> Iterator[None]:
        """Leave only those ranges in the mailbox; it is on disk within the block.

        During the block the new file is locked as the old one is.
        """
        st = os.fstat(held.fd)
        temp = lock.unique(self._real, "tmp")
        fd = -1
        if st.st_nlink == 1:
            with suppress(PermissionError):
                fd = create_like(temp, st)
        if fd < 0:
            journal.rewrite(self.place.root, held, ranges)
            yield
            return
        try:
            try:
                for start, end in ranges:
                    copy(held.fd, start, end, fd, held.refresh)
                os.fsync(fd)
                lock.lock_fd(fd, exclusive=True)
                self._replace(temp, st.st_size)
            except BaseException:
                os.unlink(temp)
                raise
            yield
            lock.unlock_fd(fd)
        finally:
            lock.close(fd)

    def _replace(self, temp: str, size: int) -> None:
        self._left.keep(size)
        try:
            os.rename(temp, self._real)
        except BaseException:
            self._left.forget()
            raise
        sync_dir(os.path.dirname(self._real))

    def _kept(self, columns: Columns, rows: Sequence[int], head: int) -> Listing:
        """Return the listing of the file just written: those rows, from offset head."""
        sizes = array("Q", (columns.sizes[r] for r in rows))
        keys = array("Q", accumulate(sizes, initial=head))
        keys.pop()
        file = MboxFile(open_regular(self._real))
        # A deliverer without locks may have appended: then the stamp is not the file's
        # and the next list looks.
        size = head + sum(sizes)
        stamp = replace(Stamp.of(os.fstat(file.fd)), size=size)
        picked = Columns(
            keys,
            sizes,
            array("Q", (columns.idents[r] for r in rows)),
            array("Q", (columns.weaks[r] for r in rows)),
            array("q", (columns.dates[r] for r in rows)),
            bytearray(columns.flags[r] for r in rows),
        )
        signature = f"{stamp}/{self._flags.read()}"
        return listing_of(picked, signature, SpoolStore(file, stamp), settled=False)


def _check_undated(fd: int, columns: Columns, stays: Sequence[int]) -> None:
    """Raise Refused if what stays would begin with a dated From_ line, wrongly.

    The first tells whether lines without a date begin messages: one that follows would
    come to be text of the message before.
    """
    if not stays or not undated(fd):
        return
    lines = (pread_all(fd, LINE, columns.keys[row]) for row in stays)
    bare = [is_bare(line.partition(b"\n")[0] + b"\n") for line in lines]
    if not bare[0] and any(bare):
        raise Refused("a message whose From line has a date would come first")


def claim(path: str, place: Place) -> Driver | None:
    """Take a file of mail or an empty one, or what upas/fs left half rewritten.

    Raises FileNotFoundError if there is nothing at path: no other kind is asked.
    """
    if is_network(path):
        return None
    for name in (path, path + _PLAN9_TEMP):
        with suppress(FileNotFoundError):
            regular = stat.S_ISREG(os.stat(name).st_mode)
            if regular and _is_mailbox(name, place):
                return Spool(path, place)
            if name == path:
                return None
    raise FileNotFoundError(2, os.strerror(2), path)


def _is_mailbox(path: str, place: Place) -> bool:
    """Whether a file begins empty, or a From_ line is in its first octets.

    A file with flags beside it was a mailbox before, and is one without messages too;
    so is one whose rewriting was interrupted.
    """
    fd = open_regular(path, follow=True)
    try:
        size = os.fstat(fd).st_size
        head = os.pread(fd, LINE, 0).removeprefix(BOM)
        if not head.strip() or scan(fd, 0, min(size, PREAMBLE), size).starts:
            return True
    finally:
        os.close(fd)
    real = os.path.realpath(path)
    if os.path.lexists(real + FLAGS):
        return True
    return journal.pending(place.root, real) or addition.pending(place.root, real)
