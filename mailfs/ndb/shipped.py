"""The database files that come with mailfs."""

from functools import cache
from pathlib import Path

from mailfs.ndb.parse import entries

_PACKAGE = Path(__file__).resolve().parent.parent


def path(name: str) -> Path:
    """Find a shipped file: in the wheel, or at the top of a checkout."""
    wheel = _PACKAGE / "_ndb" / name
    return wheel if wheel.exists() else _PACKAGE.parent / "ndb" / name


@cache
def port(service: str) -> int | None:
    """Return the TCP port of a service, None if nobody has told us."""
    for entry in entries(path("common").read_text()):
        pairs = dict(entry)
        if pairs.get("tcp") == service:
            return int(pairs["port"])
    return None
