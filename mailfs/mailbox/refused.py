"""Logins that were refused: none is tried again before there is another key.

Servers lock accounts, and bar addresses, after a few wrong passwords.
"""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mailfs.errors import MailfsError
from mailfs.factotum.client import NeedKey
from mailfs.imap.error import LoginRefused as ImapRefused
from mailfs.pop.error import LoginRefused as PopRefused

if TYPE_CHECKING:
    from mailfs.factotum.client import Factotum

WAITING = (ImapRefused, PopRefused, NeedKey)
"""Errors of a login that pass when somebody adds a key, and not before."""


class RefusedLogins:
    """The refusals of all accounts; any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Hashable, tuple[MailfsError, tuple[int, str]]] = {}

    @contextmanager
    def guarded(self, account: Hashable, keys: "Factotum") -> Iterator[None]:
        """Log in to account within the block, by keys.

        Raises the refusal of an earlier login, before the block, if the agent still
        has the same keys.  A first login asks no agent before the server is trusted.
        """
        with self._lock:
            known = self._known.get(account)
        if known is not None:
            error, version = known
            if keys.version() == version:
                raise error
        keys.note_version()
        try:
            yield
        except WAITING as e:
            if keys.began is not None:
                with self._lock:
                    self._known[account] = (e, keys.began)
            raise
        with self._lock:
            self._known.pop(account, None)

    def forget(self) -> None:
        """Let logins be tried again whose agent cannot tell a new key from the old.

        For when a person asks for it.
        """
        with self._lock:
            for account, (_, (version, _)) in list(self._known.items()):
                if not version:
                    del self._known[account]
