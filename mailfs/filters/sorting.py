"""The mailbox that a message goes to, by its sender or text; filter in filter(1)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mailfs.errors import UsageError
from mailfs.msg import header
from mailfs.send import regexp

MAX_TEXT = 1 << 20  # octets of a message that are searched
_DIRECTED = re.compile(r"[/\x00-\x1f]|^\.+")


@dataclass(frozen=True, slots=True)
class SortRule:
    r"""An expression, and the mailbox it chooses, in which ``\1`` is its group 1."""

    expression: str
    mailbox: str


def rules(words: Sequence[str]) -> list[SortRule]:
    """Pair the words of a command line.  Raises UsageError."""
    if len(words) % 2:
        raise UsageError(f"{words[-1]}: a pattern without its mailbox")
    return [SortRule(*pair) for pair in zip(words[::2], words[1::2], strict=True)]


def searched(text: bytes, sender: str, *, head: bool, body: bool) -> list[str]:
    """List the texts that rules are tried on: sender, header lines, body lines."""
    found = [sender]
    part = header.scan(text[:MAX_TEXT])
    if head:
        found += _lines(text[part.start : part.end])
    if body:
        found += _lines(text[part.end : MAX_TEXT])
    return found


def _lines(octets: bytes) -> list[str]:
    return octets.decode("utf-8", "replace").split("\n")


def choose(rows: Sequence[SortRule], texts: Sequence[str], default: str) -> str:
    """Choose the mailbox of the first rule that is found in a text.

    Raises regexp.BadPattern.
    """
    for row in rows:
        expression = regexp.compile(row.expression)
        for text in texts:
            found = expression.search(text)
            if found is not None:
                return _filled(row.mailbox, [found[0], *found.groups("")])
    return default


def _filled(name: str, groups: Sequence[str]) -> str:
    r"""Put groups in the place of ``\0`` to ``\9``; & is the whole."""
    # A group is a stranger's words: they lead to no other directory.
    groups = [_DIRECTED.sub("_", group) for group in groups]
    out, at = "", 0
    while at < len(name):
        c = name[at]
        following = name[at + 1 : at + 2]
        if c == "\\" and following.isdecimal():
            number = int(following)
            out += groups[number] if number < len(groups) else ""
            at += 2
        elif c == "&":
            out += groups[0]
            at += 1
        else:
            out += c
            at += 1
    return out
