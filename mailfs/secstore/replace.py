"""Replacing a file whole: readers see the old one or the new one."""

import os
import secrets
from pathlib import Path


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put data in the place of path, on disk before it returns.  Raises OSError.

    The temporary file lies in the same directory; its name begins with a dot, which
    the name of no account and no stored file does.
    """
    temp = path.with_name(f".{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    fd = os.open(temp, flags, mode)
    try:
        with open(fd, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(fd)
        temp.replace(path)
    except OSError:
        temp.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
