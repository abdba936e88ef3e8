"""The grammar of a network database: text to entries; ndb(6).

An entry begins on a line that starts with no blank and goes on over the lines that do;
an empty line ends it.  ``attr=value`` pairs are separated by blanks; a value with
blanks stands in double quotes; ``#`` at the start of a word comments the rest of the
line out.  Pairs of one line belong together more closely than those of an entry.
"""

import re

Pair = tuple[str, str]
Entry = list[Pair]
Lines = list[Entry]  # of one entry, each with at least one pair

BLANKS = " \t\r"  # between words; other white space is part of one
_PAIR = re.compile(
    r'([^ \t\r=#][^ \t\r=]*)(?:=(?:"([^"]*)"?|(?!#)([^ \t\r]+))?)?|#.*', re.DOTALL
)


def records(text: str) -> list[Lines]:
    """Return the entries in order, line by line.

    An attribute without ``=`` has an empty value, and so has one whose value starts
    with ``#``.  Nothing is refused: what is no pair is passed over, as in ndbparse of
    ndb(2).
    """
    found: list[Lines] = []
    inside = False  # whether a line with a blank in front goes on with an entry
    for line in text.split("\n"):
        pairs = [(m[1], m[2] or m[3] or "") for m in _PAIR.finditer(line) if m[1]]
        if pairs:
            if line[0] in BLANKS and inside:
                found[-1].append(pairs)
            else:
                found.append([pairs])
            inside = True
        elif line in ("", "\r"):
            inside = False
    return found


def entries(text: str) -> list[Entry]:
    """Return the entries in order, each a list of (attribute, value) in order."""
    return [[pair for line in lines for pair in line] for lines in records(text)]


def show(pairs: Entry) -> str:
    """Return pairs as a line that records reads back, if no value has a quote."""
    return " ".join(f"{a}={_quoted(v)}" if v else f"{a}=" for a, v in pairs)


def _quoted(value: str) -> str:
    return f'"{value}"' if value[0] == "#" or re.search(f"[{BLANKS}]", value) else value
