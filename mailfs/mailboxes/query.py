"""What ``search`` is asked for: a grammar, and how a text is matched.

A query is a text to be found anywhere in a message, in any case, its blanks matching
any white space; so plan9port's acme Mail asks.  Words ``FIELD:VALUE`` before it each
narrow the search to what that field says: ``from:glenda subject:'on call' budget``.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from mailfs.attr import tokenize
from mailfs.errors import EARGS, Refused

MAX_QUERY = 1000  # characters; nobody types more
FIELDS = ("from", "to", "cc", "bcc", "sender", "subject", "header", "body")
ANYWHERE = ""

_FIELD = re.compile(rf"\s*({'|'.join(FIELDS)}):((?:'[^']*'|[^\s'])+)", re.IGNORECASE)
# What makes a text a query: fields that are not ours, signs and operators.
_QUERY = re.compile(
    r"""(?:\A|(?<=[\s(]))(?:(?:is|has|tag|id|thread|list|in|date|after|before|size|file)
    :\S|AND\b|OR\b|NOT\b|-\w|"|\()|(?<=[^\s*])\*(?=[\s)]|\Z)
    |(?:from|to|cc|bcc|subject|body):["(]""",
    re.VERBOSE,
)
Find = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Term:
    """A text, words with one blank between them, to be found in a field."""

    field: str
    text: str

    def finder(self) -> Find:
        """Return a function that tells whether the text is in a piece of another.

        It takes time linear in the piece, and holds the interpreter for a short
        while only if the piece is short.
        """
        sought = self.text.casefold()
        longest = max(sought.split(" "), key=len)

        def find(text: str) -> bool:
            text = text.casefold()
            return longest in text and (
                longest == sought or sought in " ".join(text.split())
            )

        return find


def is_query(text: str) -> bool:
    """Whether a text is a query of query.grammar rather than words to be found."""
    return _QUERY.search(text) is not None


def parse(text: str) -> tuple[Term, ...]:
    """Take a query apart.  Raises Refused if it is empty or too long."""
    if len(text) > MAX_QUERY:
        raise Refused(EARGS)
    terms = []
    at = 0
    while (m := _FIELD.match(text, at)) is not None:
        value = " ".join("".join(tokenize(m[2])).split())
        if value:
            terms.append(Term(m[1].lower(), value))
        at = m.end()
    rest = " ".join(text[at:].split())
    if rest.startswith("'") and rest.endswith("'") and len(rest) > 1:
        rest = " ".join(" ".join(tokenize(rest)).split())
    if rest:
        terms.append(Term(ANYWHERE, rest))
    if not terms:
        raise Refused(EARGS)
    return tuple(terms)
