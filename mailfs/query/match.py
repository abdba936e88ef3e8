"""Whether a document answers a text: read through, as no index can be asked.

An index that keeps no places of words cannot tell a phrase from its words; whoever
asks it for a phrase reads what it names.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import cached_property

from mailfs.query.tokens import sought, words
from mailfs.query.tree import ANYWHERE, Text


class Words:
    """The words of one field of a document."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(set(words(self.text)))

    @cached_property
    def _row(self) -> tuple[str, ...]:
        return sought(self.text)

    def answers(self, query: Text) -> bool:
        """Whether the words sought are here, in a row."""
        *firsts, last = query.words
        if not firsts:
            return self._has(last, prefix=query.prefix)
        if not all(self._has(word, prefix=False) for word in firsts):
            return False
        return self._has(last, prefix=query.prefix) and self._in_a_row(query)

    def _has(self, word: str, *, prefix: bool) -> bool:
        at = bisect_left(self._sorted, word)
        if at == len(self._sorted):
            return False
        found = self._sorted[at]
        return found.startswith(word) if prefix else found == word

    def _in_a_row(self, query: Text) -> bool:
        """Find a row of words in linear time, as Knuth, Morris and Pratt do."""
        pattern = query.words
        same = _ends(pattern)
        matched = 0
        last = len(pattern) - 1
        for word in self._row:
            while True:
                if matched == last and query.prefix:
                    fits = word.startswith(pattern[last])
                else:
                    fits = word == pattern[matched]
                if fits or not matched:
                    break
                matched = same[matched - 1]
            matched += fits
            if matched == len(pattern):
                return True
        return False


def _ends(pattern: Sequence[str]) -> list[int]:
    """For each beginning of pattern: how much of its end begins it again."""
    same = [0] * len(pattern)
    at = 0
    for i in range(1, len(pattern)):
        while at and pattern[i] != pattern[at]:
            at = same[at - 1]
        at += pattern[i] == pattern[at]
        same[i] = at
    return same


def answers(fields: Mapping[str, Words], query: Text) -> bool:
    """Whether one of the fields, or the one that is asked for, has the words."""
    if query.field != ANYWHERE:
        return query.field in fields and fields[query.field].answers(query)
    return any(field.answers(query) for field in fields.values())
