"""APPEND, of several messages too, and REPLACE; RFC 9051 6.3.12, RFC 3502, RFC 8508."""

import asyncio
import time

from mailfs.mailbox import uid
from mailfs.mailbox.kinds import Flag
from mailfs.mailbox.uid import NewMessage, TooManyKeywords
from mailfs.serve.imapd import render
from mailfs.serve.imapd.actions import Append, Appended
from mailfs.serve.imapd.command import Request
from mailfs.serve.imapd.poll import poll
from mailfs.serve.imapd.selected import BadNumber
from mailfs.serve.imapd.session import Session, bad, no
from mailfs.serve.imapd.store import parsed, target_of


async def append(session: Session, request: Request) -> None:
    """APPEND and REPLACE."""
    action = request.action
    assert isinstance(action, Append)
    replaced: list[int] = []
    if action.replaces is not None:
        _, chosen = session.opened()
        if chosen.readonly:
            raise no("the mailbox is open read-only", "READ-ONLY")
        try:
            replaced = chosen.pick(action.replaces[0], uid=action.replaces[1])
        except BadNumber:
            raise bad("no such message") from None
        if len(replaced) != 1:
            raise bad("REPLACE takes one message")
    folder = await target_of(session, action.mailbox)
    messages = await asyncio.to_thread(
        lambda: [_message(session, one) for one in action.messages]
    )
    now = int(time.time())
    box = await session.mail.open(folder)
    try:
        numbers = await box.alter(lambda state: uid.append(state, messages))
        claim = await box.consult(lambda state: uid.tell(state, state.view, now))
    except TooManyKeywords:
        raise no("too many keywords in the mailbox", "LIMIT") from None
    finally:
        await session.mail.release(box)
    made = ",".join(map(str, numbers))
    if numbers == sorted(numbers):
        made = render.numbers(numbers)
    if not all(numbers):  # another program has taken one away already
        await poll(session)
        return
    code = f"APPENDUID {claim.validity} {made}"
    if replaced and session.box is not None:
        session.line(f"OK [{code}] replaced")
        await session.mail.expunge(session.box, lambda view: replaced)
    else:
        session.code = code
    await poll(session)


def _message(session: Session, one: Appended) -> NewMessage:
    incoming = session.uploads[one.upload.number]
    octets = incoming.octets()
    if any(b"\0" in piece for piece in octets.pieces(0, len(octets))):
        raise no("NUL in the message", "UNKNOWN-CTE")
    if not len(octets):
        raise no("an empty message")
    bits, words = parsed(one.flags)
    when = int(time.time()) if one.date is None else one.date
    return NewMessage(octets, when, "", Flag(bits), words)
