"""Address lists as ENVELOPE has them: names as sent, groups and routes kept.

RFC 5322 section 3.4 with its obsolete forms; RFC 9051 section 7.5.2.  Any octets give
some list; encoded words are left to the client.
"""

import re
from typing import NamedTuple

from mailfs.msg.word import unfold

MAX_ADDRESSES = 10_000  # of one field
MAX_FIELD = 1 << 20  # octets of one field that are looked at

_TOKEN = re.compile(
    rb'(?P<blank>[\x00-\x20]++)|(?P<quoted>"(?:[^"\\]++|\\.)*+"?)'
    rb"|(?P<literal>\[[^\[\]\\]*+\])"
    rb"|(?P<special>[(),:;<>@])|(?P<atom>[^\x00-\x20\"(),:;<>@]++)",
    re.DOTALL,
)
_COMMENT = re.compile(rb"[^()\\]++|\\.?|[()]", re.DOTALL)
_PAIR = re.compile(rb"\\(.)", re.DOTALL)


class Address(NamedTuple):
    """One address; None where there is nothing.

    A group begins with a mailbox without host and ends with neither.
    """

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    host: bytes | None


_END = Address(None, None, None, None)


def addresses(value: bytes) -> list[Address]:
    """Return the addresses of a field's body."""
    return _List().parse(unfold(value[:MAX_FIELD]))


class _List:
    """What has been read of a list."""

    def __init__(self) -> None:
        self._out: list[Address] = []
        self._group = False
        self._clear()

    def _clear(self) -> None:
        self._words: list[bytes] = []  # since the last separator, blanks between
        self._blank = False
        self._name: bytes | None = None
        self._comment: bytes | None = None
        self._inside = False
        self._route: bytes | None = None
        self._local: bytes | None = None  # what stood before @

    def parse(self, value: bytes) -> list[Address]:
        """Read all of it."""
        at = 0
        while at < len(value) and len(self._out) < MAX_ADDRESSES:
            m = _TOKEN.match(value, at)
            if m is None:
                at += 1
                continue
            at = m.end()
            match m.lastgroup:
                case "blank":
                    self._blank = True
                case "special" if m[0] == b"(":
                    at = self._parenthesis(value, at)
                case "special":
                    self._special(m[0])
                case _:
                    self._word(m[0])
        self._flush()
        if self._group:
            self._out.append(_END)
        return self._out

    def _parenthesis(self, value: bytes, at: int) -> int:
        depth, start = 1, at
        for m in _COMMENT.finditer(value, at):
            depth += {b"(": 1, b")": -1}.get(m[0], 0)
            if not depth:
                self._comment = _PAIR.sub(rb"\1", value[start : m.start()])
                return m.end()
        return len(value)

    def _word(self, word: bytes) -> None:
        if self._words and self._blank and self._apart(word):
            self._words.append(b" ")
        self._words.append(word)
        self._blank = False

    def _apart(self, word: bytes) -> bool:
        """Whether a blank before a word means anything."""
        return not (self._words[-1].endswith(b".") or word.startswith(b"."))

    def _special(self, char: bytes) -> None:
        match char:
            case b"<":
                self._name = _plain(self._words)
                self._words = []
                self._inside, self._local = True, None
            case b">":
                self._address()
                self._inside = False
            case b"@" if self._inside and not self._words and self._local is None:
                self._words.append(b"@")
            case b"@":
                if self._words[:1] == [b"@"]:
                    self._words.append(b"@")
                elif self._local is None:
                    self._local = _joined(self._words)
                    self._words = []
            case b"," if self._inside and self._words[:1] == [b"@"]:
                self._words.append(b",")
            case b":" if self._inside:
                self._route = _joined(self._words)
                self._words = []
            case b":" if not self._group:
                self._out.append(Address(None, None, _plain(self._words) or b"", None))
                self._group = True
                self._clear()
            case b";" | b",":
                self._flush()
                if char == b";" and self._group:
                    self._out.append(_END)
                    self._group = False
        self._blank = False

    def _address(self) -> None:
        """Add what stands in angle brackets."""
        if not self._inside:
            return
        rest = _joined(self._words)
        local, host = (rest, b"") if self._local is None else (self._local, rest)
        self._out.append(Address(self._name, self._route, _unquoted(local), host))
        self._clear()

    def _flush(self) -> None:
        """End an element."""
        if self._inside:
            self._address()
        elif self._local is not None:
            name = self._comment
            host = _joined(self._words)
            self._out.append(Address(name, None, _unquoted(self._local), host))
        elif self._words:
            self._out.append(Address(self._comment, None, _plain(self._words), b""))
        self._clear()


def _plain(words: list[bytes]) -> bytes | None:
    """Return a phrase with quotes undone; None for an empty one."""
    return b"".join(map(_unquoted, words)) or None


def _unquoted(word: bytes) -> bytes:
    if word[:1] != b'"':
        return word
    return _PAIR.sub(rb"\1", word[1:].removesuffix(b'"'))


def _joined(words: list[bytes]) -> bytes:
    return b"".join(word for word in words if word != b" ")
