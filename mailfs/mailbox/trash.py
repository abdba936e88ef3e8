"""The local trash: where deleted messages go, to be kept for some weeks.

It is a Maildir, ``mail/box/USER/trash`` below the root.  A message is on disk there
before it is removed from its mailbox; its name there has a digest of its octets, so
what a crash between the two leaves in both places is not put there again.  What lies
there longer than AGE is removed; what somebody else has put there is not.
"""

import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from mailfs import where
from mailfs.errors import Refused, reason
from mailfs.mailbox.derive import HEAD_READ, Shape, end_of, start_of
from mailfs.mailbox.driver import Place
from mailfs.mailbox.drivers.maildir import Maildir, is_maildir
from mailfs.mailbox.drivers.owned import LocalDriver
from mailfs.mailbox.kinds import Flag, Listing
from mailfs.mailbox.octets import Octets, Stored, all_of, cut

log = logging.getLogger(__name__)

NAME = "trash"  # of the mailbox
AGE = 30 * 86400.0  # seconds that a deleted message is kept
LOOK = 3600.0  # seconds between looks for what is too old
MANY = 512  # messages put there at a time: what one sync is for

# ``DATE.T<deleted>D<digest>.mailfs``: when it was deleted, and the SHA-256 in hex.
_OURS = re.compile(r"-?\d+\.T(\d+)D([0-9a-f]{64})\.mailfs\b")


class Trash:
    """One user's trash; any thread."""

    def __init__(
        self, place: Place, *, age: float = AGE, clock: Callable[[], float] = time.time
    ) -> None:
        """Make nothing yet."""
        self.path = where.box(place.root, NAME, place.user)
        self._place = place
        self._age = age
        self._clock = clock
        self._lock = threading.Lock()  # of putting and emptying
        self._looked = 0.0

    def keep(self, listing: Listing, rows: Sequence[int], shape: Shape) -> None:
        """Put the messages of rows there; on disk when it returns.

        Raises Stale if the listing is out of date, Refused where there is no trash to
        be had, OSError.
        """
        with self._lock:
            box = self._opened()
            there = {digest for _, _, digest in self._names(box)}
            for at in range(0, len(rows), MANY):
                new = [
                    (name, octets, Flag(listing.flags[row]) & ~Flag.DELETED)
                    for row in rows[at : at + MANY]
                    for name, octets in self._named(listing, row, shape, there)
                ]
                box.add(new)
        self.empty()

    def _named(
        self, listing: Listing, row: int, shape: Shape, there: set[str]
    ) -> Iterable[tuple[str, Octets]]:
        """Give the name and octets of a message, unless it is there; it is, then."""
        keys, sizes, idents = listing.keys, listing.sizes, listing.idents
        stored = Stored(listing.store, keys[row], sizes[row], idents[row])
        start = start_of(stored.read(0, HEAD_READ), shape)
        octets = cut(stored, start, max(start, end_of(stored, shape)))
        d = hashlib.sha256()
        for piece in all_of(octets):
            d.update(piece)
        digest = d.hexdigest()
        if digest not in there:
            there.add(digest)
            date, deleted = listing.dates[row], int(self._clock())
            yield f"{date}.T{deleted}D{digest}.mailfs,S={len(octets)}", octets

    def empty(self) -> None:
        """Remove what has been there too long; looks once in LOOK seconds."""
        now = self._clock()
        with self._lock:
            if now - self._looked < LOOK:
                return
            self._looked = now
            if not os.path.isdir(self.path):
                return
            box = Maildir(self.path, self._place)
            try:
                names = self._names(box)
                box.discard(key for key, at, _ in names if at + self._age < now)
            except (OSError, Refused) as e:
                log.info("trash: %s: %s", self.path, e)

    def _opened(self) -> Maildir:
        """Return the Maildir, made if nothing is there.  Raises Refused."""
        box = Maildir(self.path, self._place)
        try:
            if not os.path.lexists(self.path):
                self._make_parent(Path(self.path).parent)
                box.make()
            elif not is_maildir(self.path):
                raise Refused(f"trash: {self.path}: not a Maildir")
        except OSError as e:
            raise Refused(f"trash: {self.path}: {reason(e)}") from e
        return box

    def _make_parent(self, path: Path) -> None:
        """Make the user's mail directory, the user's own."""
        if path.is_dir():
            return
        path.mkdir(mode=0o711, parents=True, exist_ok=True)
        if self._place.owner is not None and os.geteuid() == 0:
            os.chown(path, *self._place.owner)

    @staticmethod
    def _names(box: Maildir) -> list[tuple[str, int, str]]:
        """Return key, time of deletion and digest of each message that we put there."""
        found = []
        for key in box.names():
            m = _OURS.match(key.rpartition("/")[2])
            if m is not None:
                found.append((key, int(m[1]), m[2]))
        return found


@lru_cache(maxsize=4096)
def _trash(place: Place) -> Trash:
    return Trash(place)


def trash_of(driver: object) -> Trash | None:
    """Name the trash of a driver's messages; None if it has none.

    A server has a trash of its own, and what is deleted in the trash is gone.
    """
    if not isinstance(driver, LocalDriver) or not driver.place.trash:
        return None
    trash = _trash(replace(driver.place, net=None, readonly=False))
    same = os.path.realpath(driver.path) == os.path.realpath(trash.path)
    return None if same else trash
