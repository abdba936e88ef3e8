"""Rewriting a mailbox file in place, repaired after a crash.

Where a mailbox's directory does not let us replace it (/var/mail), its tail is
rewritten in place.  The new tail is first written to a journal of ours:

1. journal with tail and sizes, fsync, rename to its final name, fsync of directory
2. tail over the mailbox from offset, fsync
3. mailbox cut to its new size, fsync
4. journal removed, fsync of directory

A crash before 1 is complete leaves the mailbox as it was; later, the next opener
repeats 2 to 4.  Meanwhile a deliverer may have appended, before or after 3; which,
is told by the octets between the new size and the old, whose crc32 the journal has.
"""

import json
import os
import stat
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from mailfs.disk.lock import HeldLock
from mailfs.disk.open import open_regular
from mailfs.disk.replace import copy, pread_all, replacing, sweep, sync_dir, write_all
from mailfs.errors import MailfsError

_MAGIC = "mailfs journal 1"
_MAX_LINE = 8192  # octets of a journal's first line: a path and six numbers
_PIECE = 1 << 20  # octets read at once


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done to a mailbox; sizes in octets, sums are crc32."""

    magic: str
    path: str
    inode: int
    offset: int  # the tail starts here
    new: int  # size of the mailbox when done
    old: int  # and before
    tail: int  # sum of the new octets [offset, new)
    stale: int  # sum of the old octets [new, old)


def journal_path(root: Path, mailbox: str) -> str:
    """Name the journal of the mailbox at a real path."""
    name = sha256(os.fsencode(mailbox)).hexdigest()[:32]
    return str(root / "mail" / "tmp" / f"{name}.journal")


def believed(mailbox: str) -> set[int]:
    """Return the users whose journals and notes of a mailbox are believed.

    They may do as they like with it anyway; others share the directory of journals.
    """
    return {0, os.geteuid(), os.stat(mailbox).st_uid}


def pending(root: Path, mailbox: str) -> bool:
    """Whether there is a journal of the mailbox at a real path that is believed."""
    return believable(journal_path(root, mailbox), mailbox)


def believable(path: str, mailbox: str) -> bool:
    """Whether there is a file at path by somebody who is believed of the mailbox."""
    try:
        st = os.lstat(path)
        return stat.S_ISREG(st.st_mode) and st.st_uid in believed(mailbox)
    except FileNotFoundError:
        return False


def sweep_temps(root: Path, mailbox: str) -> None:
    """Remove journals that killed processes had not finished writing."""
    with suppress(FileNotFoundError):
        sweep(journal_path(root, mailbox))


def rewrite(root: Path, held: HeldLock, kept: Iterable[tuple[int, int]]) -> None:
    """Keep only those ranges of octets of the mailbox, locked for writing.

    Ranges ascend and do not touch.  On disk when it returns; if the disk is full,
    nothing has been changed.
    """
    ranges = list(kept)
    offset = 0
    if ranges and ranges[0][0] == 0:
        offset = ranges.pop(0)[1]
    old = os.fstat(held.fd).st_size
    new = offset + sum(end - start for start, end in ranges)
    path = journal_path(root, held.path)
    _write(path, held, offset, new, old, ranges)
    _apply(path, held)


def repair(root: Path, held: HeldLock) -> None:
    """Finish what a crash interrupted on a mailbox locked for writing.

    Raises MailfsError, with the journal put aside, if the mailbox was rewritten by
    another program since: then neither of them may be thrown away unseen.
    """
    path = journal_path(root, held.path)
    if not pending(root, held.path):
        return
    try:
        with open(open_regular(path, owners=believed(held.path)), "rb") as f:
            plan, start = _read(f.fileno())
    except FileNotFoundError:
        return
    size = os.fstat(held.fd).st_size
    ours = (
        plan is not None
        and plan.path == held.path
        and plan.inode == os.fstat(held.fd).st_ino
    )
    if plan is not None and ours:
        if size >= plan.old and _sum(held.fd, plan.new, plan.old) == plan.stale:
            _again(path, held, plan, start, size)
            return
        if size >= plan.new and _sum(held.fd, plan.offset, plan.new) == plan.tail:
            _forget(path)
            return
    aside = path + ".unused"
    os.replace(path, aside)
    raise MailfsError(f"{held.path}: rewrite interrupted; what was kept is in {aside}")


def _write(
    path: str,
    held: HeldLock,
    offset: int,
    new: int,
    old: int,
    rest: list[tuple[int, int]],
) -> None:
    """Write a journal whose tail is those ranges of the mailbox."""
    tail = 0
    for start, end in rest:
        held.refresh()
        tail = _sum(held.fd, start, end, tail)
    plan = Plan(
        _MAGIC,
        held.path,
        os.fstat(held.fd).st_ino,
        offset,
        new,
        old,
        tail,
        _sum(held.fd, new, old),
    )
    Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with replacing(path, like=False) as fd:
        write_all(fd, json.dumps(asdict(plan)).encode() + b"\n")
        for start, end in rest:
            copy(held.fd, start, end, fd, held.refresh)


def _apply(path: str, held: HeldLock) -> None:
    with open(open_regular(path, owners=believed(held.path)), "rb") as f:
        plan, start = _read(f.fileno())
        assert plan is not None
        os.lseek(held.fd, plan.offset, os.SEEK_SET)
        end = start + plan.new - plan.offset
        copy(f.fileno(), start, end, held.fd, held.refresh)
        os.fsync(held.fd)
        os.ftruncate(held.fd, plan.new)
        os.fsync(held.fd)
    _forget(path)


def _again(path: str, held: HeldLock, plan: Plan, start: int, size: int) -> None:
    """Repeat a rewrite; what was appended behind the old size comes along."""
    if size > plan.old:
        with open(open_regular(path, owners=believed(held.path)), "rb") as f:
            tail = plan.new - plan.offset
            new = plan.new + size - plan.old
            total = _sum(f.fileno(), start, start + tail)
            fresh = Plan(
                _MAGIC,
                plan.path,
                plan.inode,
                plan.offset,
                new,
                size,
                _sum(held.fd, plan.old, size, total),
                _sum(held.fd, new, size),
            )
            with replacing(path, like=False) as fd:
                write_all(fd, json.dumps(asdict(fresh)).encode() + b"\n")
                copy(f.fileno(), start, start + tail, fd, held.refresh)
                copy(held.fd, plan.old, size, fd, held.refresh)
    _apply(path, held)


def _read(fd: int) -> tuple[Plan | None, int]:
    """Return a journal's plan and where its tail starts."""
    line, newline, _ = pread_all(fd, _MAX_LINE, 0).partition(b"\n")
    try:
        plan = Plan(**json.loads(line))
    except (ValueError, TypeError):
        return None, 0
    start = len(line) + 1
    good = (
        newline
        and plan.magic == _MAGIC
        and 0 <= plan.offset <= plan.new <= plan.old
        and _sum(fd, start, start + plan.new - plan.offset) == plan.tail
    )
    return (plan, start) if good else (None, 0)


def _sum(fd: int, start: int, end: int, total: int = 0) -> int:
    """Return crc32 of octets [start, end), continued from total."""
    while start < end:
        data = os.pread(fd, min(_PIECE, end - start), start)
        if not data:
            break
        total = zlib.crc32(data, total)
        start += len(data)
    return total


def _forget(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
    sync_dir(os.path.dirname(path))
