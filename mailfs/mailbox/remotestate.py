"""The blocking side of an open mailbox whose store is behind a network."""

import time
from array import array
from collections.abc import Callable, Iterable, Sequence

from mailfs.mailbox.driver import Driver, RemoteDriver
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.index import Index
from mailfs.mailbox.kinds import Want
from mailfs.mailbox.octets import Stored
from mailfs.mailbox.remote import RemoteMessage
from mailfs.query.tree import Leaf

SLICES = 0.25  # seconds of fetched headers between two transactions


class RemoteState(MailboxState):
    """A remote driver and an index, kept in step."""

    def __init__(
        self,
        driver: RemoteDriver,
        index: Index,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(driver, index, clock)
        self.remote = driver

    def _message(
        self, number: int, octets: Stored, when: tuple[int, int]
    ) -> RemoteMessage:
        return RemoteMessage(number, octets, self.shape, self.index, when, self.remote)

    def unsliced(self, limit: int) -> "array[int]":
        """Return the newest messages whose header has not been fetched."""
        return self.index.missing("slice", limit, newest=True)

    def slice(self, numbers: Iterable[int]) -> None:
        """Fetch the headers of messages into the index."""
        view = self.view
        keys = {view.listing.keys[row]: view.numbers[row] for row in view.rows(numbers)}
        rows: list[tuple[int, bytes, bytes]] = []
        since = time.monotonic()
        try:
            for one in self.remote.heads(list(keys)):
                rows.append((keys[one.key], one.header, one.structure))
                if time.monotonic() - since > SLICES:
                    self._put_slices(rows)
                    rows.clear()
                    since = time.monotonic()
        finally:  # what came before the connection broke need not come again
            self._put_slices(rows)

    def _put_slices(self, rows: Sequence[tuple[int, bytes, bytes]]) -> None:
        put = list(rows)
        self.derived(lambda: self.index.put_slices(put))

    def fetch(self, numbers: Iterable[int]) -> None:
        """Fetch whole messages into the cache."""
        l, rows = self.view.listing, self.view.rows(numbers)
        self.remote.fetch(
            [Want(l.keys[row], l.sizes[row], l.idents[row], 0, -1) for row in rows]
        )

    def search(
        self, leaves: Sequence[Leaf], numbers: Iterable[int]
    ) -> dict[Leaf, set[int]] | None:
        """Ask the server which messages answer each of some conditions."""
        l, view = self.view.listing, self.view
        keys = {l.keys[row]: view.numbers[row] for row in view.rows(numbers)}
        found = self.remote.search(leaves, keys)
        if found is None:
            return None
        each = zip(leaves, found, strict=True)
        return {leaf: {keys[key] for key in some} for leaf, some in each}

    def uncached(self, number: int) -> int | None:
        """Return a message's size if the cache lacks any of it, None if not."""
        view = self.view
        row = view.row(number)
        if row is None:
            return None
        l = view.listing
        whole = l.store.has(l.keys[row], l.idents[row], 0, -1)
        return None if whole else l.sizes[row]


def state_of(driver: Driver, index: Index) -> MailboxState:
    """Return the state of a mailbox, of the kind that its driver takes."""
    if isinstance(driver, RemoteDriver):
        return RemoteState(driver, index)
    return MailboxState(driver, index)
