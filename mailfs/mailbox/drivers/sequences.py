"""MH's sequences: named sets of message numbers; mh-sequence(5)."""

import os
import re
from collections.abc import Iterable, Iterator

MAX_FILE = 16 << 20  # octets; a few sequences of millions of numbers
MAX_NUMBER = 1 << 31  # nmh keeps message numbers in an int

_RANGE = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?")


class Sequences:
    """The lines of a .mh_sequences file, in order; those not changed stay as read."""

    def __init__(self, data: bytes = b"") -> None:
        text = os.fsdecode(data)
        self._lines: dict[str, str] = {}  # value by name; folded lines are joined
        name = ""
        for line in text.splitlines():
            if line[:1] in (" ", "\t") and name:
                self._lines[name] += " " + line.strip()
                continue
            name, colon, value = line.partition(":")
            name = name.strip()
            if colon and name:
                self._lines[name] = value.strip()
            else:
                name = ""

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._lines))

    def pack(self) -> bytes:
        """Return the file's octets."""
        lines = (f"{name}: {value}\n" for name, value in self._lines.items())
        return os.fsencode("".join(lines))

    def get(self, name: str, among: set[int]) -> set[int]:
        """Return the numbers of a sequence that are among those of messages."""
        found: set[int] = set()
        for m in _RANGE.finditer(self._lines.get(name, "")):
            low, high = int(m[1]), int(m[2] or m[1])
            if high - low > len(among):  # a range may name a million for three files
                found.update(n for n in among if low <= n <= high)
            else:
                found.update(among.intersection(range(low, high + 1)))
        return found

    def set(self, name: str, numbers: Iterable[int]) -> None:
        """Make a sequence those numbers; one without any is dropped."""
        text = " ".join(_ranges(sorted(numbers)))
        if text:
            self._lines[name] = text
        else:
            self._lines.pop(name, None)


def _ranges(numbers: list[int]) -> Iterator[str]:
    start = 0
    for i, n in enumerate(numbers):
        if i + 1 == len(numbers) or numbers[i + 1] != n + 1:
            yield str(n) if start == i else f"{numbers[start]}-{n}"
            start = i + 1
