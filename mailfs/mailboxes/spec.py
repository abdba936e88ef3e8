"""Mailboxes as arguments name them: ``[NAME=]MAILBOX``."""

import os
from collections.abc import Iterable

from mailfs.errors import UsageError
from mailfs.mailbox.drivers.spec import SEVERAL


def named(specs: Iterable[str]) -> list[tuple[str, str]]:
    """Return (name, path) of each: the first without a name is mbox.

    Others are called by the last element of their path.  Raises UsageError if two
    would share a name.
    """
    found: dict[str, str] = {}
    for spec in specs:
        given, path = _split(spec)
        name = given
        if name is None:
            name = "mbox" if "mbox" not in found else last(path)
        if name in found:
            raise UsageError(f"{path}: mbox name in use: {name} (say NAME={path})")
        found[name] = path
    return list(found.items())


def last(path: str) -> str:
    r"""Return the last element of a path as a name that clients can be told.

    Names in 9P are UTF-8; octets of a file's name that are not become ``\xe9``.  The
    folders below a directory or of an account are named after that.
    """
    path = path.removesuffix(SEVERAL)
    return os.fsencode(path.rsplit("/", 1)[-1]).decode("utf-8", "backslashreplace")


def _split(spec: str) -> tuple[str | None, str]:
    """Split ``NAME=MAILBOX``; what has a slash before the = is all path."""
    name, equals, path = spec.partition("=")
    if equals and name and "/" not in name:
        return name, os.path.expanduser(path)
    return None, spec
