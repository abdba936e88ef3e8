"""STORE, COPY and MOVE; RFC 9051 section 6.4, RFC 6851, RFC 7162."""

import time
from collections.abc import Iterable, Sequence
from functools import partial

from mailfs.errors import MailfsError
from mailfs.imap.grammar import flags as grammar
from mailfs.mailbox import uid
from mailfs.mailbox.folder import MailboxState
from mailfs.mailbox.kinds import Flag
from mailfs.mailbox.uid import FlagChange, Gone, NewMessage, TooManyKeywords
from mailfs.mailboxes.scoped import ScopedMailbox
from mailfs.serve.folders import BadFolder, Folder
from mailfs.serve.imapd import render
from mailfs.serve.imapd.actions import Copy, Store
from mailfs.serve.imapd.command import Request
from mailfs.serve.imapd.poll import condstore, poll
from mailfs.serve.imapd.selected import BadNumber, Selected
from mailfs.serve.imapd.session import Session, bad, no

_NONE = Flag(0)
COPIED = 500  # messages copied in one go


def parsed(words: Iterable[str]) -> tuple[Flag, tuple[str, ...]]:
    """Return the flags and keywords that a client names.  Raises Done."""
    bits, keywords = _NONE, []
    for word in words:
        if word.startswith("\\"):
            bit = render.SYSTEM.get(word.lower())
            if bit is None and word.lower() != "\\recent":
                raise bad("unknown flag")
            bits |= bit or _NONE
        elif grammar.keyword(word):
            keywords.append(word)
        else:
            raise bad("no keyword")
    return bits, tuple(keywords)


def _change(action: Store) -> FlagChange:
    bits, words = parsed(action.flags)
    match action.how:
        case "+":
            return FlagChange(add=bits, words=words)
        case "-":
            return FlagChange(drop=bits, without=words)
    return FlagChange(add=bits, words=words, replace=True)


async def store(session: Session, request: Request) -> None:
    """STORE and UID STORE."""
    action = request.action
    assert isinstance(action, Store)
    box, chosen = session.opened()
    if chosen.readonly:
        raise no("the mailbox is open read-only", "READ-ONLY")
    change = _change(action)
    try:
        uids = chosen.pick(action.set, uid=action.uid)
    except BadNumber:
        raise bad("no such message") from None
    if action.unchanged is not None:
        condstore(session)
    try:
        late = await box.alter(
            lambda state: uid.store(state, uids, change, action.unchanged)
        )
    except TooManyKeywords:
        raise no("too many keywords in the mailbox", "LIMIT") from None
    failed = set(late)
    stored = [one for one in uids if one not in failed]
    chosen.hush(stored, box.view)
    await poll(session, expunge=False, look=False)
    await session.saying(_answers(session, chosen, stored, silent=action.silent))
    if action.uid:
        await poll(session, look=False)
    if failed:
        shown = failed if action.uid else map(chosen.sequence, failed)
        session.code = f"MODIFIED {render.numbers(sorted(shown))}"


def _answers(
    session: Session, chosen: Selected, stored: Sequence[int], *, silent: bool
) -> Iterable[bytes]:
    """Give the flags that messages have now; silently, their mod-sequences at most."""
    if silent and not session.told.modseq:
        return ()
    there = (one for one in stored if one not in chosen.ghosts)
    return (chosen.fetched(one, session.told, flags=not silent) for one in there)


async def copy(session: Session, request: Request) -> None:
    """COPY, MOVE and their UID forms."""
    action = request.action
    assert isinstance(action, Copy)
    box, chosen = session.opened()
    if action.move and chosen.readonly:
        raise no("the mailbox is open read-only", "READ-ONLY")
    try:
        uids = chosen.pick(action.set, uid=action.uid)
    except BadNumber:
        raise bad("no such message") from None
    # Messages that went meanwhile are no fault of the client's.
    uids = [one for one in uids if one not in chosen.ghosts]
    target = await target_of(session, action.mailbox)
    if not uids:
        return
    other = await session.mail.open(target)
    try:
        code = await _copied(chosen, box, other, uids)
    except Gone:
        raise no("some of the messages have gone", "EXPUNGEISSUED") from None
    finally:
        await session.mail.release(other)
    if not action.move:
        session.code = code
        await poll(session, expunge=action.uid, look=False)
        return
    # Clients must know the new uids before they are told that the old ones are gone.
    session.line(f"OK [{code}] moved" if code else "OK moved")
    await session.mail.expunge(box, lambda view: uids)
    await poll(session, look=False)
    if "QRESYNC" in session.enabled:
        session.code = f"HIGHESTMODSEQ {chosen.highest}"


async def target_of(session: Session, name: str) -> Folder:
    """Return the folder that messages are to go to.  Raises Done."""
    try:
        folder = await session.mail.find(name)
    except BadFolder as e:
        if e.code == "NONEXISTENT":
            raise no(str(e), "TRYCREATE") from e
        raise
    if session.mail.readonly or not folder.selectable:
        raise no("no mail can be put there", "CANNOT")
    return folder


async def _copied(
    chosen: Selected, box: ScopedMailbox, other: ScopedMailbox, uids: list[int]
) -> str:
    """Copy messages; return the response code COPYUID.  All or none.  Raises Gone."""
    view = chosen.view
    made: list[int] = []
    try:
        for at in range(0, len(uids), COPIED):
            part = uids[at : at + COPIED]

            def read(state: MailboxState, part: list[int] = part) -> list[NewMessage]:
                return list(uid.carried(state, view, part))

            messages = await box.relist(read)
            made += await other.alter(partial(_append, messages=messages))
    except (MailfsError, OSError, Gone):
        if made:
            await other.alter(lambda state: state.remove(made, state.driver.expunge))
        raise
    now = int(time.time())
    claim = await other.consult(lambda state: uid.tell(state, state.view, now))
    # Sets pair by position: the new uids may not ascend.
    new = ",".join(map(str, made)) if made != sorted(made) else render.numbers(made)
    if not all(made):  # another program has taken one away already
        return ""
    return f"COPYUID {claim.validity} {render.numbers(uids)} {new}"


def _append(state: MailboxState, messages: Sequence[NewMessage]) -> list[int]:
    return uid.append(state, messages)
