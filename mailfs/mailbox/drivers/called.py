"""What the folders of an account, or of a directory, are called in the tree."""

import hashlib
from collections.abc import Mapping

from mailfs.mailbox.drivers.spec import LEVEL

# No folder but the main one is called the last; the others are files of the root.
RESERVED = frozenset({"", ".", "..", "ctl", "event", "outbox", "mbox"})
MAX_CALLED = 180  # octets; with the name of the account before it, a file name holds


def called(folders: Mapping[str, str], main: str) -> dict[str, str]:
    """Return the name in the tree of each folder, by its own name; all differ.

    folders maps a folder's name to the delimiter of its levels, empty in a flat space.
    A name in the tree is the folder's with LEVEL between the levels; main is called
    nothing.  A name that no directory can have is changed, and of two folders that
    would be called the same all but one end in letters that follow from their names,
    so that they are called so after a restart too.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    plain = {
        name: "" if name == main else _plain(name, delimiter)
        for name, delimiter in folders.items()
    }

    def irregular(name: str) -> tuple[bool, str]:
        return (plain[name].replace(LEVEL, folders[name]) != name, name)

    for name in sorted(folders, key=irregular):
        title = plain[name]
        if name != main and (title in RESERVED or title in taken):
            title = told_apart(title, name)
        taken.add(title)
        found[name] = title
    return {name: found[name] for name in folders}


def _plain(name: str, delimiter: str) -> str:
    """Return a folder's name as a directory may have it."""
    title = name.replace(delimiter, LEVEL) if delimiter else name
    title = title.encode(errors="surrogateescape").decode(errors="replace")
    title = "".join(
        "_" if c == "/" or not (c == " " or c.isprintable()) else c for c in title
    )
    return told_apart(title, name) if len(title.encode()) > MAX_CALLED else title


def told_apart(title: str, name: str) -> str:
    """Return a title that ends in eight hex digits following from a name."""
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:8]
    return title.encode()[:MAX_CALLED].decode(errors="ignore") + "~" + digest
