"""Parse the text of a database; ndb(6).

An entry begins on a line that starts with no blank and goes on over the lines that do.
``attr=value`` pairs are separated by blanks; a value with blanks stands in double
quotes; ``#`` at the start of a word comments the rest of the line out.
"""

import re

Entry = list[tuple[str, str]]

_PAIR = re.compile(r'([^\s=#][^\s=]*)(?:=("[^"\n]*"?|[^\s"]*))?|(#.*)')


def entries(text: str) -> list[Entry]:
    """Return the entries in order, each a list of (attribute, value) in order.

    An attribute without ``=`` has an empty value.  Nothing is refused: what is no pair
    is passed over, as in ndbparse of ndb(2).
    """
    found: list[Entry] = []
    for line in text.splitlines():
        pairs = [(m[1], (m[2] or "").strip('"')) for m in _PAIR.finditer(line) if m[1]]
        if not pairs:
            continue
        if line[:1].isspace() and found:
            found[-1].extend(pairs)
        else:
            found.append(pairs)
    return found
