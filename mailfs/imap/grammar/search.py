"""What SEARCH finds: uids, as ranges or one by one; RFC 9051 section 7.3.4."""

import re
from array import array
from collections.abc import Iterable

from mailfs.imap.grammar.ranges import MAX_UID, BadRanges, Ranges

_WORD = re.compile(rb"(?<!\S)([0-9]{1,11})(?!\S)")
_ALL = re.compile(rb"(?i) ALL ([0-9:,]+)")


def read(raws: Iterable[bytes]) -> Ranges | None:
    """Return the uids in ESEARCH and SEARCH responses; None if there was none.

    An ESEARCH without ALL has found nothing.  A number that is no uid is left out.
    """
    found: list[tuple[int, int]] = []
    answered = False
    for raw in raws:
        answered = True
        if raw[2:9].upper() == b"ESEARCH":
            m = _ALL.search(raw)
            try:
                found += Ranges.parse(m[1]).pairs if m else ()
            except BadRanges:
                return None
        else:
            uids: array[int] = array("I")
            end = raw.find(b"(")  # (MODSEQ n) may follow
            for m in _WORD.finditer(raw, 8, len(raw) if end < 0 else end):
                if 0 < (uid := int(m[1])) <= MAX_UID:
                    uids.append(uid)
            found += Ranges.of(uids).pairs
    return Ranges(found) if answered else None
