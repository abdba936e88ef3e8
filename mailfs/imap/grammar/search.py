"""What SEARCH finds: uids, as ranges or one by one; RFC 9051 section 7.3.4."""

import re
from collections.abc import Iterable

from mailfs.imap.grammar.ranges import MAX_UID, BadRanges, Ranges

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
            for word in raw[8:].split(b"(")[0].split():  # (MODSEQ n) may follow
                if word.isdigit() and 0 < (uid := int(word[:11])) <= MAX_UID:
                    found.append((uid, uid))
    return Ranges(found) if answered else None
