"""Which specifications name a mailbox on another machine; upasfs(4)."""

import re

SEVERAL = "/*"  # ends a specification that names every folder of something
LEVEL = ":"  # between the levels of a folder's name, where / cannot be
_IMAP = re.compile(r"/(imap|imaps|imaptls)(/|\Z)")
_POP = re.compile(r"/(pop|pops|poptls|popnotls|apop|apops|apoptls|apopnotls)(/|\Z)")


def is_imap(path: str) -> bool:
    """Whether a path is a folder on an IMAP server."""
    return _IMAP.match(path) is not None


def is_pop(path: str) -> bool:
    """Whether a path is a maildrop on a POP3 server."""
    return _POP.match(path) is not None


def is_network(path: str) -> bool:
    """Whether a driver that looks at the disk must leave the path alone."""
    return is_imap(path) or is_pop(path)
