"""What one POP3 session sees of a mailbox: the messages there were when it logged in.

Mail that comes later is for the next session, and what another client removes is
missing only when it is asked for: numbers never change under a client.
"""

import time
from collections.abc import Sequence

from mailfs.mailbox import uid
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.octets import Octets
from mailfs.mailbox.uid import Told
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.serve.description.message import sizes_of
from mailfs.serve.pop3d.session import Maildrop


class Snapshot:
    """A mailbox as it was at one moment."""

    def __init__(
        self, box: ScopedMailbox, told: Told, uids: Sequence[int], drop: Maildrop
    ) -> None:
        """See take()."""
        self._box = box
        self._told = told
        self._uids = uids
        self.drop = drop

    @classmethod
    async def take(cls, box: ScopedMailbox) -> "Snapshot":
        """List the mailbox.

        A message's unique id is uidvalidity and uid in hexadecimal: they are never
        given to another message, whatever becomes of the index; RFC 1939 section 7.
        Raises OSError and MailfsError.
        """
        told = await box.relist(lambda state: uid.opened(state, int(time.time())))
        uids = list(told.view)
        sizes = await box.consult(lambda state: sizes_of(state, told.view, uids))
        uids = [one for one in uids if one in sizes]
        validity = told.claim.validity
        idents = [f"{validity:x}.{one:x}" for one in uids]
        return cls(box, told, uids, Maildrop([sizes[one] for one in uids], idents))

    async def text(self, row: int) -> Octets | None:
        """Read a message as the network has it; None if it has gone."""

        def read(state: MailboxState) -> Octets | None:
            try:
                return uid.text_of(state, self._told.view, self._uids[row])
            except uid.Gone:
                return None

        return await self._box.consult(read)

    async def piece(self, text: Octets, start: int, end: int) -> bytes:
        """Read octets of a message, on the mailbox's worker."""
        return await self._box.consult(lambda state: text.read(start, end))

    async def remove(self, rows: Sequence[int]) -> None:
        """Remove messages for good; those that have gone already are no error.

        Raises Refused where nothing may be changed, and OSError and MailfsError.
        """
        await self._box.expunge([self._uids[row] for row in rows])
