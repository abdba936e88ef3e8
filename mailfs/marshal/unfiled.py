"""Copies that no mailbox took: ``unfiled``, a directory of whole messages; mdir(6)."""

import os
from contextlib import suppress
from pathlib import Path

from mailfs.disk import lock
from mailfs.disk.replace import sync_dir, write_all
from mailfs.msg import fromline
from mailfs.site.site import Site

NAME = "unfiled"  # in the mail directory
MAX_SAME = 1000  # messages of one second


def keep(site: Site, message: bytes, date: int, sender: str) -> Path:
    """Put a message into ``unfiled``, on disk, and return its file.  Raises OSError."""
    folder = site.box(site.user) / NAME
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    temp = lock.unique(str(folder / str(date)), "tmp")
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, fromline.make(sender, date, site.local) + message)
        os.fsync(fd)
        path = _link(temp, folder, date)
    finally:
        os.close(fd)
        os.unlink(temp)
    sync_dir(str(folder))
    return path


def _link(temp: str, folder: Path, date: int) -> Path:
    """Give a file the first free name of a second, as mdir(6) has them."""
    for number in range(MAX_SAME):
        path = folder / f"{date}.{number:02d}"
        with suppress(FileExistsError):
            os.link(temp, path)
            return path
    raise FileExistsError(f"{folder}: {MAX_SAME} messages of one second")
