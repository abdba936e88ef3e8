"""The 6 bits of qid.path that tell a node from others of its message or mailbox.

A number here never changes its meaning while a server runs, and clients may keep qids
longer: a new node takes a free number, and no node moves.  The files of a message's
directory carry theirs in their rows (fs/files, fs/keyed/files), from those left free.
"""

from enum import IntEnum, unique

BITS = 6
KEYED = 1 << 63  # set in the keyed dialect, since one server shows both


@unique
class Code(IntEnum):
    """What is no file of a message's directory."""

    ROOT = 40
    CTL = 41
    BOX = 42
    BOXCTL = 43
    STATUS = 44
    MESSAGE = 45
    EVENT = 46
    CHANGES = 47
    INDEX = 50  # a line of each message
    FOUNDINDEX = 51  # of each that one query finds
    ALLSEARCHES = 49  # the directory of all queries over all mailboxes
    ALLFOUND = 48  # what one of them finds
    SEARCHES = 54  # the directory of all queries
    FOUND = 55  # what one query finds
    FOUNDSTATUS = 53  # and how
    OUTBOX = 56
    LETTERS = 57  # the table of all letters
    LETTER = 58
    FATE = 59  # what became of a letter
    BRANCH = 62
    SEARCH = 63


FREE = frozenset(range(1 << BITS)) - frozenset(Code)  # for a message's files
