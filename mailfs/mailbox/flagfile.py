"""Flags of messages whose store has no place for them: a text file beside it.

::

    mailfs flags 1 5b0ef2a40c7d9e13
    9c1e...a07f.0 5d0c11d2 5d0c11d200000b2c ----r-- a---r-s

The number is another in each new file, since inodes come back.  Then a line a change:
identity, hint, ident, what the store itself said of the flags, what they are since;
the flags as in upas/fs's flags file.  A later line for the same identity wins.  Lines
are appended under an fcntl lock and are on disk before the change is reported done.
A line without its newline was torn by a crash and does not count.  When most lines
are dead the file is replaced by one without them.

It is PATH.flags for a mailbox PATH; where that cannot be made,
mail/box/USER/flags/QUOTEDPATH below the root.
"""

import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from mailfs.disk import lock
from mailfs.disk.open import NotRegular, open_regular
from mailfs.disk.replace import pread_all, replacing, sweep, sync_dir, write_all
from mailfs.errors import EFBIG, MailfsError
from mailfs.mailbox.driver import Place
from mailfs.mailbox.kinds import Flag

SUFFIX = ".flags"
MAX_FILE = 256 << 20  # octets; a million messages with two lines each
_MAGIC = re.compile(rb"mailfs flags 1 ([0-9a-f]{16})\n")
_MAGIC_SIZE = 32  # octets
NONE = "0.0.0"  # signature where there is no file
_SLACK = 1000  # dead lines that are not worth a new file
_NAME_MAX = 200  # octets of a file name made from a path; file systems allow 255

LETTERS = "aDdfrsS"  # in upas/fs's order; upasfs(4)
_BITS = dict(
    zip(
        LETTERS,
        (
            Flag.ANSWERED,
            Flag.DELETED,
            Flag.DRAFT,
            Flag.FLAGGED,
            Flag.RECENT,
            Flag.SEEN,
            Flag.STORED,
        ),
        strict=True,
    )
)
_LINE = re.compile(
    rb"([!-~]{1,300}) ([0-9a-f]{1,16}) ([0-9a-f]{1,16})"
    rb" ([a-zA-Z-]{7}) ([a-zA-Z-]{7})"
)


@dataclass(frozen=True, slots=True)
class FlagEntry:
    """What became of one message's flags."""

    identity: str  # as the driver tells messages apart: printable ASCII, no blank
    hint: int  # what a message must have in common to be looked at; 64 bits
    ident: int  # of the listing in which the change was made
    seen: Flag  # what the store said then
    flags: Flag

    def line(self) -> bytes:
        """Return the entry as it stands in the file, newline included."""
        words = (
            self.identity,
            f"{self.hint:x}",
            f"{self.ident:x}",
            letters(self.seen),
            letters(self.flags),
        )
        return " ".join(words).encode("ascii") + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> "FlagEntry | None":
        """Read a line without its newline; None if it is none of ours."""
        m = _LINE.fullmatch(line)
        if m is None:
            return None
        seen, flags = bits(m[4].decode()), bits(m[5].decode())
        if seen is None or flags is None:
            return None
        return cls(m[1].decode(), int(m[2], 16), int(m[3], 16), seen, flags)

    def merged(self, said: int) -> int:
        """Return the flags now that the store says said.

        What another program changed in the store since is newer than ours; the
        rest is as we set it.  Whether the message is recent only the store knows.
        """
        newer = int(self.seen) ^ said
        kept = int(self.flags) & ~newer | said & newer
        return kept & ~int(Flag.RECENT) | said & int(Flag.RECENT)


def letters(flags: int) -> str:
    """Return seven characters, ``-`` for a flag not set; upasfs(4)."""
    return "".join(c if flags & b else "-" for c, b in _BITS.items())


def bits(text: str) -> Flag | None:
    """Read seven characters as letters gave them; None if they are something else."""
    flags = Flag(0)
    for have, (c, b) in zip(text, _BITS.items(), strict=True):
        if have == c:
            flags |= b
        elif have != "-":
            return None
    return flags


