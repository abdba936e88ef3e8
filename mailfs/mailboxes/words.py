"""The full text of a mailbox as one attach sees it: nothing unseen is named."""

from functools import cached_property

from mailfs.fulltext.store import Asked, FullText
from mailfs.mailbox.view import View
from mailfs.query.tree import Identifier


class SeenWords:
    """The words of the messages of a view; on the mailbox's worker."""

    def __init__(self, words: FullText, view: View) -> None:
        self._words = words
        self._view = view

    @cached_property
    def _seen(self) -> frozenset[int]:
        return frozenset(self._view.numbers)

    def unknown(self) -> list[int]:
        """Return the messages whose words are not there, or no longer theirs."""
        view = self._view
        return self._words.unknown(view.numbers, view.listing.idents)

    def numbers(self, asked: Asked) -> set[int]:
        """Return the messages that answer, and for a phrase all that may."""
        return self._words.numbers(asked) & self._seen

    def root(self, messageid: str) -> str | None:
        """Return the root of the thread of a message; None if it is not known."""
        if not self.numbers(Identifier(messageid)):
            return None
        return self._words.root(messageid)
