"""Texts of a query as SQLite FTS5 is asked for them, of a table without places.

``detail=column`` keeps in which columns a word is, not where: a phrase is asked for
as all of its words, and names candidates only.
"""

from mailfs.query.tree import ANYWHERE, Text

COLUMNS = {
    "subject": "subject",
    "from": "sender",
    "to": "rcpt",
    "cc": "cc",
    "bcc": "bcc",
    "file": "file",
    "body": "body",
}


def match(query: Text) -> str:
    """Return the expression to match; it finds too much unless exact(query)."""
    terms = [f'"{word}"' for word in query.words]
    if query.prefix:
        terms[-1] += "*"
    asked = " AND ".join(dict.fromkeys(terms))
    if query.field == ANYWHERE:
        return asked
    return f"{COLUMNS[query.field]} : ({asked})"


def exact(query: Text) -> bool:
    """Whether match finds no more than the query means."""
    return len(query.words) == 1
