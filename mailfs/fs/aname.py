"""Attach names: which tree, and how much of it.

    upas[/all][/modes][/box=NAME ...][/ro][/noctl][/newest=N][/since=DATE][/before=DATE]

The first element chooses the dialect, upas or mailfs; none at all chooses nothing.
modes is for clients that check permissions themselves, as Linux's does.
DATE is ``YYYY-MM-DD``, ``YYYY-MM-DDTHH:MM:SS``, both in UTC, or seconds since the
epoch.  box= may be repeated; a slash in NAME is written ``%2F``.  Whatever is not
understood is refused: it may have been meant to restrict.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import unquote

from mailfs.errors import Refused
from mailfs.mailboxes.scope import EVERYTHING, Scope

UPAS, KEYED = "upas", "mailfs"
DIALECTS = (UPAS, KEYED)
MAX_DIGITS = 12  # of a number; more than seconds or messages take


@dataclass(frozen=True, slots=True)
class Aname:
    """An attach name, read.  dialect is empty where the name does not choose one."""

    dialect: str = ""
    everything: bool = False  # list names that upas/fs does not have
    scope: Scope = EVERYTHING
    modes: bool = False  # a directory from which one may remove can be written


def parse(text: str) -> Aname:
    """Read an attach name.  Raises Refused with its first part that makes no sense."""
    if not text:
        return Aname()
    dialect, *elements = text.split("/")
    if dialect not in DIALECTS:
        raise _unknown(text)
    everything, scope = False, Scope()
    for element in elements:
        if element == "all":
            everything = True
            continue
        name, equals, value = element.partition("=")
        row = _ELEMENTS.get(name)
        if row is None or bool(equals) != row.valued or (equals and not value):
            raise _unknown(element)
        scope = row.narrow(scope, value)
    # Who sees a part does not open, close or remove what others see.
    scope = replace(scope, free=scope == EVERYTHING)
    return Aname(dialect, everything, scope, "modes" in elements)


def _unknown(element: str) -> Refused:
    return Refused(f"unknown attach name {element!r}"[:64])


def _box(scope: Scope, name: str) -> Scope:
    return replace(scope, boxes=(scope.boxes or frozenset()) | {unquote(name)})


def _newest(scope: Scope, text: str) -> Scope:
    return scope.narrowed(Scope(newest=_number(text)))


def _since(scope: Scope, text: str) -> Scope:
    return scope.narrowed(Scope(since=_date(text)))


def _before(scope: Scope, text: str) -> Scope:
    return scope.narrowed(Scope(before=_date(text)))


@dataclass(frozen=True, slots=True)
class _Element:
    narrow: Callable[[Scope, str], Scope]
    valued: bool = True


_ELEMENTS = {
    "box": _Element(_box),
    "ro": _Element(lambda scope, _: replace(scope, readonly=True), valued=False),
    "noctl": _Element(lambda scope, _: replace(scope, ctl=False), valued=False),
    "modes": _Element(lambda scope, _: scope, valued=False),  # it narrows nothing
    "newest": _Element(_newest),
    "since": _Element(_since),
    "before": _Element(_before),
}


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > MAX_DIGITS:
        raise _unknown(text)
    return int(text)


def _date(text: str) -> int:
    if text.isdecimal():
        return _number(text)
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise _unknown(text) from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.UTC)
    return int(when.timestamp())
