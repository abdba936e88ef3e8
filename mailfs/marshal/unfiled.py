"""Copies that no mailbox took: ``unfiled``, a directory of whole messages; mdir(6)."""

import os
from pathlib import Path

from mailfs.disk.replace import create
from mailfs.msg import fromline
from mailfs.site.site import Site

NAME = "unfiled"  # in the mail directory
MAX_SAME = 1000  # messages of one second


def keep(site: Site, message: bytes, date: int, sender: str) -> Path:
    """Put a message into ``unfiled``, on disk, and return its file.  Raises OSError."""
    folder = site.box(site.user) / NAME
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    octets = fromline.make(sender, date, site.local) + message
    for number in range(MAX_SAME):
        path = folder / f"{date}.{number:02d}"
        if not os.path.lexists(path) and create(path, octets):
            return path
    raise FileExistsError(f"{folder}: {MAX_SAME} messages of one second")
