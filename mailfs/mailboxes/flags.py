"""Flags of a message as letters: what the file ``flags`` shows and takes; upasfs(4)."""

from mailfs.errors import EFLAG, Refused
from mailfs.mailbox.kinds import Flag

# In the order of the file's seven places.
LETTERS = {
    "a": Flag.ANSWERED,
    "D": Flag.DELETED,
    "d": Flag.DRAFT,
    "f": Flag.FLAGGED,
    "r": Flag.RECENT,
    "s": Flag.SEEN,
    "S": Flag.STORED,
}


def show(flags: Flag) -> str:
    """Return the seven places, ``-`` where a flag is not set."""
    return "".join(c if flags & bit else "-" for c, bit in LETTERS.items())


def parse(text: str) -> tuple[Flag, Flag]:
    """Return the flags to set and to clear; a sign holds for the letters after it.

    Raises Refused at an unknown letter, before anything is applied.  RECENT is the
    server's own: it is accepted, and nothing comes of it.
    """
    add = drop = Flag(0)
    adding = True
    for c in text:
        if c in "+-":
            adding = c == "+"
            continue
        bit = LETTERS.get(c)
        if bit is None:
            raise Refused(EFLAG)
        # The last word on a letter counts: "+a-a" clears.
        add, drop = (add | bit, drop & ~bit) if adding else (add & ~bit, drop | bit)
    return add & ~Flag.RECENT, drop & ~Flag.RECENT
