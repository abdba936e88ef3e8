"""A text to a query: notmuch's and Gmail's words where they agree.

    budget "on call" skb_linear*      words, a phrase, the beginning of a word
    from:glenda to: cc: bcc: subject: body: file:
    id:MESSAGE-ID list:golang thread:MESSAGE-ID tag:NAME in:MAILBOX
    is:unread is:flagged is:answered is:draft has:attachment
    date:2026-01..2026-03 date:7d size:>1M
    a b, a and b, a or b, not a, -a, (a or b) c, from:(glenda or bunny)

and binds tighter than or.  Operators are operators in any case; quotes make words of
them.  A word of several (``skb_linearize``, an address) is looked for as a phrase.
"""

import math
import time
from collections.abc import Callable
from functools import partial

from mailfs.query import tokens, values
from mailfs.query.lexer import BadQuery, Kind, Token, scan
from mailfs.query.tree import (
    ANYWHERE,
    FIELDS,
    FLAGS,
    And,
    Arrived,
    Attached,
    Flagged,
    Identifier,
    Inside,
    MailingList,
    Not,
    Or,
    Query,
    Tagged,
    Text,
    Thread,
)

MAX_DEPTH = 40  # parentheses within one another

Make = Callable[[str, float], Query | None]
"""Read the value of a field, at a moment in seconds since the epoch; None if it is
none."""


def parse(text: str, now: float | None = None) -> Query:
    """Read a query.  Raises BadQuery.

    now is what spans of time count back from, in seconds since the epoch.
    """
    parser = _Parser(scan(text), time.time() if now is None else now)
    return parser.whole()


class _Parser:
    """Recursive descent over tokens; each is looked at once."""

    def __init__(self, tokens: list[Token], now: float) -> None:
        self._tokens = tokens
        self._at = 0
        self._now = now

    def whole(self) -> Query:
        if len(self._tokens) == 1:
            raise BadQuery("query: nothing to look for")
        found = self._either(ANYWHERE, 0)
        rest = self._peek
        if rest.kind is not Kind.END:
            raise rest.refuse("parenthesis that nothing opens")
        return found

    @property
    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += token.kind is not Kind.END
        return token

    def _operator(self, name: str) -> bool:
        """Take an operator if it comes next."""
        token = self._peek
        if token.kind is not Kind.WORD or token.text.lower() != name:
            return False
        self._at += 1
        return True

    def _either(self, field: str, depth: int) -> Query:
        found = [self._all(field, depth)]
        while self._operator("or"):
            found.append(self._all(field, depth))
        return found[0] if len(found) == 1 else Or(tuple(found))

    def _all(self, field: str, depth: int) -> Query:
        found = [self._one(field, depth)]
        while True:
            token = self._peek
            if token.kind in (Kind.END, Kind.CLOSE):
                break
            if token.kind is Kind.WORD and token.text.lower() == "or":
                break
            self._operator("and")
            found.append(self._one(field, depth))
        return found[0] if len(found) == 1 else And(tuple(found))

    def _one(self, field: str, depth: int) -> Query:
        negated = False
        while self._peek.kind is Kind.MINUS or self._is_not():
            self._at += 1
            negated = not negated
        found = self._primary(field, depth)
        return Not(found) if negated else found

    def _is_not(self) -> bool:
        return self._peek.kind is Kind.WORD and self._peek.text.lower() == "not"

    def _primary(self, field: str, depth: int) -> Query:
        token = self._take()
        match token.kind:
            case Kind.OPEN:
                return self._group(token, field, depth)
            case Kind.FIELD:
                return self._field(token, depth)
            case Kind.QUOTED:
                return _text(token, field)
            case Kind.WORD if token.text.lower() not in ("and", "or"):
                return _text(token, field)
            case Kind.CLOSE:
                raise token.refuse("nothing before it")
        raise token.refuse("a word is wanted here")

    def _group(self, token: Token, field: str, depth: int) -> Query:
        if depth >= MAX_DEPTH:
            raise token.refuse(f"over {MAX_DEPTH} parentheses within one another")
        found = self._either(field, depth + 1)
        if self._peek.kind is not Kind.CLOSE:
            raise token.refuse("parenthesis that nothing closes")
        self._at += 1
        return found

    def _field(self, token: Token, depth: int) -> Query:
        name = token.text
        if name not in FIELDS and name not in _MAKERS:
            raise token.refuse("no such field; quote it to look for the text")
        value = self._take()
        apart = value.at > token.at + len(name) + 1
        if apart or value.kind in (Kind.CLOSE, Kind.END, Kind.MINUS):
            raise token.refuse("a value is wanted right behind it")
        if value.kind is Kind.OPEN:
            if name not in FIELDS:
                raise value.refuse(f"{name}: takes one value")
            return self._group(value, name, depth)
        if name in FIELDS:
            return _text(value, name)
        make, wanted = _MAKERS[name]
        found = make(value.text, self._now)
        if found is None:
            raise value.refuse(f"no {name}; {wanted}")
        return found


def _text(token: Token, field: str) -> Query:
    """Make the search for a word, phrase or beginning."""
    prefix = token.text.endswith("*")
    words = tokens.sought(token.text)
    if not words:
        raise token.refuse("no letter and no digit in it")
    said = token.text.removesuffix("*")
    return Text(field, words, prefix or tokens.partial(words[-1]), said)


def _flag(value: str, now: float) -> Query | None:
    found = FLAGS.get(value.lower())
    return None if found is None else Flagged(*found)


def _tag(value: str, now: float) -> Query | None:
    if value.lower() == "attachment":
        return Attached()
    return _flag(value, now) or (Tagged(value) if value else None)


def _attached(value: str, now: float) -> Query | None:
    return Attached() if value.lower() in ("attachment", "attachments") else None


def _identifier(value: str, now: float) -> Query | None:
    value = value.strip("<> ")
    return Identifier(value) if value else None


def _thread(value: str, now: float) -> Query | None:
    value = value.strip("<> ")
    return Thread(value) if value else None


def _list(value: str, now: float) -> Query | None:
    value = tokens.fold(value).strip("<> ")
    return MailingList(value) if value else None


def _inside(value: str, now: float) -> Query | None:
    return Inside(value) if value else None


def _since(text: str, now: float, *, after: bool) -> Query | None:
    """Read Gmail's after:DATE or before:DATE."""
    if ".." in text:
        return None
    found = values.dates(text, now)
    if found is None:
        return None
    ends = (found.since, math.inf) if after else (-math.inf, found.since)
    return Arrived(*ends)


_DATES = "2026-01-31, 2026-01..2026-03, 7d, 2w, today"
_MAKERS: dict[str, tuple[Make, str]] = {
    "is": (_flag, "one of " + ", ".join(FLAGS)),
    "has": (_attached, "attachment is known"),
    "tag": (_tag, "a name"),
    "id": (_identifier, "a Message-ID"),
    "thread": (_thread, "a Message-ID"),
    "list": (_list, "a mailing list"),
    "in": (_inside, "a mailbox"),
    "date": (lambda text, now: values.dates(text, now), f"as in {_DATES}"),
    "after": (partial(_since, after=True), f"as in {_DATES}"),
    "before": (partial(_since, after=False), f"as in {_DATES}"),
    "size": (lambda text, now: values.sizes(text), "as in >1M, <10k, 1M..5M"),
}
