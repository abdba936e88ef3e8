"""Values in responses: NIL, strings, atoms, lists; RFC 9051 section 9.

A response is kept as the octets that came, literals in their places, and only what is
wanted is taken apart.  No byte-at-a-time work: one expression finds a whole token.
"""

import re
from collections.abc import Iterator
from typing import Union

from mailfs.errors import MailfsError

MAX_DEPTH = 100  # lists within lists; deeper is an attack, not a message
MAX_LITERAL_DIGITS = 18  # of a literal's size; more is no number of octets

Value = Union[None, bytes, "list[Value]"]  # None is NIL; an atom is its own octets

_TOKEN = re.compile(
    rb'"((?:[^"\\]|\\.)*)"'  # 1 quoted
    rb"|~?\{([0-9]{1,18})\+?\}\r?\n"  # 2 literal: its size
    rb"|([()])"  # 3
    rb'|([^\s()"{}][^\s()"]*)',  # 4 atom; servers put about anything into keywords
    re.DOTALL,
)
_PLAIN = re.compile(rb"[^\"(){]+")
_SPACE = re.compile(rb"[ \t\r\n]*")
_ATTRIBUTE = re.compile(
    rb"[ \t]*([A-Za-z][A-Za-z0-9.\-]*(?:\[[^\]\r\n]*\])?(?:<[0-9]{1,18}>)?)[ \t]+"
)


class Malformed(MailfsError):
    """Octets that follow no grammar."""


def values(raw: bytes, start: int = 0, end: int | None = None) -> "list[Value]":
    """Return the values between two offsets, up to what closes more than was opened.

    Raises Malformed for a list without end, a literal beyond the end, or octets that
    begin no value.
    """
    top: list[Value] = []
    stack: list[list[Value]] = []
    here = top
    stop = len(raw) if end is None else end
    at = start
    match = _TOKEN.match
    while True:
        at = _blank(raw, at)
        if at >= stop:
            break
        m = match(raw, at, stop)
        if m is None:
            raise Malformed(f"malformed value: {raw[at : at + 20]!r}")
        at = m.end()
        kind = m.lastindex
        if kind == 4:
            here.append(None if m[4] in _NIL else m[4])
        elif kind == 1:
            here.append(_unquoted(m[1]))
        elif kind == 2:
            size = int(m[2])
            if at + size > stop:
                raise Malformed("literal cut short")
            here.append(raw[at : at + size])
            at += size
        elif m[3] == b"(":
            if len(stack) == MAX_DEPTH:
                raise Malformed("lists too deep")
            stack.append(here)
            here = []
            stack[-1].append(here)
        elif stack:
            here = stack.pop()
        else:
            break
    if stack:
        raise Malformed("list without end")
    return top


_NIL = frozenset({b"NIL", b"nil", b"Nil"})


def _blank(raw: bytes, at: int) -> int:
    m = _SPACE.match(raw, at)
    return m.end() if m else at


def _unquoted(text: bytes) -> bytes:
    if b"\\" not in text:
        return text
    # Servers whose levels are parted by \ forget to escape it.
    return re.sub(rb'\\(["\\])', rb"\1", text)


def skip(raw: bytes, start: int) -> int:
    """Return the offset after the one value at start.  Raises Malformed."""
    depth = 0
    at = start
    while True:
        if depth:
            m = _PLAIN.match(raw, at)  # what no bracket or quote can hide in
            at = m.end() if m else at
        else:
            at = _blank(raw, at)
        m = _TOKEN.match(raw, at)
        if m is None:
            raise Malformed(f"malformed value: {raw[at : at + 20]!r}")
        at = m.end()
        if m.lastindex == 2:
            at += int(m[2])
            if at > len(raw):
                raise Malformed("literal cut short")
        elif m[3] == b"(":
            depth += 1
        elif m[3] == b")":
            depth -= 1
            if depth < 0:
                raise Malformed("value expected")
        if not depth:
            return at


def attributes(raw: bytes, start: int) -> Iterator[tuple[bytes, int, int]]:
    """Walk the list that begins at start: names in upper case, where their values lie.

    For FETCH and STATUS.  Raises Malformed where it makes no sense; what was given
    before that stands.
    """
    at = _blank(raw, start)
    if raw[at : at + 1] != b"(":
        raise Malformed("list expected")
    at += 1
    while True:
        at = _blank(raw, at)
        if raw[at : at + 1] == b")":
            return
        m = _ATTRIBUTE.match(raw, at)
        if m is None:
            raise Malformed(f"malformed attribute: {raw[at : at + 20]!r}")
        end = skip(raw, m.end())
        yield m[1].upper(), m.end(), end
        at = end


def string(raw: bytes, start: int, end: int) -> bytes | None:
    """Return the one string between two offsets; None for NIL.  Raises Malformed."""
    found = values(raw, start, end)
    if len(found) != 1 or isinstance(found[0], list):
        raise Malformed("string expected")
    return found[0]


def number(raw: bytes | None, most: int = (1 << 64) - 1) -> int:
    """Return a number, at most most.  Raises Malformed."""
    if raw is None or not raw.isdigit() or len(raw) > 20 or int(raw) > most:
        raise Malformed(f"number expected: {raw[:20] if raw else raw!r}")
    return int(raw)
