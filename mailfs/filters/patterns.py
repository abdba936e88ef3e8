"""Lists of patterns of addresses, those accepted and those refused; list in filter(1).

A line is ``~REGEXP`` or ``=ADDRESS``, ``!`` before it for who is refused; a regexp is
matched whole.  What follows on the line is for people.  ``#include FILE`` has the lines
of another file.  Case never counts.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mailfs.attr import quote, tokenize
from mailfs.errors import MailfsError, reason
from mailfs.send import regexp

MAX_FILE = 1 << 20  # octets of one list
MAX_FILES = 100  # of one list, with those it includes
_PLAIN = frozenset("\\.*+?()|[]^$")  # what a regexp would take for something else
_SECOND = frozenset({"uk"})  # domains whose names have one more level


class Verdict(Enum):
    """What a list says of addresses."""

    MATCH = ""
    REFUSED = "!match"
    UNKNOWN = "no match"


@dataclass(frozen=True, slots=True)
class AddressPattern:
    """One line of a list."""

    expression: re.Pattern[str]
    refused: bool = False

    def matches(self, address: str) -> bool:
        """Whether the line means an address."""
        return self.expression.fullmatch(address) is not None


def load(path: Path) -> list[AddressPattern]:
    """Read a list.  Raises MailfsError with the line that cannot be meant, OSError."""
    return list(_lines(path, [path]))


def _lines(path: Path, seen: list[Path]) -> Iterator[AddressPattern]:
    with open(path, "rb") as file:
        raw = file.read(MAX_FILE + 1)
    if len(raw) > MAX_FILE:
        raise MailfsError(f"{path}: over {MAX_FILE} octets")
    text = raw.decode("utf-8", "surrogateescape")
    for number, line in enumerate(text.split("\n"), 1):
        try:
            words = tokenize(line.lower() if line[:1] != "#" else line)
            if words[:1] == ["#include"] and len(words) == 2:
                other = path.parent / words[1]
                yield from _lines(other, _with(seen, other))
            elif words and not words[0].startswith("#"):
                yield _pattern(words[0])
        except MailfsError as e:
            raise MailfsError(f"{path}:{number}: {e}") from e
        except OSError as e:
            raise MailfsError(f"{path}:{number}: {reason(e)}") from e


def _with(seen: list[Path], other: Path) -> list[Path]:
    """Note a file that is included.  Raises MailfsError if it was, or too many were."""
    if len(seen) >= MAX_FILES or other in seen:
        raise MailfsError(f"{other}: included before, or too many")
    seen.append(other)
    return seen


def _pattern(word: str) -> AddressPattern:
    bare = word.removeprefix("!")
    refused = bare != word
    if bare.startswith("~"):
        return AddressPattern(regexp.compile(bare[1:]), refused)
    if bare.startswith("="):
        return AddressPattern(re.compile(re.escape(bare[1:])), refused)
    raise MailfsError(f"{word}: want ~REGEXP, =ADDRESS, !~REGEXP or !=ADDRESS")


def judge(patterns: Iterable[AddressPattern], addresses: Iterable[str]) -> Verdict:
    """Judge addresses: one that is accepted is enough, one that is refused next to it.

    The first line that means an address decides for that address.
    """
    listed = list(patterns)
    verdict = Verdict.UNKNOWN
    for address in addresses:
        lower = address.lower()
        for pattern in listed:
            if pattern.matches(lower):
                if not pattern.refused:
                    return Verdict.MATCH
                verdict = Verdict.REFUSED
                break
    return verdict


def made(address: str) -> str:
    """Make the pattern that list adds for an address.

    A local name is meant by itself, others by name and domain, whichever host of the
    domain they write from.
    """
    lower = address.lower()
    local, at, domain = lower.rpartition("@")
    if not at:
        return f"={lower}"
    levels = domain.split(".")
    kept = 3 if levels[-1] in _SECOND else 2
    last = ".".join(levels[-kept:])
    return f"~{_escaped(local)}@(.*\\.)?{_escaped(last)}"


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in _PLAIN else c for c in text)


def add(path: Path, addresses: Iterable[str]) -> list[str]:
    """Append a line for each address that no line means; the addresses so added.

    A list that is not there is made.  Raises MailfsError and OSError.
    """
    known = load(path) if os.path.lexists(path) else []
    fresh: list[str] = []
    for address in addresses:
        if judge(known, [address]) is Verdict.UNKNOWN:
            known.append(_pattern(made(address)))
            fresh.append(address)
    if fresh:
        lines = "".join(f"{quote(made(a))}\t{quote(a)}\n" for a in fresh)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "ab") as file:
            file.write(lines.encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
    return fresh
