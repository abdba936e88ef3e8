"""The words of a query, with where they stand."""

import re
from dataclasses import dataclass
from enum import Enum, auto

from mailfs.errors import Refused

MAX_QUERY = 1000  # characters; nobody types more
_SHOWN = 40  # characters of a word that an error shows

_BLANK = re.compile(r"\s*+")
_FIELD = re.compile(r"([A-Za-z][A-Za-z-]{0,20}):(?!//)")
_WORD = re.compile(r'[^\s()"]++')


class BadQuery(Refused):
    """A query that cannot be meant; the text names the word and where it stands."""


class Kind(Enum):
    """What a token is."""

    OPEN = auto()
    CLOSE = auto()
    MINUS = auto()
    FIELD = auto()  # its text is the name, in lower case
    QUOTED = auto()
    WORD = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token; at is the character that it begins at, from 0."""

    kind: Kind
    text: str
    at: int

    def refuse(self, why: str) -> BadQuery:
        """Make the error that says what is wrong with it."""
        word = self.text[:_SHOWN] or "the end"
        colon = ":" * (self.kind is Kind.FIELD)
        return BadQuery(f"query: {word}{colon} (character {self.at + 1}): {why}")


def scan(text: str) -> list[Token]:
    """Cut a query into tokens, END the last.  Raises BadQuery."""
    if len(text) > MAX_QUERY:
        raise BadQuery(f"query: over {MAX_QUERY} characters")
    tokens: list[Token] = []
    at = 0
    while True:
        blank = _BLANK.match(text, at)
        at = at if blank is None else blank.end()
        if at >= len(text):
            tokens.append(Token(Kind.END, "", at))
            return tokens
        at = _next(text, at, tokens)


def _next(text: str, at: int, tokens: list[Token]) -> int:
    """Append the token that begins at at; return where it ends."""
    char = text[at]
    of_field = tokens[-1:] and tokens[-1].kind is Kind.FIELD
    if char in "()":
        tokens.append(Token(Kind.OPEN if char == "(" else Kind.CLOSE, char, at))
        return at + 1
    # acme Mail's way of quoting a value; elsewhere it is an apostrophe
    if char == '"' or (char == "'" and of_field and "'" in text[at + 1 :]):
        end = text.find(char, at + 1)
        if end < 0:
            raise Token(Kind.QUOTED, text[at:], at).refuse("quote without its end")
        star = text[end + 1 : end + 2] == "*"
        tokens.append(Token(Kind.QUOTED, text[at + 1 : end] + "*" * star, at))
        return end + 1 + star
    if char == "-" and not of_field and text[at + 1 : at + 2].strip():
        tokens.append(Token(Kind.MINUS, char, at))
        return at + 1
    field = None if of_field else _FIELD.match(text, at)
    if field is not None:
        tokens.append(Token(Kind.FIELD, field[1].lower(), at))
        return field.end()
    word = _WORD.match(text, at)
    assert word is not None  # no blank, parenthesis or quote
    tokens.append(Token(Kind.WORD, word[0], at))
    return word.end()
