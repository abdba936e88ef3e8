"""Which specifications name a mailbox on another machine; upasfs(4)."""

import re

_NETWORK = re.compile(
    r"/(imap|imaps|imaptls|pop|pops|poptls|popnotls|apop|apops|apoptls|apopnotls)/"
)


def is_network(path: str) -> bool:
    """Whether a driver that looks at the disk must leave the path alone."""
    return _NETWORK.match(path) is not None
