"""The files of thumbprints below sys/lib/tls: read with their includes, added to."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from mailfs.disk.open import NotRegular, open_regular
from mailfs.disk.replace import replace
from mailfs.errors import reason
from mailfs.tls.thumb import BadThumbprint, Thumb, include, parse

MAX_FILE = 1 << 20  # octets; ten thousand lines
MAX_DEPTH = 8  # of includes, 9front's limit
MAX_FILES = 64  # read for one list, or includes of includes never end

FOLDER = "sys/lib/tls"
# What we lack, and no fault of the file's.
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


def trusted(root: Path, name: str) -> Path:
    """Return the path of a list: name is mail or smtp."""
    return root / FOLDER / name


def excluded(root: Path, name: str) -> Path:
    """Return the path of the list of what must not be trusted."""
    return root / FOLDER / f"{name}.exclude"


def load(path: Path, root: Path) -> tuple[Thumb, ...]:
    """Return the lines of a thumbprint file and of those it includes.

    A path in ``#include`` is below root if it is absolute, else beside the file that
    names it.  A list that does not exist is empty.  Raises BadThumbprint, with the
    file and line, if any part of it cannot be read or cannot be meant, and OSError
    where that is no word about the list: there are no descriptors, or no memory.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return ()
    except OSError as e:  # a directory that hides whether the list exists
        raise _unread(path, e) from e
    budget = iter(range(MAX_FILES))
    return tuple(_load(path, root, (), budget))


def _load(
    path: Path, root: Path, above: tuple[Path, ...], budget: Iterator[int]
) -> Iterator[Thumb]:
    if path in above:
        raise BadThumbprint(f"{path}: includes itself")
    if len(above) > MAX_DEPTH or next(budget, None) is None:
        raise BadThumbprint(f"too many includes, last file {path}")
    for number, text in enumerate(_read(path).split("\n"), 1):
        where = f"{path}:{number}"
        try:
            name = include(text)
            thumb = parse(text, where) if name is None else None
        except BadThumbprint as e:
            raise BadThumbprint(f"{where}: {e}") from e
        if name is not None:
            yield from _load(_beside(path, root, name), root, (*above, path), budget)
        elif thumb is not None:
            yield thumb


def _beside(path: Path, root: Path, name: str) -> Path:
    base = root / name.lstrip("/") if name.startswith("/") else path.parent / name
    return Path(os.path.normpath(base))


def _read(path: Path) -> str:
    """Return a file's text; refuses what is no plain file or what anyone may write."""
    try:
        fd = open_regular(path, follow=True)
        try:
            st = os.fstat(fd)
            if st.st_mode & stat.S_IWOTH:
                raise BadThumbprint(f"{path}: anyone may write there")
            with open(fd, "rb", closefd=False) as f:
                raw = f.read(MAX_FILE + 1)
        finally:
            os.close(fd)
    except NotRegular as e:
        raise BadThumbprint(f"{path}: not a file") from e
    except OSError as e:
        raise _unread(path, e) from e
    if len(raw) > MAX_FILE:
        raise BadThumbprint(f"{path}: over {MAX_FILE} octets")
    if b"\0" in raw:
        raise BadThumbprint(f"{path}: not text")
    try:
        return raw.decode()
    except UnicodeDecodeError as e:
        raise BadThumbprint(f"{path}: not UTF-8 at octet {e.start}") from e


def _unread(path: Path, e: OSError) -> OSError | BadThumbprint:
    """Make the error for a list that cannot be read."""
    if e.errno in _OURS:
        return OSError(e.errno, f"{path}: {os.strerror(e.errno).lower()}")
    return BadThumbprint(f"{path}: {reason(e)}")


def append(path: Path, root: Path, line: str) -> bool:
    """Add a line at the end of a list, keeping all that is there; False if it has it.

    The list is replaced as a whole, under an flock of its directory, so a reader sees
    the old or the new one.  Raises BadThumbprint if the list as it stands is refused,
    since a line added to it would help nobody, and OSError.
    """
    import fcntl

    path = path.resolve()  # a link stays one
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        load(path, root)
        old = _read(path) if path.exists() else ""
        if line in old.split("\n"):
            return False
        if old and not old.endswith("\n"):
            old += "\n"
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
        replace(path, f"{old}{line}\n".encode(), mode)
    finally:
        os.close(folder)
    return True
