"""Appending a message to a mailbox file, all of it or nothing, whenever we are killed.

1. a note of ours with the message and where it goes: fsync, rename, fsync of directory
2. the message behind the mailbox's end, fsync
3. the note removed, fsync of its directory

A note that is found by whoever locks the mailbox next tells what a crash left: all of
the message, then it stays; or its beginning, then that is taken out again, for nobody
was told that it had arrived.  Others may have appended behind it meanwhile.
"""

import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path

from mailfs.disk.lock import HeldLock
from mailfs.disk.open import open_regular
from mailfs.disk.replace import pread_all, replacing, sweep, sync_dir, write_all
from mailfs.mailbox.drivers.mbox import journal
from mailfs.mailbox.octets import Octets, all_of
from mailfs.msg import fromline

_MAGIC = "mailfs addition 1"
_MAX_LINE = 8192  # octets of a note's first line: a path and six numbers
_BEFORE = 1024  # octets in front whose sum shows that the mailbox is as it was
_LINE = 4096  # octets; a From_ line is shorter, or it is none
_PIECE = 1 << 20  # octets compared at once


@dataclass(frozen=True, slots=True)
class Note:
    """What is being appended to a mailbox; sizes in octets."""

    magic: str
    path: str
    inode: int
    offset: int  # the mailbox's size before
    before: int  # crc32 of the octets in front of offset
    size: int  # of what is appended
    head: int  # of that, up to the end of its From_ line


def note_path(root: Path, mailbox: str) -> str:
    """Name the note of the mailbox at a real path."""
    name = sha256(os.fsencode(mailbox)).hexdigest()[:32]
    return str(root / "mail" / "tmp" / f"{name}.addition")


def pending(root: Path, mailbox: str) -> bool:
    """Whether there is a note of the mailbox at a real path that is believed."""
    return journal.believable(note_path(root, mailbox), mailbox)


def append(root: Path, held: HeldLock, line: bytes, text: Octets) -> None:
    """Append a From_ line and a message to the mailbox, locked for writing.

    The text is quoted already.  On disk when it returns; on an error the mailbox is as
    it was.
    """
    at = os.fstat(held.fd).st_size
    head = _gap(held.fd, at) + line
    size = len(text)
    ended = not size or text.read(size - 1, size) == b"\n"
    end = b"\n" if ended else b"\n\n"
    st = os.fstat(held.fd)
    before = _sum_before(held.fd, at)
    total = len(head) + size + len(end)
    note = Note(_MAGIC, held.path, st.st_ino, at, before, total, len(head))
    path = note_path(root, held.path)

    def pieces() -> Iterator[bytes]:
        held.refresh()
        data = chain([head], all_of(text), [end])
        # One write, mostly, so that who asks for no locks sees all of it or nothing.
        return iter([b"".join(data)]) if total <= _PIECE else data

    _write(path, note, pieces())
    try:
        os.lseek(held.fd, at, os.SEEK_SET)
        for piece in pieces():
            write_all(held.fd, piece)
        os.fsync(held.fd)
    except BaseException:
        os.ftruncate(held.fd, at)
        _forget(path)
        raise
    _forget(path)


def _gap(fd: int, size: int) -> bytes:
    """Return the newlines that are missing between the last message and the next."""
    tail = pread_all(fd, 2, max(size - 2, 0))
    if not tail or tail == b"\n\n":
        return b""
    return b"\n" if tail.endswith(b"\n") else b"\n\n"


def _write(path: str, note: Note, pieces: Iterable[bytes]) -> None:
    Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with replacing(path, like=False) as fd:
        write_all(fd, json.dumps(asdict(note)).encode() + b"\n")
        for piece in pieces:
            write_all(fd, piece)


def repair(root: Path, held: HeldLock) -> None:
    """Take out what a crash left half appended to a mailbox locked for writing."""
    if not pending(root, held.path):
        return
    path = note_path(root, held.path)
    try:
        with open(open_regular(path, owners=journal.believed(held.path)), "rb") as f:
            note, start = _read(f.fileno())
            st = os.fstat(held.fd)
            if (
                note is not None
                and (note.path, note.inode) == (held.path, st.st_ino)
                and st.st_size > note.offset
                and _sum_before(held.fd, note.offset) == note.before
            ):
                _take_back(root, held, note, f.fileno(), start)
    except FileNotFoundError:
        return
    with suppress(FileNotFoundError):
        sweep(path)
    _forget(path)


def _take_back(root: Path, held: HeldLock, note: Note, source: int, start: int) -> None:
    done = _common(source, start, held.fd, note.offset, note.size)
    if done in (0, note.size):
        return
    size = os.fstat(held.fd).st_size
    end = note.offset + done
    # Blocks that were allocated but not written when the power failed are zeros.
    rest = pread_all(held.fd, min(note.size - done, size - end), end)
    if not rest.strip(b"\0"):
        end += len(rest)
    if end == size:
        os.ftruncate(held.fd, note.offset)
        os.fsync(held.fd)
        return
    # Who appended next may have ended our line first.
    behind = pread_all(held.fd, _LINE, end)
    if behind.startswith(b"\nFrom "):
        end, behind = end + 1, behind[1:]
    if done >= note.head or fromline.epoch(behind) is not None:
        ranges = [(0, note.offset)] if note.offset else []
        journal.rewrite(root, held, [*ranges, (end, size)])


def _read(fd: int) -> tuple[Note | None, int]:
    """Return a note and where the message starts in it."""
    line, newline, _ = pread_all(fd, _MAX_LINE, 0).partition(b"\n")
    try:
        note = Note(**json.loads(line))
    except (ValueError, TypeError):
        return None, 0
    good = newline and note.magic == _MAGIC and 0 < note.head <= note.size
    return (note, len(line) + 1) if good else (None, 0)


def _common(a: int, at_a: int, b: int, at_b: int, size: int) -> int:
    """Count the octets that two files have in common, from those offsets on."""
    done = 0
    while done < size:
        count = min(_PIECE, size - done)
        one, two = pread_all(a, count, at_a + done), pread_all(b, count, at_b + done)
        if one != two:
            pairs = enumerate(zip(one, two, strict=False))
            short = min(len(one), len(two))
            return done + next((i for i, (x, y) in pairs if x != y), short)
        done += count
    return done


def _sum_before(fd: int, offset: int) -> int:
    start = max(offset - _BEFORE, 0)
    return zlib.crc32(pread_all(fd, offset - start, start))


def _forget(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
    sync_dir(os.path.dirname(path))
