"""A mailbox that no driver will serve as yet: nothing is there, or nothing readable."""

from collections.abc import Callable, Sequence
from typing import NoReturn

from mailfs.errors import MailfsError
from mailfs.mailbox.driver import Driver, Place
from mailfs.mailbox.kinds import Flag, Listing


class Missing(Driver):
    """Stands for a path until found gives the driver that serves it.

    find asks for that driver; without it the error stays.
    """

    kind = "missing"

    def __init__(
        self,
        path: str,
        place: Place,
        why: OSError | MailfsError,
        find: Callable[[], Driver] | None = None,
    ) -> None:
        """Take why, the error that asking for a driver ended in."""
        super().__init__(path, place)
        self._why = why
        self._find = find

    def found(self) -> Driver:
        """Return the driver that serves the path now.  Raises the error if none."""
        if self._find is None:
            self._refuse()
        return self._find()

    def signature(self) -> str:
        """Raise the error."""
        self._refuse()

    def list(self, old: Listing | None = None) -> Listing:
        """Raise the error."""
        self._refuse()

    def heavy(self, old: Listing | None) -> bool:
        """Return False: nothing is listed."""
        return False

    def restore(self, listing: Listing) -> Listing | None:
        """Return None: the index is not believed."""
        return None

    def delete(self, listing: Listing, rows: Sequence[int]) -> Listing:
        """Raise the error."""
        self._refuse()

    def set_flags(
        self, listing: Listing, changes: Sequence[tuple[int, Flag]]
    ) -> Listing:
        """Raise the error."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise self._why
