"""What an attach may see and do: the restrictions of its attach name, as a value.

A scope only ever narrows.  Where the server binds a listener or a user to one, the
client's own is laid over it, and neither lets through what the other does not.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from mailfs.mailbox.kinds import Listing
from mailfs.mailbox.view import View, order_of

_ALWAYS = 1 << 62  # seconds; later than any message


@dataclass(frozen=True, slots=True)
class Scope:
    """Which mailboxes, which messages of them, and what may be done.

    boxes     names, or None for every mailbox
    readonly  nothing may be changed
    ctl       control files are there
    free      mailboxes may be opened, closed, moved and removed, server and all
    newest    that many messages of each mailbox, the last to arrive; None for all
    since     seconds since the epoch: none that arrived earlier
    before    none that arrived then or later
    """

    boxes: frozenset[str] | None = None
    readonly: bool = False
    ctl: bool = True
    free: bool = True
    newest: int | None = None
    since: int = -_ALWAYS
    before: int = _ALWAYS

    @property
    def whole(self) -> bool:
        """Whether every message of a mailbox is seen."""
        return (self.newest, self.since, self.before) == (None, -_ALWAYS, _ALWAYS)

    def narrowed(self, other: "Scope") -> "Scope":
        """Intersect two scopes."""
        boxes = self.boxes
        if other.boxes is not None:
            boxes = other.boxes if boxes is None else boxes & other.boxes
        counts = [n for n in (self.newest, other.newest) if n is not None]
        return Scope(
            boxes=boxes,
            readonly=self.readonly or other.readonly,
            ctl=self.ctl and other.ctl,
            free=self.free and other.free,
            newest=min(counts, default=None),
            since=max(self.since, other.since),
            before=min(self.before, other.before),
        )

    def sees(self, name: str) -> bool:
        """Whether the mailbox called name is seen."""
        return self.boxes is None or name in self.boxes

    def applied(self, view: View) -> View:
        """Return the view less the messages that are not seen, its version as it was.

        The others' rows are not in its listing either.
        """
        if self.whole:
            return view
        dates, order = view.listing.dates, view.order
        if self.since > -_ALWAYS or self.before < _ALWAYS:
            order = [row for row in order if self.since <= dates[row] < self.before]
        if self.newest is not None:
            order = order[len(order) - min(self.newest, len(order)) :]
        rows = sorted(order)
        numbers = _picked(view.numbers, rows)
        return replace(
            view,
            listing=_listing(view.listing, rows),
            numbers=numbers,
            seqs=_picked(view.seqs, rows),
            order=order_of(numbers),
        )


def _listing(listing: Listing, rows: Sequence[int]) -> Listing:
    """Return a listing of some rows only, whatever columns it has."""
    values = {f.name: getattr(listing, f.name) for f in fields(listing)}
    columns = {
        name: _picked(value, rows)
        for name, value in values.items()
        if isinstance(value, array | bytearray | list)
    }
    return replace(listing, **columns)


def _picked(column: Any, rows: Sequence[int]) -> Any:
    """Return the values of some rows, as a column of the same type."""
    values = [column[row] for row in rows]
    if isinstance(column, array):
        return array(column.typecode, values)
    return type(column)(values)


EVERYTHING = Scope()
