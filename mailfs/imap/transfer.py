"""What COPY, MOVE, STORE and APPEND tell of their doing; RFC 4315, RFC 7162."""

from dataclasses import dataclass, field

from mailfs.imap.changes import Flagged
from mailfs.imap.grammar.names import Upload
from mailfs.imap.grammar.ranges import BadRanges, Ranges

MAX_LOOK = 1 << 20  # octets of a header that are looked at
MAX_COPIED = 1_000_000  # uids in one COPYUID


@dataclass(frozen=True, slots=True)
class StoredUids:
    """The flags that messages have now, and those that were left alone (MODIFIED)."""

    flagged: list[Flagged] = field(default_factory=list)
    modified: Ranges = field(default_factory=Ranges)


def copied(args: bytes) -> dict[int, int]:
    """Return old to new uids from COPYUID's arguments; none if they do not match.

    Both sets are in order of uid, as servers give them out (RFC 4315 section 3).
    """
    words = args.split()
    if len(words) != 3:
        return {}
    try:
        old, new = Ranges.parse(words[1]), Ranges.parse(words[2])
    except BadRanges:
        return {}
    if len(old) != len(new) or len(old) > MAX_COPIED:
        return {}
    return dict(zip(old, new, strict=True))


def append_limit(capabilities: frozenset[str]) -> int | None:
    """Return the largest message the server takes, octets; RFC 7889."""
    for name in capabilities:
        word, _, limit = name.partition("=")
        if word == "APPENDLIMIT" and limit.isdecimal() and len(limit) < 20:
            return int(limit)
    return None


def header(octets: bytes | Upload) -> bytes:
    """Return a message's header, for a look at it; of a long one the first octets."""
    start = octets if isinstance(octets, bytes) else octets.read(0, MAX_LOOK)
    end = start.find(b"\r\n\r\n")
    return start if end < 0 else start[:end]
