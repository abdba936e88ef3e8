"""A header block as octets: fields by name, taken out or left, however many there are.

What scan() looks at is bounded; here every line of a block counts, since a blind field
may stand behind any number of others.
"""

import re
from collections.abc import Iterable
from functools import cache

# Fields that name recipients to nobody but the sender; RFC 5322 sections 3.6.3, 3.6.6.
BLIND = (b"bcc", b"resent-bcc")


def without(block: bytes, names: Iterable[bytes]) -> bytes:
    """Return a block less the fields of those names, given in lower case.

    All other octets stay as they are.
    """
    return _fields(tuple(names)).sub(b"", block)


def bodies(block: bytes, names: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """Return (name in lower case, body as it stands) of the fields of those names."""
    found = _fields(tuple(names)).finditer(block)
    return [(m[1].lower(), m[2]) for m in found]


@cache
def _fields(names: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """Match whole fields: name, obsolete blanks (section 4.5.3), body, folds."""
    name = b"|".join(map(re.escape, names))
    return re.compile(
        rb"^(" + name + rb")[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)(?:\n|\Z)",
        re.IGNORECASE | re.MULTILINE,
    )
