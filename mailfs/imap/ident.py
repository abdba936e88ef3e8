"""ID: who the server says it is, and who we say we are; RFC 2971.

Some servers open no folder to a client that has not told its name.
"""

from mailfs import __version__
from mailfs.imap.grammar.tokens import Malformed, values

COMMAND = f'ID ("name" "mailfs" "version" "{__version__}")'.encode()
MAX_FIELDS = 30  # pairs; RFC 2971 section 3.3
_TELLING = ("name", "vendor", "support-url")


def read(raw: bytes) -> dict[str, str]:
    """Return the fields of ``* ID (...)``, lower case; none for NIL, () or nonsense."""
    try:
        found = values(raw.partition(b" ")[2].partition(b" ")[2])
    except Malformed:
        return {}
    pairs = found[0] if found and isinstance(found[0], list) else []
    fields = {}
    for name, value in zip(pairs[::2], pairs[1::2], strict=False):
        if isinstance(name, bytes) and isinstance(value, bytes):
            text = name.decode(errors="replace").lower()
            fields[text] = value.decode(errors="replace")
        if len(fields) == MAX_FIELDS:
            break
    return fields


def words(fields: dict[str, str]) -> str:
    """Make a server's identity from its ID answer."""
    return " ".join(fields[name] for name in _TELLING if name in fields)
