"""Who gets a message: from the command line, from the header, through aliases."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mailfs.errors import MailfsError
from mailfs.msg import address
from mailfs.msg.address import Address
from mailfs.msg.field import DESTINATIONS

MAX_EXPANSIONS = 32  # of an alias in an alias; marshal(1)
MAX_RECIPIENTS = 10_000  # of one message

RESENT = tuple(f"resent-{name}" for name in DESTINATIONS)
BLIND = ("bcc", "resent-bcc")

_BAD = re.compile(r"[\x00-\x20\x7f,<>()]|\A\Z|\A@\Z")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')

Expand = Callable[[str], list[str]]
"""Expand a personal alias; nothing if the word is none."""


@dataclass(frozen=True, slots=True)
class Lists:
    """The addresses of To, Cc and Bcc, aliases expanded."""

    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()

    def bare(self) -> tuple[str, ...]:
        """Return each recipient once, in order."""
        every = [box.addr for box in (*self.to, *self.cc, *self.bcc)]
        return tuple(dict.fromkeys(every))


def parse(words: Iterable[str], expand: Expand) -> tuple[Address, ...]:
    """Return the addresses in arguments, such as ``fred`` or ``Fred B <fred@x>``."""
    boxes = address.addresses(word.encode("utf-8", "replace") for word in words)
    return expanded(boxes, expand)


def expanded(boxes: Iterable[Address], expand: Expand) -> tuple[Address, ...]:
    """Return addresses with aliases expanded, each once.

    A name stays with the address that an alias stands for, if it is one.  Raises
    MailfsError for what is no address.
    """
    out: dict[str, Address] = {}
    for box in boxes:
        words = _expansion(box.addr, expand)
        if words is None:
            found = [box]
        else:
            found = address.addresses(word.encode() for word in words)
            if len(found) == 1 and not found[0].name:
                found = [Address(box.name, found[0].addr, box.comment)]
        for one in found:
            out.setdefault(check(one.addr), one)
        if len(out) > MAX_RECIPIENTS:
            raise MailfsError(f"more than {MAX_RECIPIENTS} recipients")
    return tuple(out.values())


def _expansion(word: str, expand: Expand) -> list[str] | None:
    """Expand a word to its end; None if it is no alias.

    A word that stands for itself, or comes round to itself, is kept.
    """
    first = expand(word)
    if not first:
        return None
    out: list[str] = []
    todo: list[tuple[str, tuple[str, ...]]] = [
        (one, (word,)) for one in reversed(first)
    ]
    while todo:
        one, above = todo.pop()
        more = [] if one in above else expand(one)
        if not more:
            out.append(one)
            continue
        if len(above) >= MAX_EXPANSIONS:
            raise MailfsError(f"alias {word}: more than {MAX_EXPANSIONS} deep")
        todo += [(each, (*above, one)) for each in reversed(more)]
        if len(todo) + len(out) > MAX_RECIPIENTS:
            raise MailfsError(f"alias {word}: more than {MAX_RECIPIENTS} recipients")
    return out


def check(addr: str) -> str:
    """Return an address that may stand in an envelope.  Raises MailfsError if not."""
    if _BAD.search(_QUOTED.sub("q", addr)) or "\n" in addr or "\r" in addr:
        raise MailfsError(f"rfc822 syntax error in address {addr!r}")
    return addr
