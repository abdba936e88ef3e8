"""Flags as words: what the file ``flags`` shows and takes in the keyed dialect."""

from mailfs.attr import tokenize
from mailfs.errors import EARGS, Refused
from mailfs.mailbox.kinds import Flag

# In the order they are shown.  plan9port's mailfs has junk and notjunk too, which
# are keywords of IMAP.
WORDS = {
    "replied": Flag.ANSWERED,
    "flagged": Flag.FLAGGED,
    "draft": Flag.DRAFT,
    "seen": Flag.SEEN,
}
ALL = Flag.ANSWERED | Flag.FLAGGED | Flag.DRAFT | Flag.SEEN


def show(flags: Flag) -> str:
    """Return the flags that are set, a blank between them."""
    return " ".join(word for word, bit in WORDS.items() if flags & bit)


def parse(text: str) -> tuple[Flag, Flag]:
    """Return the flags to set and to clear.

    A word with a sign changes that flag; words without one are all that shall be set.
    Raises Refused at an unknown word, and where both kinds are mixed.
    """
    add = drop = only = Flag(0)
    for word in tokenize(text):
        bit = WORDS.get(word.removeprefix("+").removeprefix("-"))
        if bit is None:
            raise Refused(f"unknown flag {word[:64]}")
        if word.startswith("+"):
            add, drop = add | bit, drop & ~bit
        elif word.startswith("-"):
            add, drop = add & ~bit, drop | bit
        else:
            only |= bit
    if only and not (add or drop):
        return only, ALL & ~only
    if only or not (add or drop):
        raise Refused(EARGS)
    return add, drop