class FlagFile:
    """The flags file of one mailbox, read as far as it has grown."""

    def __init__(self, mailbox: str, place: Place) -> None:
        """Open nothing yet; the file need not exist."""
        self._place = place
        self.beside = mailbox + SUFFIX
        self.apart = str(
            place.root / "mail" / "box" / place.user / "flags" / _quoted(mailbox)
        )
        self.entries: dict[str, FlagEntry] = {}
        self._offsets: dict[str, int] = {}  # where an entry's line starts
        self._file = (0, 0)  # the file's number; octets read, whole lines
        self._lines = 0

    @property
    def path(self) -> str:
        """Where the file is, or would be made."""
        for path in (self.beside, self.apart):
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                if stat.S_ISREG(os.lstat(path).st_mode):
                    return path
        if os.path.lexists(self.beside):  # something else that has its name
            return self.apart
        folder = os.path.dirname(self.beside) or "."
        return self.beside if os.access(folder, os.W_OK) else self.apart

    def signature(self) -> str:
        """Make the file's signature: its number, octets and time."""
        try:
            fd = open_regular(self.path)
        except (FileNotFoundError, NotRegular):
            return NONE
        try:
            return _signature(fd)
        finally:
            lock.close(fd)

    def read(self) -> str:
        """Bring entries up to date and return the signature they belong to."""
        try:
            fd = open_regular(self.path)
        except (FileNotFoundError, NotRegular):
            self._forget()
            return NONE
        try:
            return self._read(fd)
        finally:
            lock.close(fd)

    def since(self, signature: str) -> dict[str, FlagEntry]:
        """Return the entries that were not there, or not so, at that signature."""
        number, size = (int(w, 16) for w in signature.split(".")[:2])
        if number != self._file[0] or size > self._file[1]:
            return dict(self.entries)
        return {k: e for k, e in self.entries.items() if self._offsets[k] >= size}

    def append(self, entries: Iterable[FlagEntry], wait: float = lock.LOCK_WAIT) -> str:
        """Add entries, on disk when it returns; return the signature after.

        Raises MailfsError if the file cannot be locked within wait seconds.
        """
        added = list(entries)
        fd = self._locked(wait)
        try:
            self._read(fd)
            end = os.fstat(fd).st_size
            data = b"".join(e.line() for e in added)
            if end == 0:
                data = _magic() + data
            elif os.pread(fd, 1, end - 1) != b"\n":
                data = b"\n" + data  # a crash tore the last line; do not glue to it
            try:
                write_all(fd, data)
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, end)
                raise
            signature = self._read(fd)
            if self._lines > 2 * len(self.entries) + _SLACK:
                return self._compact()
            return signature
        finally:
            lock.unlock_fd(fd)
            lock.close(fd)

    def move(self, mailbox: str) -> None:
        """Go with the mailbox to its path, which had no flags file of its own."""
        there = FlagFile(mailbox, self._place)
        for old, new in ((self.beside, there.beside), (self.apart, there.apart)):
            with suppress(FileNotFoundError):
                os.replace(old, new)

    def remove(self) -> None:
        """Remove the file."""
        for path in (self.beside, self.apart):
            with suppress(FileNotFoundError, IsADirectoryError):
                os.unlink(path)
        self._forget()

    def _forget(self) -> None:
        self.entries = {}
        self._offsets = {}
        self._file = (0, 0)
        self._lines = 0

    def _locked(self, wait: float) -> int:
        """Open and lock the file, made if it is missing; the descriptor appends."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        for _ in lock.attempts(wait):
            path = self.path
            if path == self.apart:
                Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = not os.path.exists(path)
            fd = open_regular(path, flags)
            if fresh:
                sync_dir(os.path.dirname(path) or ".")
            if lock.lock_fd(fd, exclusive=True):
                if lock.same(fd, path):
                    return fd
                lock.unlock_fd(fd)
            lock.close(fd)
        raise MailfsError(f"{self.path}: can't lock")

    def _read(self, fd: int) -> str:
        st = os.fstat(fd)
        if st.st_size > MAX_FILE:
            raise MailfsError(f"{self.path}: {EFBIG}")
        number = _number(fd)
        done = self._file[1]
        if number == 0 or number != self._file[0] or st.st_size < done:
            self._forget()
            done = 0
        data = pread_all(fd, st.st_size - done, done)
        whole = data.rfind(b"\n") + 1
        at = done
        for line in data[:whole].splitlines(keepends=True):
            entry = FlagEntry.parse(line[:-1])
            if entry is not None:
                self.entries[entry.identity] = entry
                self._offsets[entry.identity] = at
                self._lines += 1
            at += len(line)
        self._file = (number, done + whole)
        return _signature(fd)

    def _compact(self) -> str:
        sweep(self.path)
        with replacing(self.path) as fd:
            lines = [e.line() for e in self.entries.values()]
            write_all(fd, _magic() + b"".join(lines))
        return self.read()


def _magic() -> bytes:
    return b"mailfs flags 1 %s\n" % os.urandom(8).hex().encode()


def _number(fd: int) -> int:
    """Return the number in a file's first line; 0 if a crash tore that."""
    m = _MAGIC.match(os.pread(fd, _MAGIC_SIZE, 0))
    return int(m[1], 16) if m else 0


def _signature(fd: int) -> str:
    st = os.fstat(fd)
    return f"{_number(fd):x}.{st.st_size:x}.{st.st_mtime_ns:x}"


def _quoted(path: str) -> str:
    """Return an absolute path as one file name; a long one ends in its digest."""
    import hashlib

    text = quote(os.fsencode(os.path.realpath(path)), safe="")
    if len(text) <= _NAME_MAX:
        return text
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()
    return f"{text[:100]}-{digest[:32]}"
