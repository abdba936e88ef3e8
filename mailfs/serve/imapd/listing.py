"""Patterns and options of LIST; RFC 9051 section 6.3.9, RFC 5258, RFC 5819, RFC 6154.

A name is matched in time linear in pattern times name, however many stars there are.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mailfs.serve.imapd.cursor import BadCommand

SEPARATOR = "/"
MAX_PATTERN = 1024  # characters


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What of LIST's options was asked for."""

    subscribed: bool = False
    recursive: bool = False
    special: bool = False  # only folders with a use
    extended: bool = False
    show_subscribed: bool = False
    status: tuple[str, ...] = ()

    def made_extended(self) -> "ListOptions":
        """Return the options of an extended LIST."""
        return replace(self, extended=True)

    def selecting(self, words: Iterable[str]) -> "ListOptions":
        """Return the options with those of selection.  Raises BadCommand."""
        given = set(words)
        unknown = given - {"SUBSCRIBED", "REMOTE", "RECURSIVEMATCH", "SPECIAL-USE"}
        if unknown:
            raise BadCommand("unknown selection option")
        if "RECURSIVEMATCH" in given and given <= {"RECURSIVEMATCH", "REMOTE"}:
            raise BadCommand("RECURSIVEMATCH needs another option")
        return replace(
            self,
            extended=True,
            subscribed="SUBSCRIBED" in given,
            recursive="RECURSIVEMATCH" in given,
            special="SPECIAL-USE" in given,
        )

    def returning(self, words: Iterable[str], status: tuple[str, ...]) -> "ListOptions":
        """Return the options with those of RETURN.  Raises BadCommand."""
        given = set(words)
        if given - {"SUBSCRIBED", "CHILDREN", "SPECIAL-USE", "STATUS"}:
            raise BadCommand("unknown return option")
        return replace(
            self,
            extended=True,
            show_subscribed="SUBSCRIBED" in given,
            status=status,
        )


class Pattern:
    """A pattern: ``*`` matches anything, ``%`` anything but the separator."""

    def __init__(self, text: str) -> None:
        """Read it.  Raises BadCommand if it is too long."""
        if len(text) > MAX_PATTERN:
            raise BadCommand("pattern too long")
        self._text = text
        if text[:5].upper() == "INBOX" and text[5:6] in ("", "/", "*", "%"):
            self._text = "INBOX" + text[5:]

    def matches(self, name: str) -> bool:
        """Whether a name is matched, by the set of places in the pattern reached."""
        at = self._closed({0})
        for c in name:
            at = self._closed(self._step(at, c))
            if not at:
                return False
        return len(self._text) in at

    def _closed(self, at: set[int]) -> set[int]:
        """Add the places behind wildcards, which may match nothing."""
        found = set(at)
        for place in at:
            end = place
            while end < len(self._text) and self._text[end] in "*%":
                end += 1
                found.add(end)
        return found

    def _step(self, at: set[int], c: str) -> set[int]:
        found = set()
        for place in at:
            if place == len(self._text):
                continue
            want = self._text[place]
            if want == "*" or (want == "%" and c != SEPARATOR):
                found.add(place)
            elif want == c:
                found.add(place + 1)
        return found
