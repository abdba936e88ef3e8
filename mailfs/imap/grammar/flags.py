"""Flags of messages: the six of RFC 9051 section 2.3.2, and keywords.

The bits are those of upas/fs's index, so that a mailbox can take them as they are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntFlag


class System(IntFlag):
    """Flags every server knows."""

    ANSWERED = 1
    DELETED = 2
    DRAFT = 4
    FLAGGED = 8
    RECENT = 16
    SEEN = 32


_NAMES: dict[bytes, System] = {
    b"\\answered": System.ANSWERED,
    b"\\deleted": System.DELETED,
    b"\\draft": System.DRAFT,
    b"\\flagged": System.FLAGGED,
    b"\\recent": System.RECENT,
    b"\\seen": System.SEEN,
}
_SHOWN: tuple[tuple[System, str], ...] = (
    (System.ANSWERED, "\\Answered"),
    (System.DELETED, "\\Deleted"),
    (System.DRAFT, "\\Draft"),
    (System.FLAGGED, "\\Flagged"),
    (System.SEEN, "\\Seen"),
)
MAX_KEYWORD = 255  # octets of a keyword; longer ones are no use to anybody
_BRACKETS = frozenset(b'()"{')  # which end no flag, whatever a server thinks
_SPECIALS = frozenset(' (){%*"\\]')


_NONE = System(0)


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of one message; keywords are sorted, in the server's spelling."""

    system: System = _NONE
    keywords: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """Return them as IMAP writes them, less Recent, which is not ours to set.

        Raises ValueError for a keyword that no command may carry.
        """
        for word in self.keywords:
            if not keyword(word):
                raise ValueError(f"not a keyword: {word!r}")
        return [name for bit, name in _SHOWN if bit & self.system] + [*self.keywords]

    def __str__(self) -> str:
        return " ".join(self.words())


def parse(names: Iterable[bytes]) -> Flags:
    """Return the flags with these names, less what only looks like a system flag."""
    system = _NONE
    keywords = set()
    for name in names:
        if name.startswith(b"\\"):
            system |= _NAMES.get(name.lower(), _NONE)
        elif len(name) <= MAX_KEYWORD and not _BRACKETS & set(name):
            keywords.add(name.decode(errors="replace"))
    return Flags(system, tuple(sorted(keywords)))


def keyword(word: str) -> bool:
    """Whether a word can be a keyword: an atom of printable ASCII."""
    return (
        0 < len(word) <= MAX_KEYWORD
        and word.isascii()
        and word.isprintable()
        and not _SPECIALS & set(word)
    )
