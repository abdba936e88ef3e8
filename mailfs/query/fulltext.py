"""Texts of a query as SQLite FTS5 is asked for them, of a table without places.

The table has one column, ``detail=none``: it keeps which messages a word is in, in
half the space that columns of its own for each field would take.  So a word of
another field than the body begins with that field's mark, which no word of a text
can.  A phrase is asked for as all of its words, and names candidates only.
"""

from collections.abc import Iterable, Mapping

from mailfs.query.tree import ANYWHERE, Text

# By field; signs that are neither letters nor digits, and that FTS5's tokenizer
# "ascii" takes for parts of words as it does all beyond ASCII.
MARKS = {
    "body": "",
    "subject": "¡",
    "from": "¢",
    "to": "£",
    "cc": "¤",
    "bcc": "¥",
    "file": "§",
}


def marked(fields: Mapping[str, Iterable[str]]) -> str:
    """Return the words of each field, each once, as the table takes them."""
    words: dict[str, None] = {}
    for field, found in fields.items():
        mark = MARKS[field]
        words.update(dict.fromkeys(mark + word for word in found))
    return " ".join(words)


def match(query: Text) -> str:
    """Return the expression to match; it finds too much unless exact(query)."""
    marks = MARKS.values() if query.field == ANYWHERE else (MARKS[query.field],)
    last = len(query.words) - 1
    terms: dict[str, None] = {}
    for at, word in enumerate(query.words):
        star = "*" if query.prefix and at == last else ""
        each = [f'"{mark}{word}"{star}' for mark in marks]
        terms[each[0] if len(each) == 1 else f"({' OR '.join(each)})"] = None
    return " AND ".join(terms)


def exact(query: Text) -> bool:
    """Whether match finds no more than the query means."""
    return len(query.words) == 1
