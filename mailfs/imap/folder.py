"""What SELECT tells, and what is already known; RFC 9051 section 6.3.2, RFC 7162."""

import re
from dataclasses import dataclass, field

from mailfs.imap.changes import Flagged
from mailfs.imap.fetched import MAX_MODSEQ
from mailfs.imap.grammar.flags import Flags, parse
from mailfs.imap.grammar.ranges import MAX_UID, Ranges

_NUMBER = re.compile(rb"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Known:
    """What was known of a folder when it was last seen: for QRESYNC."""

    uidvalidity: int
    modseq: int
    uids: Ranges = field(default_factory=Ranges)


@dataclass(slots=True)
class Selected:
    """A folder as it was when it was selected.

    uidvalidity  0 if the server has none: then nothing may be remembered of its uids
    uidnext      0 if unknown
    modseq       None if the folder keeps none
    vanished     uids gone since what was known, if resynced
    changed      flags set since, if resynced; new messages may be among them or not
    resynced     whether vanished and changed are all that happened to what was known
    """

    folder: str
    readonly: bool = False
    uidvalidity: int = 0
    uidnext: int = 0
    exists: int = 0
    modseq: int | None = None
    flags: Flags = field(default_factory=Flags)
    permanent: Flags | None = None
    keywords: bool = False  # whether new ones may be made: \\*
    vanished: Ranges = field(default_factory=Ranges)
    changed: list[Flagged] = field(default_factory=list)
    resynced: bool = False

    def code(self, name: str, args: bytes) -> None:
        """Take a response code of SELECT's."""
        if name == "UIDVALIDITY":
            self.uidvalidity = small(args, MAX_UID)
        elif name == "UIDNEXT":
            self.uidnext = small(args, MAX_UID)
        elif name == "HIGHESTMODSEQ":
            self.modseq = small(args, MAX_MODSEQ) or None
        elif name == "NOMODSEQ":
            self.modseq = None
        elif name == "READ-ONLY":
            self.readonly = True
        elif name == "PERMANENTFLAGS":
            words = args.strip(b"() ").split()
            self.permanent = parse(words)
            self.keywords = b"\\*" in words


def small(text: bytes, most: int) -> int:
    """Return the number a text begins with; 0 if none, or if it is over most."""
    m = _NUMBER.match(text.strip())
    found = int(m[0]) if m else 0
    return found if found <= most else 0
