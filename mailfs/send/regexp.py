r"""Plan 9's regular expressions as Python's; regexp(6).

Literals, ``.``, ``[set]``, ``[^set]``, ``^``, ``$``, ``( )``, ``* + ?``, ``|`` and
``\c`` to quote.  There are no counts, classes or references: ``{``, and a letter
after a backslash, stand for themselves.  A negated set never takes a newline.
"""

import re

from mailfs.errors import MailfsError

MAX_PATTERN = 4096  # characters
_REPEATS = "*+?"
_GROUPS = 9  # numbered ones; \1 to \9


class BadPattern(MailfsError):
    """A pattern that cannot be meant."""


def compile(pattern: str) -> re.Pattern[str]:
    """Return the expression, to be matched whole and in any case.

    Raises BadPattern with the reason.
    """
    if len(pattern) > MAX_PATTERN:
        raise BadPattern("pattern too long")
    parsed = _Parser(pattern).parse()
    try:
        return re.compile(parsed, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as e:
        raise BadPattern(str(e)) from e


class _Parser:
    """Translates one pattern, left to right."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._groups = 0

    def parse(self) -> str:
        found = self._alternatives()
        if self._at < len(self._text):
            raise BadPattern("unmatched right paren")
        return found

    def _next(self) -> str:
        c = self._text[self._at : self._at + 1]
        self._at += 1
        return c

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _alternatives(self) -> str:
        found = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            found.append(self._sequence())
        return "|".join(found)

    def _sequence(self) -> str:
        found = []
        while self._peek() not in ("", "|", ")"):
            atom = self._atom()
            while (repeat := self._peek()) and repeat in _REPEATS:
                self._at += 1
                # A second operator repeats the repetition: it is not Python's lazy or
                # possessive one.
                atom = f"(?:{atom}){repeat}"
            found.append(atom)
        if not found:
            raise BadPattern("missing operand")
        return "".join(found)

    def _atom(self) -> str:
        c = self._next()
        match c:
            case "(":
                self._groups += 1
                mark = "(" if self._groups <= _GROUPS else "(?:"
                inside = self._alternatives()
                if self._next() != ")":
                    raise BadPattern("unmatched left paren")
                return f"{mark}{inside})"
            case "*" | "+" | "?":
                raise BadPattern(f"missing operand for {c}")
            case "[":
                return self._set()
            case ".":
                return r"[^\n]"
            case "^":
                return r"\A"
            case "$":
                return r"\Z"
            case "\\":
                c = self._next() or "\\"
        return re.escape(c)

    def _set(self) -> str:
        negated = self._peek() == "^"
        if negated:
            self._at += 1
        found = []
        while (c := self._next()) != "]":
            low = self._member(c)
            if self._peek() != "-":
                found.append(re.escape(low))
                continue
            self._at += 1
            high = self._member(self._next())
            if high < low:
                raise BadPattern("malformed []: range out of order")
            found.append(f"{re.escape(low)}-{re.escape(high)}")
        if not found:
            raise BadPattern("malformed []: empty")
        return f"[^{''.join(found)}\\n]" if negated else f"[{''.join(found)}]"

    def _member(self, c: str) -> str:
        if c == "\\":
            c = self._next()
        elif c in ("]", "-"):
            raise BadPattern("malformed []")
        if not c:
            raise BadPattern("malformed []: no end")
        return c
