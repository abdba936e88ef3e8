"""Telling a client what has changed in its open folder; RFC 9051 section 7.4."""

import time

from mailfs.mailbox import uid
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.view import View
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.serve.imapd.selected import Selected
from mailfs.serve.imapd.session import Session


async def poll(session: Session, *, expunge: bool = True, look: bool = True) -> None:
    """Tell what has changed; expunge says that EXPUNGE may be sent now.

    look: the store is asked, else what is known already is told.
    """
    box, chosen = session.box, session.chosen
    if box is None or chosen is None:
        return
    if look:
        await box.refreshed()
        await box.relist(lambda state: state.catch_up().generation)
        if session.chosen is not chosen:
            return
    await _tell(session, box, chosen, expunge=expunge)


def condstore(session: Session) -> None:
    """Tell mod-sequences from now on; RFC 7162 section 3.1.2.1."""
    if not session.told.modseq:
        session.told.modseq = True
        if session.chosen is not None:
            session.line(f"OK [HIGHESTMODSEQ {session.chosen.highest}] highest")


async def _tell(
    session: Session, box: ScopedMailbox, chosen: Selected, *, expunge: bool
) -> None:
    view = box.view
    now, since = int(time.time()), chosen.view.generation
    modseqs: dict[int, int] = {}
    if view.next > chosen.view.next or view.generation != since:

        def job(state: MailboxState) -> tuple[int, dict[int, int]]:
            claim = uid.tell(state, view, now)
            if not chosen.readonly:
                state.uids.take_recent(state.name, view.next)
            return claim.recent, state.index.modseqs(since)

        recent, modseqs = await box.consult(job)
        _note_recent(chosen, view, recent)
    lines = chosen.take(view, modseqs, session.told, expunge=expunge)
    await session.saying(lines)


def _note_recent(chosen: Selected, view: View, first: int) -> None:
    """Note which new messages this session is the first to be told of."""
    known = chosen.view.next
    chosen.recent.update(n for n in view.numbers if n >= max(first, known))
